// Operations that a program defines itself: their rules, from what custom_op was told.
#include "tarn/custom_op.h"

#include "base/require.h"
#include "graph/custom.h"
#include "ops/kinds.h"
#include "transforms/derive.h"

namespace tarn {
namespace {

const CustomOp& told_of(const Params& params) {
  return params.as<CustomOpParams>().definition->told;
}
Arrays listed(std::span<const array> in) { return {in.begin(), in.end()}; }

ArraySpec infer(const Params& params, std::span<const array> in) {
  const CustomOp& op = told_of(params);
  ArraySpec spec = op.infer(listed(in));
  for (auto d : spec.shape)
    require<ShapeError>(d >= 0, "[{}] infer says shape {}: sizes are not negative.", op.name,
                        text_of(spec.shape));
  return spec;
}

Arrays as_inferred(const char* rule, const array& out, const Params& params,
                   std::span<const array> in) {
  ArraySpec is{out.shape(), out.dtype()}, wanted = infer(params, in);
  require(is == wanted, "[{}] {} made {} {}, infer says {} {}.", told_of(params).name, rule,
          name_of(is.dtype), text_of(is.shape), name_of(wanted.dtype), text_of(wanted.shape));
  return {out};
}
Arrays expand(const Params& params, std::span<const array> in) {
  return as_inferred("expand", told_of(params).expand(listed(in)), params, in);
}

array like(const CustomOp& op, const char* rule, const array& made, const array& model) {
  require<ShapeError>(made.shape() == model.shape(),
                      "[{}] {} made shape {}; what it belongs to has shape {}.", op.name, rule,
                      text_of(made.shape()), text_of(model.shape()));
  return astype(made, model.dtype());
}

std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents) {
  const CustomOp& op = told_of(call.params);
  require(op.vjp != nullptr,
          "[{}] a derivative is asked for, and custom_op was given neither vjp nor expand.",
          op.name);
  std::vector<Maybe> result(call.in.size());
  if (!cotangents[0]) return result;
  Arrays in = listed(call.in), made = op.vjp(in, *cotangents[0], call.out[0]);
  require(made.size() == in.size(), "[{}] vjp made {} cotangents for {} inputs.", op.name,
          made.size(), in.size());
  for (size_t i = 0; i < in.size(); ++i)
    if (ops::detail::differentiable(in[i])) result[i] = like(op, "vjp", made[i], in[i]);
  return result;
}

// J t is what the transpose of the linear map g -> J^T g makes of t.
Maybe transposed_vjp(const Call& call, std::span<const Maybe> tangents) {
  std::vector<Maybe> g{zeros_like(call.out[0])};
  Arrays made;
  std::vector<Maybe> given;
  auto terms = vjp(call, g);
  for (size_t i = 0; i < terms.size(); ++i) {
    if (!terms[i] || !tangents[i]) continue;
    made.push_back(*terms[i]);
    given.push_back(tangents[i]);
  }
  return made.empty() ? Maybe{} : pull_back(made, {*g[0]}, given)[0];
}

std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents) {
  const CustomOp& op = told_of(call.params);
  if (!op.jvp) return {transposed_vjp(call, tangents)};
  Arrays given;
  std::vector<int> argnums;
  for (size_t i = 0; i < tangents.size(); ++i) {
    if (!tangents[i]) continue;
    given.push_back(*tangents[i]);
    argnums.push_back(static_cast<int>(i));
  }
  if (given.empty()) return {Maybe{}};
  return {like(op, "jvp", op.jvp(listed(call.in), given, argnums), call.out[0])};
}

array one_of_batch(const array& x, int64_t i) {
  Shape start(x.ndim(), 0), stop = x.shape();
  start[0] = i;
  stop[0] = i + 1;
  return squeeze(slice(x, start, stop), 0);
}

Arrays one_by_one(const Params& params, std::span<const array> in, const Batch& batch) {
  Arrays rows;
  for (int64_t i = 0; i < std::max<int64_t>(batch.size, 1); ++i) {
    Arrays example;
    for (size_t k = 0; k < in.size(); ++k) {
      if (!batch.mapped[k])
        example.push_back(in[k]);
      else if (batch.size > 0)
        example.push_back(one_of_batch(in[k], i));
      else
        example.push_back(
            zeros(Shape(in[k].shape().begin() + 1, in[k].shape().end()), in[k].dtype()));
    }
    rows.push_back(record(params.as<CustomOpParams>().definition->op, params, example, {}));
  }
  if (batch.size > 0) return {stack(rows, 0)};
  Shape none = rows[0].shape();
  none.insert(none.begin(), 0);
  return {zeros(none, rows[0].dtype())};
}

Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch) {
  const CustomOp& op = told_of(params);
  if (!op.vmap) return one_by_one(params, in, batch);
  std::vector<int> axes;
  for (bool mapped : batch.mapped) axes.push_back(mapped ? 0 : -1);
  auto [out, axis] = op.vmap(listed(in), axes);
  axis = ops::normalize_axis(op.name.c_str(), axis, out.ndim());
  require<ShapeError>(out.shape(axis) == batch.size,
                      "[{}] vmap made shape {}, whose axis {} should hold the batch of {}.",
                      op.name, text_of(out.shape()), axis, batch.size);
  return {moveaxis(out, axis, 0)};
}

}  // namespace

Arrays expand_with_cuda(const Params& params, std::span<const array> in) {
  return as_inferred("cuda", told_of(params).cuda(listed(in)), params, in);
}

const Op custom_op_row{.name = "custom_op", .kind = Kind::fused, .doc = "A program's own op."};

CustomOpFunction custom_op(CustomOp told) {
  require(!told.name.empty(), "[custom_op] the op has no name.");
  require(told.infer != nullptr, "[custom_op] {} has no infer, which says shape and dtype.",
          told.name);
  require(told.cpu || told.expand, "[custom_op] {} has neither cpu nor expand: give it one.",
          told.name);
  auto d = std::make_shared<CustomDefinition>();
  d->told = std::move(told);
  Op& op = d->op;
  op.name = d->told.name;
  op.kind = Kind::fused;
  op.doc = custom_op_row.doc;
  op.infer = infer;
  op.kernels_of = &custom_op_row;
  if (d->told.expand) op.expand = expand;
  // What is left out follows from the expansion, if there is one.
  bool expands = d->told.expand != nullptr;
  if (d->told.vjp || !expands) op.vjp = vjp;
  if (d->told.jvp || d->told.vjp || !expands) op.jvp = jvp;
  if (d->told.vmap || !expands) op.vmap = vmap;
  return CustomOpFunction(std::move(d));
}

array CustomOpFunction::operator()(const std::vector<array>& in, StreamOrDevice s) const {
  return record(definition_->op, CustomOpParams{definition_}, in, s);
}

}  // namespace tarn
