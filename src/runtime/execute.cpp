// Runs a plan: one parallel region, whose workers wait for each other only between stages.
//
// Each stage has one share a worker. A worker does its own share, then waits until all are done; a
// share that nobody has begun by then, because the system gave its worker's core to another
// program, it does itself. So a worker that is away costs the time of its share, not a wait for the
// system to bring it back, unless it was taken away in the middle.
#include <atomic>
#include <exception>
#include <mutex>
#include <utility>

#include "base/buffer.h"
#include "base/require.h"
#include "base/thread_pool.h"
#include "runtime/from_outside.h"
#include "runtime/plan.h"
#include "tarn/memory.h"

namespace tarn {
namespace {

// Pauses before another worker's share is taken over: 1 to 3 us, several times what it takes a
// worker that is there to see that a stage has begun.
constexpr int pauses_before_help = 64;

void* address(const PlanOperand& o, const Plan& plan, const PlanBindings& bound, std::byte* slab,
              std::byte* own) {
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
    case Place::Kind::own:
      base = own + o.place.offset;
      break;
  }
  return base + o.bytes_in;
}

// Everything but the addresses.
WorkerSteps steps_for_a_worker(const Plan& plan) {
  WorkerSteps w;
  w.inputs.reserve(plan.inputs_at.size());
  w.steps.reserve(plan.steps.size());
  for (const auto& s : plan.steps) {
    Operand* first = w.inputs.data() + w.inputs.size();
    w.inputs.insert(w.inputs.end(), s.shapes.begin(), s.shapes.end() - 1);
    Step step;
    step.op = s.op;
    step.in = {first, s.shapes.size() - 1};
    step.out = s.out();
    step.program = s.program.get();
    step.params = &s.own_params;
    w.steps.push_back(std::move(step));
  }
  if (!plan.device) return w;
  const std::vector<unsigned> from_outside = inputs_from_outside(plan);
  for (size_t i = 0; i < w.steps.size(); ++i) w.steps[i].from_outside = from_outside[i];
  return w;
}

class Run {
 public:
  Run(Plan& plan, const PlanBindings& bound, const std::stop_token& stop, std::byte* slab)
      : plan_(plan), bound_(bound), stop_(stop), slab_(slab), first_stage_(plan.stages_run + 1) {
    plan.stages_run += plan.stages();
  }

  void alone() {
    for (size_t stage = 0; stage < plan_.stages(); ++stage) do_share(stage, 0, 1);
  }

  void work(int worker, int workers) {
    for (size_t stage = 0; stage < plan_.stages(); ++stage) {
      take_share(stage, worker, workers);
      for (int i = 0; i < pauses_before_help && !is_done(stage, workers); ++i) pause_briefly();
      for (int w = 0; w < workers && !is_done(stage, workers); ++w) take_share(stage, w, workers);
      spin_until([&] { return is_done(stage, workers); });
    }
  }

  void rethrow() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  uint64_t number_of(size_t stage) const { return first_stage_ + stage; }
  ShareState& state(size_t stage, int share, int workers) {
    return plan_
        .shares[(number_of(stage) % 2) * static_cast<size_t>(workers) + static_cast<size_t>(share)];
  }
  bool is_done(size_t stage, int workers) {
    bool done = true;
    for (int w = 0; w < workers; ++w)
      done &= state(stage, w, workers).done.load(std::memory_order_acquire) >= number_of(stage);
    return done;
  }

  // Does a share unless somebody has begun it. A worker that comes late finds later stages there.
  void take_share(size_t stage, int share, int workers) {
    ShareState& s = state(stage, share, workers);
    uint64_t begun = s.begun.load(std::memory_order_relaxed);
    if (begun >= number_of(stage)) return;
    if (!s.begun.compare_exchange_strong(begun, number_of(stage), std::memory_order_acq_rel))
      return;
    do_share(stage, share, workers);
    s.done.store(number_of(stage), std::memory_order_release);
  }

  void do_share(size_t stage, int share, int workers) {
    if (stage == 0) find_addresses(share);
    if (share == 0 && stop_.stop_requested())
      fail_with(std::make_exception_ptr(Cancelled("[eval] stopped on request.")));
    const WorkerSteps& mine = plan_.of_worker[static_cast<size_t>(share)];
    for (size_t s = plan_.stage_begins[stage]; s < plan_.stage_begins[stage + 1]; ++s) {
      const StepRun& step = plan_.runs[s];
      if (step.who == Who::one && share != 0) continue;
      if (failed_.load(std::memory_order_acquire)) return;
      try {
        step.who == Who::all ? step.run(mine.steps[s], share, workers)
                             : step.run(mine.steps[s], 0, 1);
      } catch (...) {
        fail_with(std::current_exception());
      }
    }
  }

  void find_addresses(int share) {
    std::byte* own = slab_ + plan_.slab_bytes + plan_.own_bytes * static_cast<size_t>(share);
    auto find = [&](const PlanOperand& o) { return address(o, plan_, bound_, slab_, own); };
    WorkerSteps& mine = plan_.of_worker[static_cast<size_t>(share)];
    for (size_t i = 0; i < mine.inputs.size(); ++i) mine.inputs[i].data = find(plan_.inputs_at[i]);
    for (size_t s = 0; s < plan_.runs.size(); ++s) {
      const StepRun& from = plan_.runs[s];
      Step& step = mine.steps[s];
      step.out.data = find(from.out);
      if (from.scratch) step.scratch = find({*from.scratch, 0});
      if (from.params_of >= 0) step.params = bound_.params[static_cast<size_t>(from.params_of)];
    }
  }

  void fail_with(std::exception_ptr e) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(e);
    failed_.store(true, std::memory_order_release);
  }

  Plan& plan_;
  const PlanBindings& bound_;
  const std::stop_token& stop_;
  std::byte* slab_;
  uint64_t first_stage_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_{};
  std::exception_ptr error_{};
};

}  // namespace

void make_ready(Plan& plan, int workers) {
  if (plan.runs.empty()) {
    // Whole or not at all: a plan that could not be finished is used again.
    decltype(plan.runs) runs;
    decltype(plan.inputs_at) inputs_at;
    for (const auto& s : plan.steps) {
      runs.push_back({s.kernel.run, s.who, s.params_of, s.at.back(), s.scratch});
      inputs_at.insert(inputs_at.end(), s.at.begin(), s.at.end() - 1);
    }
    plan.inputs_at = std::move(inputs_at);
    plan.runs = std::move(runs);
  }
  while (plan.of_worker.size() < static_cast<size_t>(workers))
    plan.of_worker.push_back(steps_for_a_worker(plan));
  size_t shares = 2 * static_cast<size_t>(workers);
  if (workers > 1 && plan.shares.size() != shares) plan.shares = std::vector<ShareState>(shares);
}

// The scope that the thread is in, and the block that it keeps; null while that is in use.
struct WorkspaceScope::Impl {
  Impl* outer = nullptr;
  BufferRef block{};
};

namespace {

thread_local WorkspaceScope::Impl* workspace = nullptr;

// A plan's memory: the kept block where it is large enough. A block that was in use is kept again,
// unless an evaluation inside of this one has left one meanwhile.
class Workspace {
 public:
  explicit Workspace(size_t bytes) {
    if (bytes == 0) return;
    if (workspace && workspace->block) block_ = std::exchange(workspace->block, {});
    if (block_ && block_->bytes < bytes) block_ = {};
    if (!block_) block_ = BufferRef(allocate_buffer(bytes));
  }
  ~Workspace() {
    if (workspace && !workspace->block) workspace->block = std::move(block_);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  std::byte* data() const { return block_ ? static_cast<std::byte*>(block_->data) : nullptr; }

 private:
  BufferRef block_{};
};

}  // namespace

WorkspaceScope::WorkspaceScope() : impl_(std::make_unique<Impl>()) {
  impl_->outer = std::exchange(workspace, impl_.get());
  if (impl_->outer) impl_->block = std::exchange(impl_->outer->block, {});
}
WorkspaceScope::~WorkspaceScope() {
  workspace = impl_->outer;
  if (workspace) workspace->block = std::move(impl_->block);
}

void execute(Plan& plan, const PlanBindings& bound, const std::stop_token& stop) {
  require<Cancelled>(!stop.stop_requested(), "[eval] stopped on request.");
  int workers = plan.shared ? thread_count() : 1;
  size_t bytes = plan.slab_bytes + plan.own_bytes * static_cast<size_t>(workers);
  Workspace memory(bytes);
  Run run(plan, bound, stop, memory.data());
  make_ready(plan, workers);
  run_region(
      workers,
      [](void* r, int worker, int given) {
        given == 1 ? static_cast<Run*>(r)->alone() : static_cast<Run*>(r)->work(worker, given);
      },
      &run);
  run.rethrow();
}

}  // namespace tarn
