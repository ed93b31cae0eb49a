// How much memory arrays hold, and limits on it. All figures in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tarn/device.h"

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
// Gives back to the system all that is kept for later: cached memory, plans, and free memory of the
// C library. What needs them again makes them again.
void release_memory();
// There for MLX programs: nothing is wired here. Returns 0, the limit before.
size_t set_wired_limit(size_t limit);

// What was copied between the host and devices since the start of the process. With
// TARN_TRACE_TRANSFERS=1 in the environment each copy is also said on standard error.
struct TransferInfo {
  uint64_t bytes_to_device = 0, bytes_to_host = 0, copies = 0;
};
TransferInfo get_transfers();
// Evaluates the arrays and has copies of them where `to` is. Throws ValueError when there is no
// such device and DeviceError when it has no room.
void prefetch(const std::vector<array>& arrays, StreamOrDevice to);

// While it lives, the memory that this thread's evaluations work in stays from one to the next, the
// most that one of them took. Without it large blocks go back to the system, which clears them anew
// each time. An inner scope works in the outer one's memory. Ends on the thread that it began on,
// the inner one first.
class WorkspaceScope {
 public:
  WorkspaceScope();
  ~WorkspaceScope();
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// Finds out what a computation takes without doing it: while one lives, whatever this thread
// evaluates is planned as always, but its memory is counted instead of taken and no number is
// computed. Results read as zeros and stay so; nothing that is used elsewhere and not yet evaluated
// may be evaluated inside. Ends on the thread that it began on, the inner one first.
class MemoryRehearsal {
 public:
  MemoryRehearsal();
  ~MemoryRehearsal();
  MemoryRehearsal(const MemoryRehearsal&) = delete;
  MemoryRehearsal& operator=(const MemoryRehearsal&) = delete;

  // The most that the process would hold for results and workspace at a time, with what is kept for
  // reuse.
  size_t peak() const;
  // What the plans that were used take, and making the largest of them.
  size_t plans() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn
