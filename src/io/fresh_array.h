// Arrays whose memory a loader fills, alone or packed together into large blocks.
#pragma once

#include <cstddef>
#include <mutex>

#include "base/buffer.h"
#include "base/checked.h"
#include "base/require.h"
#include "base/zero_buffer.h"
#include "tarn/array.h"

namespace tarn::io {

// The number of bytes of an array, or an error that names `what`.
inline size_t bytes_of(const Shape& shape, Dtype dtype, const std::string& what) {
  std::optional<int64_t> n = dtype.size;
  for (int64_t d : shape) n = n ? checked_mul(*n, d) : n;
  require<FileError>(n.has_value(), "[load] {}: the product of its sizes does not fit 64 bits.",
                     what);
  return static_cast<size_t>(*n);
}

// Memory for one array: fill data(), then take().
class FreshArray {
 public:
  FreshArray(Shape shape, Dtype dtype)
      : shape_(std::move(shape)),
        dtype_(dtype),
        block_(allocate_buffer(bytes_of(shape_, dtype, "an array"))) {}

  std::byte* data() const { return static_cast<std::byte*>(block_->data); }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
  array take() {
    void* numbers = data();
    return array(numbers, std::move(shape_), dtype_, [block = std::move(block_)](void*) {});
  }

 private:
  Shape shape_;
  Dtype dtype_;
  BufferRef block_;
};

// Packs many arrays into blocks of 32 MiB, which the system serves with large pages: a third of the
// page faults while loading, and fewer address translations in every later pass over the weights.
// A block is given back when the last array in it is gone.
class Arena {
 public:
  // outline: the sizes alone count. All parts are the same zeros, which take no memory and must not
  // be written to.
  enum class Use : uint8_t { numbers, outline };
  explicit Arena(Use use = Use::numbers) : use_(use) {}
  size_t bytes() const { return bytes_; }  // of all parts

  struct Part {
    std::byte* data = nullptr;
    BufferRef block{};
  };

  Part allocate(size_t bytes) {
    size_t rounded = (bytes + alignment - 1) / alignment * alignment + alignment;
    std::lock_guard lock(mutex_);
    bytes_ += rounded;
    if (use_ == Use::outline) return part_of(zeros(rounded), 0);
    if (rounded > left_) {
      if (rounded > block_bytes / 4) return part_of(BufferRef(allocate_buffer(bytes)), 0);
      block_ = BufferRef(allocate_buffer(block_bytes));
      left_ = block_bytes;
    }
    size_t at = block_bytes - left_;
    left_ -= rounded;
    return part_of(block_, at);
  }

 private:
  static constexpr size_t alignment = 64;
  static constexpr size_t block_bytes = (size_t{32} << 20) - alignment;  // the cache adds slack

  static Part part_of(BufferRef block, size_t at) {
    Part part;
    part.data = static_cast<std::byte*>(block->data) + at;
    part.block = std::move(block);
    return part;
  }

  const BufferRef& zeros(size_t bytes) {
    if (bytes > left_) block_ = zero_buffer(bytes), left_ = bytes;
    return block_;
  }

  Use use_;
  std::mutex mutex_{};
  BufferRef block_{};  // the last one; of it, `left_` bytes are not given out yet
  size_t left_ = 0, bytes_ = 0;
};

}  // namespace tarn::io
