// Makes a plan for a graph: views resolved, expansions applied, elementwise chains fused, memory
// laid out by liveness.
#pragma once

#include <memory>

#include "runtime/graph_view.h"
#include "runtime/plan.h"

namespace tarn {

struct LowerOptions {
  bool fuse = true;          // off: one step an op, for the law tests
  bool reuse_memory = true;  // off: every value in memory of its own
  // A step that takes less is done by each worker for itself: sharing it and waiting costs more.
  double each_below_ns = 3000;
  // A plan that takes less is the caller's alone: waking another core costs more.
  double share_from_ns = 20000;
};
LowerOptions& lower_options();  // for tests; not while another thread evaluates

// What was recorded for a device is planned for `device`, where there is one.
std::unique_ptr<Plan> lower(const GraphView& graph, const Backend& cpu, const Backend* device);

}  // namespace tarn
