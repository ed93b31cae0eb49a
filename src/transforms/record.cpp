#include "transforms/record.h"

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

Recording record_function(const ArraysFunction& fun, const std::vector<ArraySpec>& specs) {
  Arrays arguments;
  for (const auto& spec : specs) arguments.push_back(new_placeholder(spec));
  Arrays outs = fun(arguments);
  Recording r;
  r.arguments = specs;
  NodeSet known = index_of(arguments);
  auto index = [&](const array& a) {
    auto [it, added] = known.try_emplace(a.node(), 0);
    if (added) {
      it->second = ~static_cast<int>(r.constants.size());
      r.constants.push_back(a);
    }
    return it->second;
  };
  for (auto& e : trace_between(outs, arguments)) {
    Recording::CallOf c{e.op, e.params, {}, {e.out.shape(), e.out.dtype()}};
    for (const auto& x : e.in) c.in.push_back(index(x));
    known[e.out.node()] = static_cast<int>(specs.size() + r.calls.size());
    r.calls.push_back(std::move(c));
  }
  for (const auto& out : outs) r.outputs.push_back(index(out));
  return r;
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
    if (c.op->resize && c.in[0] >= 0) {
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
