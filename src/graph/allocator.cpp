#include "tarn/allocator.h"

#include "base/buffer.h"

namespace tarn {

namespace allocator {
namespace {
tarn::Buffer* block_of(const Buffer& b) {
  return static_cast<tarn::Buffer*>(const_cast<void*>(b.ptr()));
}
}  // namespace

void* Buffer::raw_ptr() { return handle_ ? block_of(*this)->data : nullptr; }
Buffer malloc(size_t size) { return Buffer(allocate_buffer(size)); }
void free(Buffer buffer) { BufferRef last(block_of(buffer)); }
Buffer make_buffer(void* ptr, size_t size) { return Buffer(adopt_buffer(ptr, size, nullptr)); }
void release(Buffer buffer) { free(buffer); }
bool can_reuse_alien_buffer(void* ptr) { return reinterpret_cast<uintptr_t>(ptr) % 8 == 0; }
size_t Allocator::size(Buffer buffer) const { return buffer.ptr() ? block_of(buffer)->bytes : 0; }
Allocator& allocator() {
  static Allocator one;
  return one;
}
}  // namespace allocator

}  // namespace tarn
