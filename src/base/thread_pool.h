// The process's worker threads: they spin for a while after work, then park.
#pragma once

namespace tarn {

// How many threads computations use, the caller included: what affinity and the cgroup's quota
// allow, or TARN_NUM_THREADS.
int thread_count();

// Runs fn(context, worker, workers): the caller at once as worker 0, others as they come. `workers`
// is what the pool could give, 1 when another thread holds it. A worker that the system does not
// schedule in time may come late or never, so fn must finish the work whoever takes part. Returns
// when those that came have left. fn must not throw.
using RegionFn = void (*)(void* context, int worker, int workers);
void run_region(int wanted, RegionFn fn, void* context);

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
void yield_processor();

// Waits until `ready()`. It spins, and yields now and then: with fewer cores than threads the other
// side must get to run.
template <class Ready>
void spin_until(Ready ready) {
  for (int i = 1; !ready(); ++i) i % 512 == 0 ? yield_processor() : pause_briefly();
}

}  // namespace tarn
