#include "tarn/memory.h"

#include <malloc.h>

#include <cstddef>
#include <unordered_map>

#include "base/buffer.h"
#include "base/residency.h"
#include "graph/node.h"
#include "runtime/eval.h"
#include "tarn/array.h"

namespace tarn {

size_t get_active_memory() { return memory_counters().active; }
size_t get_array_buffer_size(const std::vector<array>& arrays) {
  std::unordered_map<const std::byte*, size_t> blocks;
  for (const array& a : arrays) {
    size_t size = a.buffer_size();
    if (size == 0) continue;
    const auto* first = static_cast<const std::byte*>(a.node()->data);
    blocks[first - a.offset() * static_cast<int64_t>(a.itemsize())] = size;
  }
  size_t total = 0;
  for (const auto& [begin, size] : blocks) total += size;
  return total;
}
size_t get_peak_memory() { return memory_counters().peak; }
void reset_peak_memory() { memory_counters().peak = memory_counters().active.load(); }
size_t get_cache_memory() { return memory_counters().cached; }
size_t set_memory_limit(size_t limit) { return memory_counters().memory_limit.exchange(limit); }
size_t get_memory_limit() { return memory_counters().memory_limit; }
size_t set_cache_limit(size_t limit) { return memory_counters().cache_limit.exchange(limit); }
void clear_cache() { clear_buffer_cache(); }
void release_memory() {
  clear_plan_cache();
  clear_buffer_cache();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}
TransferInfo get_transfers() {
  auto& c = transfer_counters();
  return {c.to_device, c.to_host, c.copies};
}
size_t set_wired_limit(size_t) { return 0; }

}  // namespace tarn
