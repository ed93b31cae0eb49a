// The order of a plan's steps: in stages, between which workers wait for each other.
#pragma once

#include <span>
#include <vector>

#include "runtime/plan.h"

namespace tarn {

// What a step does to memory. Storages are numbers that the caller chose.
struct StepUse {
  Who who = Who::all;
  std::vector<int> reads{};
  int writes = 0;
  // Stays behind those before it that have this, too: both talk with other processes.
  bool ordered = false;
};

struct Schedule {
  std::vector<size_t> order{};   // steps
  std::vector<size_t> begins{};  // where in the order each stage begins, and its end
};

// `steps` come in an order that would do; independent ones move up to share a stage, but not far:
// what they make would be kept for long.
Schedule schedule(std::span<const StepUse> steps);

}  // namespace tarn
