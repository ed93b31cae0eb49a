#include "runtime/fuse.h"

#include <algorithm>
#include <unordered_map>

#include "ops/kinds.h"

namespace tarn {
namespace {

constexpr size_t most_ops = 40;  // instructions in one step
constexpr size_t most_inputs = 24;
constexpr int most_recomputed = 4;  // cheap ops that are computed again rather than stored
// Of a value that is computed again for memory's sake: ops, and values that it is made of.
constexpr int most_again = 12;
constexpr size_t most_sources = 3;

bool is_elementwise(const Value& v) { return v.kind == Value::Kind::elementwise; }

// How many ops a step would compute again for `id`, or more than allowed.
int recompute_cost(const std::vector<Value>& values, int id) {
  const Value& v = values[static_cast<size_t>(id)];
  if (!is_elementwise(v) || (v.roots.size() == 1 && v.roots[0] == id)) return 0;
  if (!v.op->cheap) return most_recomputed + 1;
  int cost = 1;
  for (int i : v.in) {
    cost += recompute_cost(values, i);
    if (cost > most_recomputed) break;
  }
  return cost;
}

// The stored values that a step would make `id` of; false when they or the ops are too many.
bool find_sources(const std::vector<Value>& values, int id, std::vector<int>& sources, int& ops) {
  const Value& v = values[static_cast<size_t>(id)];
  if (is_elementwise(v) && !(v.roots.size() == 1 && v.roots[0] == id))
    return ++ops <= most_again && std::all_of(v.in.begin(), v.in.end(), [&](int i) {
      return find_sources(values, i, sources, ops);
    });
  if (std::find(sources.begin(), sources.end(), id) == sources.end()) sources.push_back(id);
  return sources.size() <= most_sources;
}
// Backend::computes_again: whether steps that compute `id` again read no more than those that read
// it stored, and the one that stores it.
bool is_read_faster_again(const std::vector<Value>& values, int id, size_t steps) {
  std::vector<int> sources;
  int ops = 0;
  if (!find_sources(values, id, sources, ops)) return false;
  return sources.size() * steps <= sources.size() + 1 + steps;
}

// The steps in which v's readers are computed; none, and why, when v must be stored.
std::vector<int> roots_of_readers(const std::vector<Value>& values, Value& v, bool fuse) {
  std::vector<int> roots;
  auto stored = [&](Stored why, const Op* reader = nullptr) {
    v.stored = why, v.reader = reader;
    return std::vector<int>();
  };
  if (v.users.empty()) return stored(Stored::unread);
  if (v.output) return stored(Stored::output);
  if (!fuse) return stored(Stored::alone);
  for (int u : v.users) {
    const Value& user = values[static_cast<size_t>(u)];
    if (!is_elementwise(user) || user.backend != v.backend) return stored(Stored::reader, user.op);
    if (user.layout.shape != v.layout.shape) return stored(Stored::repeats, user.op);
    for (int r : user.roots)
      if (std::find(roots.begin(), roots.end(), r) == roots.end()) roots.push_back(r);
  }
  return roots;
}

// The compute type of an op's operand: halves go through float.
Dtype working(Dtype t) { return t == float16 || t == bfloat16 ? float32 : t; }

class ChainWriter {
 public:
  explicit ChainWriter(const std::vector<Value>& values) : values_(values) {}
  Chain chain{};

  int write(int id, int root) {
    if (auto it = known_.find(id); it != known_.end()) return it->second;
    const Value& v = values_[static_cast<size_t>(id)];
    bool inside = is_elementwise(v) && (id == root || v.roots.empty() || v.roots[0] != id);
    int at = inside ? instruction(id, root) : input(id);
    known_.emplace(id, at);
    return at;
  }

 private:
  int input(int id) {
    chain.inputs.push_back(id);
    return ~static_cast<int>(chain.inputs.size() - 1);
  }
  int instruction(int id, int root) {
    const Value& v = values_[static_cast<size_t>(id)];
    FusedOp f;
    f.op = v.op;
    f.arity = static_cast<int>(v.in.size());
    for (size_t i = 0; i < v.in.size(); ++i) f.in[i] = write(v.in[i], root);
    f.from = working(values_[static_cast<size_t>(v.in.back())].dtype);
    f.to = v.dtype;
    chain.ops.push_back(f);
    return static_cast<int>(chain.ops.size() - 1);
  }

  const std::vector<Value>& values_;
  std::unordered_map<int, int> known_{};
};

}  // namespace

Chain chain_of(const std::vector<Value>& values, int root) {
  ChainWriter writer(values);
  writer.write(root, root);
  return std::move(writer.chain);
}

void choose_steps(std::vector<Value>& values, bool fuse) {
  for (size_t i = 0; i < values.size(); ++i)
    for (int x : values[i].in) values[static_cast<size_t>(x)].users.push_back(static_cast<int>(i));
  std::unordered_map<int, size_t> step_size;
  for (int id = static_cast<int>(values.size()) - 1; id >= 0; --id) {
    Value& v = values[static_cast<size_t>(id)];
    if (!is_elementwise(v)) continue;
    std::vector<int> roots = roots_of_readers(values, v, fuse);
    bool fuses = !roots.empty();
    if (roots.size() > 1) {
      v.roots = {-1};
      fuses = recompute_cost(values, id) <= most_recomputed ||
              (v.backend && v.backend->computes_again &&
               is_read_faster_again(values, id, roots.size()));
      if (!fuses) v.stored = Stored::shared;
    }
    for (int r : roots)
      if (fuses && step_size[r] + 1 > most_ops) fuses = false, v.stored = Stored::full;
    v.roots = fuses ? roots : std::vector<int>{id};
    for (int r : v.roots) ++step_size[r];
  }
  // A chain with too many inputs is cut: its largest inner values are stored.
  for (size_t i = 0; i < values.size(); ++i) {
    Value& v = values[i];
    int id = static_cast<int>(i);
    if (!is_elementwise(v) || v.roots != std::vector<int>{id}) continue;
    if (v.in.empty()) continue;  // nobody needs it
    if (chain_of(values, id).inputs.size() <= most_inputs) continue;
    for (int x : v.in) {
      Value& inner = values[static_cast<size_t>(x)];
      if (is_elementwise(inner) && inner.roots != std::vector<int>{x})
        inner.roots = {x}, inner.stored = Stored::full;
    }
  }
}

}  // namespace tarn
