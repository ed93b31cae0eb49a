// Runs a plan: one parallel region, a barrier only where a step needs another's result.
#include <atomic>
#include <exception>
#include <mutex>

#include "base/buffer.h"
#include "base/require.h"
#include "base/thread_pool.h"
#include "runtime/plan.h"

namespace tarn {
namespace {

// Below this much work the caller does it alone: waking another core costs more.
constexpr double parallel_from_ns = 20000;

struct Run {
  Plan& plan;
  const std::stop_token& stop;
  Barrier barrier{};
  std::atomic<bool> failed{false};
  std::mutex mutex{};
  std::exception_ptr error{};

  void fail_with(std::exception_ptr e) {
    std::lock_guard lock(mutex);
    if (!error) error = std::move(e);
    failed.store(true, std::memory_order_release);
  }
  bool stopped() const { return failed.load(std::memory_order_acquire); }

  void guarded(KernelFn fn, const Step& step, int worker, int workers) {
    if (stopped()) return;
    try {
      fn(step, worker, workers);
    } catch (...) {
      fail_with(std::current_exception());
    }
  }

  void work(int worker, int workers) {
    for (auto& s : plan.steps) {
      if (s.barrier_before) {
        barrier.wait(workers);
        if (worker == 0 && stop.stop_requested())
          fail_with(std::make_exception_ptr(Cancelled("[eval] stopped on request.")));
      }
      if (s.serial) {
        if (worker != 0) continue;
        if (s.kernel.prepare) guarded(s.kernel.prepare, s.step, 0, 1);
        guarded(s.kernel.run, s.step, 0, 1);
        continue;
      }
      if (s.kernel.prepare) {
        guarded(s.kernel.prepare, s.step, worker, workers);
        barrier.wait(workers);
      }
      guarded(s.kernel.run, s.step, worker, workers);
    }
  }
};

void* address(const PlanOperand& o, const Plan& plan, const PlanBindings& bound, std::byte* slab) {
  std::byte* base = nullptr;
  auto i = static_cast<size_t>(o.place.index);
  switch (o.place.kind) {
    case Place::Kind::leaf:
      base = static_cast<std::byte*>(bound.leaves[i]);
      break;
    case Place::Kind::constant:
      base = static_cast<std::byte*>(const_cast<void*>(plan.constants[i].data<void>()));
      break;
    case Place::Kind::buffer:
      base = static_cast<std::byte*>(bound.buffers[i]);
      break;
    case Place::Kind::slab:
      base = slab + o.place.offset;
      break;
  }
  return base + o.bytes_in;
}

}  // namespace

void execute(Plan& plan, const PlanBindings& bound, const std::stop_token& stop) {
  BufferRef slab_memory;
  std::byte* slab = nullptr;
  if (plan.slab_bytes > 0) {
    slab_memory = BufferRef(allocate_buffer(plan.slab_bytes));
    slab = static_cast<std::byte*>(slab_memory->data);
  }
  for (auto& s : plan.steps) {
    for (size_t i = 0; i < s.in.size(); ++i)
      s.step.in[i].data = address(s.in[i], plan, bound, slab);
    s.step.out.data = address(s.out, plan, bound, slab);
    s.step.scratch = slab + s.scratch_at;
    s.step.params =
        s.params_of >= 0 ? bound.params[static_cast<size_t>(s.params_of)] : &s.own_params;
  }
  require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
  int workers = plan.cost >= parallel_from_ns ? thread_count() : 1;
  Run run{plan, stop};
  run_region(
      workers, [](void* r, int worker, int given) { static_cast<Run*>(r)->work(worker, given); },
      &run);
  if (run.error) std::rethrow_exception(run.error);
}

}  // namespace tarn
