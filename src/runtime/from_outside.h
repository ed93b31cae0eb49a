// What a device's launches read that is there before the plan runs.
#pragma once

#include "runtime/plan.h"

namespace tarn {

// Finds Step::from_outside for the steps of a plan whose memories are known.
void find_inputs_from_outside(Plan& plan);

}  // namespace tarn
