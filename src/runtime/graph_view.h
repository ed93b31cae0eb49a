// The part of the graph that one evaluation computes, in order, with what a plan depends on.
#pragma once

#include <span>
#include <vector>

#include "base/hash.h"
#include "graph/node.h"

namespace tarn {

struct GraphItem {
  Node* node = nullptr;
  int first_in = 0, ins = 0;  // the items it reads, in GraphView::inputs; none for leaves
  int uses = 0;               // by other items
  bool leaf = false;
  bool output = false;   // somebody holds a handle to it
  bool donated = false;  // a leaf that nobody needs after this evaluation
};

struct GraphView {
  std::vector<GraphItem> items{};
  std::vector<int> inputs{};  // of all items, as items
  Hash shape_of{};            // ops, static parameters, shapes, layouts, outputs and donations
  Hash values_of{};           // the run-time parameters

  std::span<const int> in(const GraphItem& item) const {
    return {inputs.data() + item.first_in, static_cast<size_t>(item.ins)};
  }
};

}  // namespace tarn
