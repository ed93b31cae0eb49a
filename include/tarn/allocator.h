// Memory from the pool that arrays use.
#pragma once

#include <cstddef>

namespace tarn::allocator {

// A handle to a block. Copies name the same block; it lives until free, release or the array that
// was made of it gives it back.
class Buffer {
 public:
  explicit Buffer(void* handle) : handle_(handle) {}
  // The first byte; null for Buffer(nullptr).
  void* raw_ptr();
  // The handle itself, which is not the memory.
  const void* ptr() const { return handle_; }
  void* ptr() { return handle_; }

 private:
  void* handle_;
};

// `size` bytes, aligned to 64, not initialised. Throws DeviceError when there is no memory.
Buffer malloc(size_t size);
void free(Buffer buffer);
// Memory of the caller's as a buffer; `release` drops the handle and leaves the memory alone.
Buffer make_buffer(void* ptr, size_t size);
void release(Buffer buffer);
// Whether arrays can lie in memory that others allocated: always, when it is aligned to 8 bytes.
bool can_reuse_alien_buffer(void* ptr);

// The same functions as an object.
class Allocator {
 public:
  Buffer malloc(size_t size) { return allocator::malloc(size); }
  void free(Buffer buffer) { allocator::free(buffer); }
  size_t size(Buffer buffer) const;
  Buffer make_buffer(void* ptr, size_t size) { return allocator::make_buffer(ptr, size); }
  void release(Buffer buffer) { allocator::release(buffer); }
};
Allocator& allocator();

}  // namespace tarn::allocator
