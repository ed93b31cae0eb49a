#include "transforms/record.h"

#include <algorithm>
#include <mutex>

#include "base/require.h"
#include "ops/kinds.h"

namespace tarn {

Arrays Recording::run(const Arrays& inputs) const {
  Arrays values(inputs);
  values.reserve(arguments.size() + calls.size());
  auto value = [&](int i) -> const array& {
    return i >= 0 ? values[static_cast<size_t>(i)] : constants[static_cast<size_t>(~i)];
  };
  for (const auto& c : calls) {
    std::vector<array> in;
    in.reserve(c.in.size());
    for (int i : c.in) in.push_back(value(i));
    values.push_back(record(*c.op, c.params, std::move(in), c.spec.shape, c.spec.dtype, {}));
  }
  Arrays out;
  for (int i : outputs) out.push_back(value(i));
  return out;
}

std::vector<ArraySpec> specs_of(const Arrays& arrays) {
  std::vector<ArraySpec> specs;
  for (const auto& a : arrays) specs.push_back({a.shape(), a.dtype()});
  return specs;
}

namespace {

struct Recorded {
  const Op* op = nullptr;
  Params params{};
  Arrays in{};
};
// How an array that is not there yet is made; op is null for one that is.
Recorded history_of(const array& a) {
  std::lock_guard lock(graph_mutex());
  const Node& n = *a.node();
  if (!n.op || n.state != State::recorded) return {};
  return {n.op, n.params, n.inputs};
}

class Recorder {
 public:
  Recorder(const Arrays& arguments, bool with_sizes) : with_sizes_(with_sizes) {
    known_ = index_of(arguments);
    r.arguments = specs_of(arguments);
  }
  Recording r{};

  void add(const array& out, const Op& op, const Params& params, const Arrays& in) {
    Recording::CallOf c{&op, params, {}, {out.shape(), out.dtype()}};
    for (const auto& x : in) c.in.push_back(index(x));
    known_[out.node()] = static_cast<int>(r.arguments.size() + r.calls.size());
    r.calls.push_back(std::move(c));
  }
  int index(const array& a) {
    if (auto it = known_.find(a.node()); it != known_.end()) return it->second;
    if (with_sizes_ && made_of_sizes(a, 0)) {
      Recorded made = history_of(a);
      if (made.op) {
        add(a, *made.op, made.params, made.in);
        return known_[a.node()];
      }
    }
    known_[a.node()] = ~static_cast<int>(r.constants.size());
    r.constants.push_back(a);
    return known_[a.node()];
  }

 private:
  // Like zeros and arange: from single numbers, in a few steps. Its parameters may be sizes.
  static bool made_of_sizes(const array& a, int depth) {
    constexpr int deepest = 6;
    Recorded made = history_of(a);
    if (!made.op) return a.size() == 1 && a.is_available();
    return depth < deepest && std::ranges::all_of(made.in, [&](const array& x) {
             return made_of_sizes(x, depth + 1);
           });
  }

  NodeSet known_{};
  bool with_sizes_;
};

}  // namespace

Recording record_function(const ArraysFunction& fun, const std::vector<ArraySpec>& specs,
                          bool with_sizes) {
  Arrays arguments;
  for (const auto& spec : specs) arguments.push_back(new_placeholder(spec));
  Arrays outs = fun(arguments);
  Recorder recorder(arguments, with_sizes);
  for (auto& e : trace_between(outs, arguments)) recorder.add(e.out, *e.op, e.params, e.in);
  for (const auto& out : outs) recorder.r.outputs.push_back(recorder.index(out));
  return std::move(recorder.r);
}

std::optional<Recording> resized(const Recording& r, const std::vector<ArraySpec>& arguments) {
  Recording out = r;
  out.arguments = arguments;
  SizeChange sizes;
  std::vector<Shape> was;
  Arrays values;
  for (size_t i = 0; i < arguments.size(); ++i) {
    sizes.learn(r.arguments[i].shape, arguments[i].shape);
    was.push_back(r.arguments[i].shape);
    values.push_back(new_placeholder(arguments[i]));
  }
  for (auto& c : out.calls) {
    Arrays in;
    for (int i : c.in)
      in.push_back(i >= 0 ? values[static_cast<size_t>(i)] : r.constants[static_cast<size_t>(~i)]);
    if (c.op->resize && !c.in.empty() && c.in[0] >= 0) {
      auto params =
          c.op->resize(was[static_cast<size_t>(c.in[0])], c.spec.shape, in[0].shape(), sizes);
      if (!params) return std::nullopt;
      c.params = *params;
    } else {
      c.params = c.params.resized(sizes);
    }
    ArraySpec spec = c.op->infer(c.params, in);
    for (auto d : spec.shape)
      if (d < 0) return std::nullopt;
    sizes.learn(c.spec.shape, spec.shape);
    was.push_back(c.spec.shape);
    c.spec = spec;
    values.push_back(new_placeholder(spec));
  }
  return out;
}

namespace {

bool same_value(const array& a, const array& b) {
  if (a.node() == b.node()) return true;
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  try {
    return array_equal(a, b, true).item<bool>();
  } catch (const ValueError&) {
    return false;  // one of them is an argument of a function around this one
  }
}

}  // namespace

bool same(const Recording& a, const Recording& b) {
  if (a.arguments != b.arguments || a.outputs != b.outputs || a.calls.size() != b.calls.size() ||
      a.constants.size() != b.constants.size())
    return false;
  for (size_t i = 0; i < a.calls.size(); ++i) {
    const auto &x = a.calls[i], &y = b.calls[i];
    if (x.op != y.op || x.in != y.in || x.spec != y.spec || !(x.params == y.params)) return false;
  }
  for (size_t i = 0; i < a.constants.size(); ++i)
    if (!same_value(a.constants[i], b.constants[i])) return false;
  return true;
}

bool covers(const std::vector<ArraySpec>& base, const std::vector<ArraySpec>& tried,
            const std::vector<ArraySpec>& now) {
  std::vector<std::pair<std::pair<int64_t, int64_t>, int64_t>> changed;
  for (size_t i = 0; i < base.size(); ++i) {
    for (size_t k = 0; k < base[i].shape.size(); ++k) {
      int64_t a = base[i].shape[k], b = tried[i].shape[k], c = now[i].shape[k];
      if (a == b) {
        if (c != a) return false;
        continue;
      }
      if (a < 2 || b < 2 || c < 2) return false;
      for (const auto& [sizes, is] : changed)
        if (sizes == std::pair(a, b) && is != c) return false;
      changed.push_back({{a, b}, c});
    }
  }
  return true;
}

}  // namespace tarn
