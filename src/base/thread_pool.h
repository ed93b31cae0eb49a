// The process's worker threads: they spin for a while after work, then park.
#pragma once

#include <atomic>
#include <cstdint>

namespace tarn {

// How many threads computations use, the caller included: what affinity and the cgroup's quota
// allow, or TARN_NUM_THREADS.
int thread_count();

// Runs fn(context, worker, workers) on `workers` threads at once, the caller being worker 0.
// `workers` is what the pool could give: 1 when another thread holds it. fn must not throw.
using RegionFn = void (*)(void* context, int worker, int workers);
void run_region(int wanted, RegionFn fn, void* context);

// A barrier for the workers of one region: each passes when all have arrived.
class Barrier {
 public:
  void wait(int workers) {
    if (workers == 1) return;
    uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == workers) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    spin_until([&] { return phase_.load(std::memory_order_acquire) != phase; });
  }

  // Spins, and yields now and then: with fewer cores than threads the other side must get to run.
  template <class Ready>
  static void spin_until(Ready ready) {
    for (int i = 0; !ready(); ++i) {
      if (i % 512 == 511)
        yield();
      else
        pause();
    }
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  static void yield();

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
};

}  // namespace tarn
