#include "base/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

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

class Pool {
 public:
  static Pool& get() {
    static auto* const pool = new Pool;  // parked threads must not outlive a destroyed pool
    return *pool;
  }

  void run(int wanted, RegionFn fn, void* context) {
    wanted = std::min(wanted, thread_count());
    std::unique_lock lease(lease_, std::try_to_lock);
    if (wanted <= 1 || !lease.owns_lock()) {
      fn(context, 0, 1);
      return;
    }
    grow(wanted - 1);
    job_ = {fn, context, wanted};
    done_.store(0, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_seq_cst);
    if (parked_.load(std::memory_order_seq_cst) > 0) epoch_.notify_all();
    fn(context, 0, wanted);
    int others = static_cast<int>(started_);
    Barrier::spin_until([&] { return done_.load(std::memory_order_acquire) == others; });
  }

 private:
  void grow(int n) {
    for (; started_ < n; ++started_) {
      int id = started_ + 1;
      uint32_t seen = epoch_.load();
      std::thread([this, id, seen] { work(id, seen); }).detach();
    }
  }
  void work(int id, uint32_t seen) {
    for (;;) {
      for (int i = 0; i < spins_before_park && epoch_.load(std::memory_order_acquire) == seen; ++i)
        Barrier::pause();
      while (epoch_.load(std::memory_order_acquire) == seen) {
        parked_.fetch_add(1, std::memory_order_seq_cst);
        epoch_.wait(seen, std::memory_order_seq_cst);
        parked_.fetch_sub(1, std::memory_order_seq_cst);
      }
      ++seen;
      if (id < job_.workers) job_.fn(job_.context, id, job_.workers);
      done_.fetch_add(1, std::memory_order_acq_rel);
    }
  }

  std::mutex lease_;
  Job job_;
  int started_ = 0;
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<int> parked_{0};
};

}  // namespace

void Barrier::yield() { sched_yield(); }

int thread_count() {
  static const int n = decide_threads();
  return n;
}

void run_region(int wanted, RegionFn fn, void* context) { Pool::get().run(wanted, fn, context); }

}  // namespace tarn
