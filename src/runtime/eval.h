// Evaluation: walk, claim, find or make the plan, run, publish.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tarn/array.h"
#include "tarn/stop.h"

namespace tarn {

struct GraphView;
struct Hash;
struct Plan;

// How much evaluation did, for tests and reports. Counted since the start of the process.
struct EvalCounters {
  uint64_t plans_made = 0;
  uint64_t plans_run = 0;
  uint64_t turns_followed = 0;            // runs of those without a graph (Turns::follow)
  uint64_t bytes_copied_for_updates = 0;  // by updates that could not write in place
};
EvalCounters eval_counters();
void count_run(const Plan& plan);
void count_followed_turn();

// Who may keep the plan of an evaluation.
struct PlanKeeper {
  virtual ~PlanKeeper() = default;
  // After its run, when the outputs are there and the view's nodes still are. A plan that it leaves
  // goes back to the cache.
  virtual void ran(const Hash& key, std::unique_ptr<Plan>& plan, const GraphView& view) = 0;
};
// eval_ahead, after which `keeper` is asked.
void evaluate_ahead(const std::vector<array>& outputs, PlanKeeper* keeper);

// Whether an evaluation of this thread leaves what its kernels meet to a later one: eval_ahead.
bool runs_ahead();

class AheadScope {
 public:
  AheadScope();
  ~AheadScope();
  AheadScope(const AheadScope&) = delete;
  AheadScope& operator=(const AheadScope&) = delete;

 private:
  bool before_;
};

// Whether a HistoryScope lives on this thread.
bool keeps_history();

// Whether async_eval was given work that is not done, and the calling thread is not the one that
// does it. Who talks with other processes waits for it first, so that communications happen in the
// order of the calls.
bool async_work_goes_first();
void wait_for_async_work();

void clear_plan_cache();
// The plan of an array that is not evaluated yet; null while another thread evaluates it.
std::unique_ptr<Plan> plan_of(const array& a);

}  // namespace tarn
