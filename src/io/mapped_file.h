// The bytes of a file: mapped where that is safe, copied where others could change them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "tarn/array.h"
#include "tarn/streams.h"

namespace tarn::io {

// Read-only bytes of a file. A file that others may write is copied into memory, because a mapping
// would follow their changes. The 64 bytes after the last one can be read (kernels load whole
// vectors).
class FileBytes {
 public:
  static std::shared_ptr<const FileBytes> open(const std::string& path);
  // What is left of a reader, copied. Throws FileError when there is no open reader.
  static std::shared_ptr<const FileBytes> take(Reader* in);
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  bool mapped() const { return mapped_; }

 private:
  explicit FileBytes(const std::string& path);
  FileBytes(Reader& in, size_t bytes);

  std::string path_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t reserved_ = 0;  // of address space, from data_ on
  bool mapped_ = false;
  int slot_ = -1;  // in the table that name_of_mapped_file reads
};

// The array that lies at `bytes` of the file and keeps it open; a copy when the bytes are not
// aligned for `dtype`, or are bools other than 0 and 1 (they become 1).
array alias(const std::shared_ptr<const FileBytes>& file, std::span<const std::byte> bytes,
            const Shape& shape, Dtype dtype);

bool all_bools(std::span<const std::byte> bytes);
void make_bools(std::span<std::byte> bytes);

// Refuses what is often saved in place of weights: a Git LFS pointer or a web page.
void refuse_placeholder(std::span<const std::byte> bytes, const std::string& file);

}  // namespace tarn::io
