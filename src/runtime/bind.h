// The memory of one run of a plan.
#pragma once

#include "runtime/graph_view.h"
#include "runtime/plan.h"

namespace tarn {

// Makes memory for the outputs and says where the leaves are. That stays with the plan, which is in
// use by one evaluation at a time, for its vectors' room.
void bind(Plan& plan, const GraphView& view);

}  // namespace tarn
