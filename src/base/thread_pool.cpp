#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/signals_blocked.h"

namespace tarn {
namespace {

// About 100 us of pauses: longer than the gap between two tokens' plans, short enough for a laptop.
constexpr int spins_before_park = 4000;
constexpr int most_threads = 256;

// The cgroup's CPU quota in cores, rounded up; a large number without one.
int quota_cores() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0)
    return std::max(1, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period)));
  std::ifstream q1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
      p1("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double q = 0, p = 0;
  if (q1 >> q && p1 >> p && q > 0 && p > 0) return std::max(1, static_cast<int>(std::ceil(q / p)));
  return most_threads;
}

int decide_threads() {
  if (const char* text = std::getenv("TARN_NUM_THREADS")) {
    int n = std::atoi(text);
    if (n >= 1) return std::min(n, most_threads);
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::clamp(std::min(cores, quota_cores()), 1, most_threads);
}

struct Job {
  RegionFn fn = nullptr;
  void* context = nullptr;
  int workers = 0;
};

// The state of the one region that runs: its number, whether workers may still join, and how many
// are inside.
constexpr uint32_t joined_mask = 0x7fff, open_bit = 0x8000;
constexpr uint32_t number_of(uint32_t state) { return state >> 16; }

class Pool {
 public:
  static Pool& get() {
    static auto* const pool = new Pool;  // parked threads must not outlive a destroyed pool
    return *pool;
  }

  void run(int wanted, RegionFn fn, void* context) {
    wanted = std::min(wanted, thread_count());
    if (wanted <= 1) return fn(context, 0, 1);
    std::unique_lock lease(lease_, std::try_to_lock);
    if (!lease.owns_lock()) return fn(context, 0, 1);
    grow(wanted - 1);
    job_ = {fn, context, wanted};
    uint32_t number = number_of(state_.load(std::memory_order_relaxed)) + 1;
    state_.store(number << 16 | open_bit, std::memory_order_seq_cst);
    if (parked_.load(std::memory_order_seq_cst) > 0) state_.notify_all();
    fn(context, 0, wanted);
    state_.fetch_and(~open_bit, std::memory_order_acq_rel);
    spin_until([&] { return (state_.load(std::memory_order_acquire) & joined_mask) == 0; });
  }

 private:
  // Where the system has no more threads to give, those that are there do the work.
  void grow(int n) try {
    if (started_ >= n) return;
    SignalsBlocked blocked;
    for (; started_ < n; ++started_) {
      int id = started_ + 1;
      uint32_t seen = number_of(state_.load());
      std::thread([this, id, seen] { work(id, seen); }).detach();
    }
  } catch (const std::exception&) {  // no thread, or no memory for one
  }

  // True once this worker is inside a region that it has not seen; at most one try a region.
  bool join(uint32_t& seen) {
    uint32_t state = state_.load(std::memory_order_acquire);
    while (number_of(state) != seen && (state & open_bit)) {
      if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel,
                                        std::memory_order_acquire))
        continue;
      seen = number_of(state);
      return true;
    }
    return false;
  }

  void work(int id, uint32_t seen) {
    for (int idle = 0;; ++idle) {
      if (join(seen)) {
        if (id < job_.workers) job_.fn(job_.context, id, job_.workers);
        state_.fetch_sub(1, std::memory_order_acq_rel);
        idle = 0;
      } else if (idle < spins_before_park) {
        pause_briefly();
      } else {
        park(seen);
        idle = 0;
      }
    }
  }

  void park(uint32_t seen) {
    parked_.fetch_add(1, std::memory_order_seq_cst);
    uint32_t state = state_.load(std::memory_order_seq_cst);
    if (number_of(state) == seen || !(state & open_bit)) state_.wait(state);
    parked_.fetch_sub(1, std::memory_order_seq_cst);
  }

  std::mutex lease_;
  Job job_;
  int started_ = 0;
  alignas(64) std::atomic<uint32_t> state_{0};
  alignas(64) std::atomic<int> parked_{0};
};

}  // namespace

void yield_processor() { sched_yield(); }

int thread_count() {
  static const int n = decide_threads();
  return n;
}

void run_region(int wanted, RegionFn fn, void* context) { Pool::get().run(wanted, fn, context); }

}  // namespace tarn
