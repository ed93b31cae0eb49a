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
};
LowerOptions& lower_options();  // for tests; not while another thread evaluates

std::unique_ptr<Plan> lower(const GraphView& graph, const Backend& backend);

}  // namespace tarn
