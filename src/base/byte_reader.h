// The one bounded reader that every file parser uses: no read leaves the bytes it was given.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/require.h"

namespace tarn {

// Reads little-endian values from `bytes`, front to back. Every failure is a FileError that names
// the file, the byte offset and what was being read.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  const std::string& file() const { return file_; }

  // `what` names the value in the error, e.g. "tensor count".
  template <class T>
  requires std::is_trivially_copyable_v<T> T read(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::span<const std::byte> take(uint64_t n, std::string_view what) {
    require<FileError>(n <= remaining(),
                       "[load] {}: byte {}: {} needs {} bytes, {} are left. The file is cut off "
                       "or damaged; fetch it again.",
                       file_, offset_, what, n, remaining());
    auto part = bytes_.subspan(offset_, static_cast<size_t>(n));
    offset_ += static_cast<size_t>(n);
    return part;
  }

  std::string_view text(uint64_t n, std::string_view what) {
    auto part = take(n, what);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

  void seek(uint64_t to, std::string_view what) {
    require<FileError>(to <= bytes_.size(),
                       "[load] {}: byte {}: {} lies past the end of the file ({} bytes). The file "
                       "is cut off or damaged; fetch it again.",
                       file_, to, what, bytes_.size());
    offset_ = static_cast<size_t>(to);
  }

 private:
  static_assert(std::endian::native == std::endian::little, "file formats here are little-endian");
  std::span<const std::byte> bytes_;
  std::string file_;
  size_t offset_ = 0;
};

}  // namespace tarn
