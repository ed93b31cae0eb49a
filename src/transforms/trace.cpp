#include "transforms/trace.h"

#include <mutex>

namespace tarn {
namespace {

struct Frame {
  Node* node;
  size_t next;
  bool depends;
};

// Walks depth first without recursion, so that a chain of a million ops is fine.
class Tracer {
 public:
  explicit Tracer(const Arrays& arguments) {
    for (const auto& a : arguments) depends_.emplace(a.node(), true);
  }

  std::vector<TraceEntry> entries{};

  void visit(const array& root) {
    if (known(root.node())) return;
    stack_.push_back({root.node(), 0, false});
    while (!stack_.empty()) {
      Frame& top = stack_.back();
      if (top.next < top.node->inputs.size()) {
        Node* in = top.node->inputs[top.next].node();
        auto it = depends_.find(in);
        if (it == depends_.end()) {
          stack_.push_back({in, 0, false});
          continue;
        }
        top.depends |= it->second;
        ++top.next;
        continue;
      }
      Node* n = top.node;
      bool depends = top.depends;
      stack_.pop_back();
      depends_.emplace(n, depends);
      if (!depends) continue;
      retain(n);
      entries.push_back({array(n), n->op, n->params, n->inputs});
    }
  }

 private:
  bool known(Node* n) const { return depends_.count(n) > 0; }

  std::unordered_map<Node*, bool> depends_{};
  std::vector<Frame> stack_{};
};

}  // namespace

std::vector<TraceEntry> trace_between(const Arrays& outputs, const Arrays& arguments) {
  std::lock_guard lock(graph_mutex());
  Tracer tracer(arguments);
  for (const auto& out : outputs) tracer.visit(out);
  return std::move(tracer.entries);
}

NodeSet index_of(const Arrays& arrays) {
  NodeSet set;
  for (size_t i = 0; i < arrays.size(); ++i) set.emplace(arrays[i].node(), static_cast<int>(i));
  return set;
}

}  // namespace tarn
