// What a device's launches read that is there before the plan runs.
#pragma once

#include <vector>

#include "runtime/plan.h"

namespace tarn {

// Step::from_outside of each step of a plan with a device.
std::vector<unsigned> inputs_from_outside(const Plan& plan);

}  // namespace tarn
