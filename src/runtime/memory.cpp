#include "tarn/memory.h"

#include "base/buffer.h"

namespace tarn {

size_t get_active_memory() { return memory_counters().active; }
size_t get_peak_memory() { return memory_counters().peak; }
void reset_peak_memory() { memory_counters().peak = memory_counters().active.load(); }
size_t get_cache_memory() { return memory_counters().cached; }
size_t set_memory_limit(size_t limit) { return memory_counters().memory_limit.exchange(limit); }
size_t get_memory_limit() { return memory_counters().memory_limit; }
size_t set_cache_limit(size_t limit) { return memory_counters().cache_limit.exchange(limit); }
void clear_cache() { clear_buffer_cache(); }
size_t set_wired_limit(size_t) { return 0; }

}  // namespace tarn
