// Memory that arrays share: reference-counted blocks from a cache, or memory someone else owns.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace tarn {

struct Residency;

struct Buffer {
  std::atomic<uint32_t> refs{1};
  void* data = nullptr;
  size_t bytes = 0;
  // Set for memory that was handed to us: called instead of returning the block to the cache.
  std::function<void(void*)> release{};
  // Set once a device has or had a copy, see base/residency.h; null: the host's is the only one.
  std::atomic<Residency*> residency{nullptr};
};

// An uninitialised block aligned to 64 bytes, readable 64 bytes past its end (kernels load whole
// vectors). Throws DeviceError when the machine has no more memory.
Buffer* allocate_buffer(size_t bytes);
Buffer* adopt_buffer(void* data, size_t bytes, std::function<void(void*)> release);
void destroy_buffer(Buffer* b) noexcept;

// A counted reference to a Buffer.
class BufferRef {
 public:
  BufferRef() = default;
  explicit BufferRef(Buffer* adopted) : buffer_(adopted) {}
  BufferRef(const BufferRef& o) : buffer_(o.buffer_) {
    if (buffer_) buffer_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  BufferRef(BufferRef&& o) noexcept : buffer_(std::exchange(o.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef o) noexcept {
    std::swap(buffer_, o.buffer_);
    return *this;
  }
  ~BufferRef() {
    if (buffer_ && buffer_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
      destroy_buffer(buffer_);
  }
  explicit operator bool() const { return buffer_ != nullptr; }
  Buffer* operator->() const { return buffer_; }
  Buffer* get() const { return buffer_; }
  bool unique() const { return buffer_ && buffer_->refs.load(std::memory_order_acquire) == 1; }

 private:
  Buffer* buffer_ = nullptr;
};

// What the blocks add up to, in bytes (see include/tarn/memory.h).
struct MemoryCounters {
  std::atomic<size_t> active{0}, peak{0}, cached{0};
  std::atomic<size_t> cache_limit{size_t{256} << 20}, memory_limit{SIZE_MAX};
};
MemoryCounters& memory_counters();
// Makes room for so many more bytes under the memory limit. Throws DeviceError when there is none.
void check_memory_limit(size_t bytes);
// Adds to what is active, and to the peak.
void count_allocation(size_t bytes);
void clear_buffer_cache();

}  // namespace tarn
