// The bytes of an array in row-major order, as every file format here stores them.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "tarn/array.h"
#include "tarn/streams.h"

namespace tarn::io {

// Evaluates the array. The bytes lie in the array when it is row-contiguous, in a copy otherwise.
class RowMajor {
 public:
  explicit RowMajor(const array& a);
  RowMajor(const RowMajor&) = delete;
  RowMajor& operator=(const RowMajor&) = delete;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  array kept_;
  std::vector<std::byte> copy_{};
  std::span<const std::byte> bytes_{};
};

// Writes the bytes. Throws FileError when there is no open writer.
void put(Writer* out, std::span<const std::byte> bytes);
void put(Writer* out, std::string_view text);

// Copies elements of `item` bytes that lie at `strides` (in elements) to row-major order.
void gather(const std::byte* from, const Shape& shape, const Strides& strides, size_t item,
            std::byte* to);

}  // namespace tarn::io
