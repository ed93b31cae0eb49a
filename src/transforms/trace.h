// The recorded history between the arguments of a function and its results.
#pragma once

#include <unordered_map>
#include <vector>

#include "graph/node.h"

namespace tarn {

// One call on the way from the arguments to the results.
struct TraceEntry {
  array out;
  const Op* op = nullptr;
  Params params{};
  Arrays in{};
};

// The calls that depend on `arguments` and that `outputs` depend on, in order. Holds handles to all
// of them, so the graph stays as it is while the trace lives.
std::vector<TraceEntry> trace_between(const Arrays& outputs, const Arrays& arguments);

using NodeSet = std::unordered_map<Node*, int>;
NodeSet index_of(const Arrays& arrays);

}  // namespace tarn
