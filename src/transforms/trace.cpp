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

std::vector<size_t> first_of_call(const std::vector<TraceEntry>& entries) {
  struct Begun {
    size_t first;
    std::vector<bool> seen;
  };
  std::unordered_map<Hash, Begun, HashOfHash> calls;
  std::vector<size_t> firsts(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const TraceEntry& e = entries[i];
    firsts[i] = i;
    if (!e.op->result) continue;
    auto [which, count] = e.op->result(e.params);
    Hash key;
    key.add(reinterpret_cast<uintptr_t>(e.op));
    for (size_t k = 1; k < e.in.size(); ++k) key.add(e.in[k].id());
    Begun fresh{i, std::vector<bool>(static_cast<size_t>(count))};
    Begun& call = calls.try_emplace(key, fresh).first->second;
    // The same result again: another call with the same inputs.
    if (call.seen[static_cast<size_t>(which)]) call = std::move(fresh);
    call.seen[static_cast<size_t>(which)] = true;
    firsts[i] = call.first;
  }
  return firsts;
}

std::vector<size_t> results_of_call(const std::vector<TraceEntry>& entries,
                                    const std::vector<size_t>& firsts, size_t first) {
  const TraceEntry& e = entries[first];
  if (!e.op->result) return {first};
  auto count = static_cast<size_t>(e.op->result(e.params).count);
  std::vector<size_t> results(count, ~size_t{0});
  for (size_t i = first, left = count; i < entries.size() && left > 0; ++i) {
    if (firsts[i] != first) continue;
    results[static_cast<size_t>(entries[i].op->result(entries[i].params).which)] = i;
    --left;
  }
  return results;
}

NodeSet index_of(const Arrays& arrays) {
  NodeSet set;
  for (size_t i = 0; i < arrays.size(); ++i) set.emplace(arrays[i].node(), static_cast<int>(i));
  return set;
}

}  // namespace tarn
