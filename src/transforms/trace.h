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

// For each entry the earliest entry of the same call, itself for a call with one result. When that
// one is reached from the back, the cotangents of all results are there; from the front, all
// inputs.
std::vector<size_t> first_of_call(const std::vector<TraceEntry>& entries);
// The entries of the call that begins with `first`, by result; ~0 for a result that is not traced.
std::vector<size_t> results_of_call(const std::vector<TraceEntry>& entries,
                                    const std::vector<size_t>& firsts, size_t first);

using NodeSet = std::unordered_map<Node*, int>;
NodeSet index_of(const Arrays& arrays);

}  // namespace tarn
