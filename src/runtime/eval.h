// Evaluation: walk, claim, find or make the plan, run, publish.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tarn/array.h"
#include "tarn/stop.h"

namespace tarn {

// How much evaluation did, for tests and reports. Counted since the start of the process.
struct EvalCounters {
  uint64_t plans_made = 0;
  uint64_t plans_run = 0;
  uint64_t bytes_copied_for_updates = 0;  // by updates that could not write in place
};
EvalCounters eval_counters();
void count_update_copy(uint64_t bytes);

void clear_plan_cache();
// The plan of an unevaluated array as text: steps, kernels, bytes and where workers wait.
std::string explain_plan(const array& a);

}  // namespace tarn
