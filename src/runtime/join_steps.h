// Steps of a device that one launch can do.
#pragma once

#include <vector>

#include "runtime/plan.h"
#include "runtime/schedule.h"

namespace tarn {

// Puts those of a stage behind each other, and says so in the plan. `order` holds places in `kept`,
// which are steps; `reads` has the values that each step reads. A stage's steps on the device
// depend on nothing in it, and what they use is in use as long as it lasts.
void join_steps(Plan& plan, const std::vector<std::vector<int>>& reads,
                const std::vector<size_t>& kept, Schedule& order);

}  // namespace tarn
