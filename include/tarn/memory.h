// How much memory arrays hold, and limits on it. All figures in bytes.
#pragma once

#include <cstddef>
#include <vector>

namespace tarn {

class array;

size_t get_active_memory();
// The memory blocks behind the arrays, each counted once; evaluates them.
size_t get_array_buffer_size(const std::vector<array>& arrays);
size_t get_peak_memory();
void reset_peak_memory();
// Freed memory that is kept for reuse.
size_t get_cache_memory();
// Set and return the former limit. Above the memory limit cached memory is given back first; then
// an evaluation that needs more throws DeviceError, and what was there before stays usable.
size_t set_memory_limit(size_t limit);
size_t get_memory_limit();
size_t set_cache_limit(size_t limit);
void clear_cache();
// There for MLX programs: nothing is wired here. Returns 0, the limit before.
size_t set_wired_limit(size_t limit);

}  // namespace tarn
