// The part of the graph that one evaluation computes, in order, with what a plan depends on.
#pragma once

#include <vector>

#include "base/hash.h"
#include "graph/node.h"

namespace tarn {

struct GraphItem {
  Node* node = nullptr;
  std::vector<int> in{};  // items; empty for leaves
  int uses = 0;           // by other items
  bool leaf = false;
  bool output = false;   // somebody holds a handle to it
  bool donated = false;  // a leaf that nobody needs after this evaluation
};

struct GraphView {
  std::vector<GraphItem> items{};
  Hash shape_of{};   // ops, static parameters, shapes, layouts, outputs and donations
  Hash values_of{};  // the run-time parameters
};

}  // namespace tarn
