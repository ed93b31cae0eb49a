#include "base/buffer.h"

#include <sys/mman.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/require.h"
#include "base/residency.h"
#include "base/size_class.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace tarn {
namespace {

constexpr size_t alignment = 64;

// The sanitizer knows the system's blocks only: it is told how much of one is in use, so that it
// sees a kernel that runs past its array, or one that uses memory which lies in the cache.
void may_use([[maybe_unused]] void* block, [[maybe_unused]] size_t bytes,
             [[maybe_unused]] size_t of) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(block, bytes);
  __asan_poison_memory_region(static_cast<std::byte*>(block) + bytes, of - bytes);
#endif
}

// Blocks that nobody uses, with the Buffers that they were used through.
struct Cache {
  std::mutex mutex;
  std::array<std::vector<Buffer*>, size_classes> free;
};

// Under the cache's mutex; others only read the number.
void set_cached(size_t bytes) { memory_counters().cached.store(bytes, std::memory_order_relaxed); }

Cache& cache() {
  static auto* const c = new Cache;  // never destroyed: arrays may outlive static objects
  return *c;
}

// A thread's own last blocks of each small size, at most 14 KiB in all: a loop over small arrays
// takes them without a lock. Like a heap's, they are not counted as cached.
constexpr size_t small_block = 1024;
struct SmallBlocks {
  std::array<Buffer*, class_of(small_block - block_slack).index + 1> last{};
  bool gone = false;  // static objects may outlive it

  ~SmallBlocks() {
    gone = true;
    for (Buffer* b : last) {
      if (b) std::free(b->data);
      delete b;
    }
  }
};
thread_local SmallBlocks small_blocks;

Buffer* from_thread(SizeClass c) {
  return c.bytes > small_block || small_blocks.gone
             ? nullptr
             : std::exchange(small_blocks.last[static_cast<size_t>(c.index)], nullptr);
}
bool keep_in_thread(Buffer* b, SizeClass c) {
  if (c.bytes > small_block || small_blocks.gone) return false;
  Buffer*& place = small_blocks.last[static_cast<size_t>(c.index)];
  if (place) return false;
  place = b;
  return true;
}

Buffer* from_cache(size_t index, size_t bytes) {
  auto& c = cache();
  std::lock_guard lock(c.mutex);
  auto& list = c.free[index];
  if (list.empty()) return nullptr;
  Buffer* b = list.back();
  list.pop_back();
  set_cached(memory_counters().cached - bytes);
  return b;
}

void* from_system(size_t bytes) {
  size_t align = bytes >= huge_from ? huge_page : alignment;
  void* p = nullptr;
  if (posix_memalign(&p, align, bytes) != 0) {
    clear_buffer_cache();
    if (posix_memalign(&p, align, bytes) != 0)
      fail<DeviceError>(
          "[memory] no memory for {} bytes; {} bytes are in use. Use a smaller model, batch or "
          "context.",
          bytes, memory_counters().active.load());
  }
  if (bytes >= huge_from) madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

}  // namespace

MemoryCounters& memory_counters() {
  static auto* const c = new MemoryCounters;
  return *c;
}

void check_memory_limit(size_t bytes) {
  auto& c = memory_counters();
  size_t limit = c.memory_limit;
  if (c.active + c.cached + bytes <= limit) return;
  clear_buffer_cache();
  require<DeviceError>(c.active + bytes <= limit,
                       "[memory] {} bytes asked for while {} are in use: the limit is {}. Raise it "
                       "with set_memory_limit.",
                       bytes, c.active.load(), limit);
}

void count_allocation(size_t bytes) {
  auto& c = memory_counters();
  size_t now = c.active.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  size_t peak = c.peak.load(std::memory_order_relaxed);
  while (now > peak && !c.peak.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

Buffer* allocate_buffer(size_t bytes) {
  require<DeviceError>(bytes < (size_t{1} << 46), "[memory] {} bytes asked for at once.", bytes);
  auto [index, rounded] = class_of(bytes);
  Buffer* b = from_thread({index, rounded});
  if (!b) b = from_cache(static_cast<size_t>(index), rounded);
  if (!b) {
    check_memory_limit(rounded);
    auto made = std::make_unique<Buffer>();  // first: after the block is ours nothing may fail
    made->data = from_system(rounded);
    b = made.release();
  }
  may_use(b->data, bytes + block_slack, rounded);
  count_allocation(rounded);
  b->refs.store(1, std::memory_order_relaxed);
  b->bytes = bytes;
  return b;
}

Buffer* adopt_buffer(void* data, size_t bytes, std::function<void(void*)> release) {
  auto* b = new Buffer;
  b->data = data;
  b->bytes = bytes;
  b->release = release ? std::move(release) : [](void*) {};
  return b;
}

void destroy_buffer(Buffer* b) noexcept {
  bool mirror = b->residency.load(std::memory_order_acquire) && release_residency(*b);
  if (mirror) {  // its address went with the device's block
  } else if (b->release) {
    b->release(b->data);
  } else {
    auto [index, rounded] = class_of(b->bytes);
    auto& counters = memory_counters();
    counters.active.fetch_sub(rounded, std::memory_order_relaxed);
    if (keep_in_thread(b, {index, rounded})) return may_use(b->data, 0, rounded);
    auto& c = cache();
    std::unique_lock lock(c.mutex);
    bool kept = counters.cached + rounded <= counters.cache_limit;
    try {
      if (kept) c.free[static_cast<size_t>(index)].push_back(b);
    } catch (const std::bad_alloc&) {
      kept = false;  // no memory to remember it by
    }
    if (kept) {
      may_use(b->data, 0, rounded);
      set_cached(counters.cached + rounded);
      return;
    }
    lock.unlock();
    std::free(b->data);
  }
  delete b;
}

void clear_buffer_cache() {
  auto& c = cache();
  std::lock_guard lock(c.mutex);
  for (auto& list : c.free) {
    for (Buffer* b : list) {
      std::free(b->data);
      delete b;
    }
    list.clear();
  }
  set_cached(0);
}

}  // namespace tarn
