// vmap: the function is traced on one example, and the trace is repeated on whole batches.
#include "base/require.h"
#include "ops/kinds.h"
#include "tarn/transforms.h"
#include "transforms/derive.h"

namespace tarn {
namespace {

struct Mapped {
  array value;
  bool mapped = false;
};
using Values = std::unordered_map<Node*, Mapped>;

Arrays replay(const Arrays& outputs, const Arrays& arguments, const std::vector<Mapped>& given,
              int64_t batch);

// The results of a call that a mapped input reaches, each with the batch as axis 0.
Arrays vmap_call(const TraceEntry& e, const std::vector<Mapped>& in, int64_t batch) {
  std::vector<array> values;
  auto mapped = std::make_unique<bool[]>(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    values.push_back(in[i].value);
    mapped[i] = in[i].mapped;
  }
  if (e.op->vmap) return e.op->vmap(e.params, values, {{mapped.get(), in.size()}, batch});
  require(e.op->expand != nullptr, "[vmap] {} has no rule for a batch axis.", e.op->name);
  Arrays examples;
  for (size_t i = 0; i < in.size(); ++i)
    examples.push_back(new_placeholder({e.in[i].shape(), e.in[i].dtype()}));
  return replay(e.op->expand(e.params, examples), examples, in, batch);
}

Mapped unmapped_call(const TraceEntry& e, const std::vector<Mapped>& in) {
  std::vector<array> values;
  for (const auto& x : in) values.push_back(x.value);
  return {record(*e.op, e.params, std::move(values), {}), false};
}

Arrays replay(const Arrays& outputs, const Arrays& arguments, const std::vector<Mapped>& given,
              int64_t batch) {
  Values known;
  for (size_t i = 0; i < arguments.size(); ++i) known.try_emplace(arguments[i].node(), given[i]);
  auto entries = trace_between(outputs, arguments);
  auto firsts = first_of_call(entries);
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto& e = entries[i];
    std::vector<Mapped> in;
    bool any = false;
    for (const auto& x : e.in) {
      auto it = known.find(x.node());
      in.push_back(it == known.end() ? Mapped{x, false} : it->second);
      any |= in.back().mapped;
    }
    if (!any) known.try_emplace(e.out.node(), unmapped_call(e, in));
    if (!any || firsts[i] != i) continue;
    auto results = results_of_call(entries, firsts, i);
    Arrays made = vmap_call(e, in, batch);
    for (size_t k = 0; k < results.size(); ++k)
      if (results[k] < entries.size())
        known.try_emplace(entries[results[k]].out.node(), Mapped{made[k], true});
  }
  Arrays result;
  for (const auto& out : outputs) {
    auto it = known.find(out.node());
    Mapped m = it == known.end() ? Mapped{out, false} : it->second;
    if (!m.mapped) {
      Shape shape{batch};
      shape.insert(shape.end(), m.value.shape().begin(), m.value.shape().end());
      m.value = broadcast_to(m.value, shape);
    }
    result.push_back(m.value);
  }
  return result;
}

int64_t batch_size(const Arrays& inputs, const std::vector<int>& axes) {
  int64_t batch = -1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (axes[i] < 0) continue;
    int64_t n = inputs[i].shape(ops::normalize_axis("vmap", axes[i], inputs[i].ndim()));
    require<ShapeError>(batch < 0 || n == batch,
                        "[vmap] mapped axes have sizes {} and {}: they must agree.", batch, n);
    batch = n;
  }
  require(batch >= 0, "[vmap] no argument is mapped: at least one in_axes entry must be >= 0.");
  return batch;
}

}  // namespace

ArraysFunction vmap(const ArraysFunction& fun, const std::vector<int>& in_axes,
                    const std::vector<int>& out_axes) {
  return [fun, in_axes, out_axes](const Arrays& inputs) {
    auto axes = in_axes.empty() ? std::vector<int>(inputs.size(), 0) : in_axes;
    require(axes.size() == inputs.size(), "[vmap] {} in_axes for {} arguments.", axes.size(),
            inputs.size());
    int64_t batch = batch_size(inputs, axes);
    Arrays examples;
    std::vector<Mapped> given;
    for (size_t i = 0; i < inputs.size(); ++i) {
      bool mapped = axes[i] >= 0;
      array value = mapped ? moveaxis(inputs[i], axes[i], 0) : inputs[i];
      Shape shape = value.shape();
      if (mapped) shape.erase(shape.begin());
      examples.push_back(mapped ? new_placeholder({shape, value.dtype()}) : inputs[i]);
      given.push_back({value, mapped});
    }
    Arrays traced = fun(examples);
    auto outs = out_axes.empty() ? std::vector<int>(traced.size(), 0) : out_axes;
    require(outs.size() == traced.size(), "[vmap] {} out_axes for {} results.", outs.size(),
            traced.size());
    Arrays result = replay(traced, examples, given, batch);
    for (size_t i = 0; i < result.size(); ++i)
      if (outs[i] != 0) result[i] = moveaxis(result[i], 0, outs[i]);
    return result;
  };
}
std::function<array(const array&)> vmap(const UnaryFunction& fun, int in_axis, int out_axis) {
  auto many = vmap([fun](const Arrays& x) { return Arrays{fun(x[0])}; }, {in_axis}, {out_axis});
  return [many](const array& x) { return many({x})[0]; };
}
std::function<array(const array&, const array&)> vmap(
    const std::function<array(const array&, const array&)>& fun, int in_axis_a, int in_axis_b,
    int out_axis) {
  auto many = vmap([fun](const Arrays& x) { return Arrays{fun(x[0], x[1])}; },
                   {in_axis_a, in_axis_b}, {out_axis});
  return [many](const array& a, const array& b) { return many({a, b})[0]; };
}

}  // namespace tarn
