// Reductions: the rules and the public functions.
#include "tarn/ops/reduce.h"

#include <algorithm>
#include <numeric>

#include "ops/compound.h"
#include "ops/movement.h"
#include "ops/reductions.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

ArraySpec folded(const Axes& axes, const array& in, Dtype t) {
  Shape shape = in.shape();
  for (int axis : axes) shape[static_cast<size_t>(axis)] = 1;
  return {shape, t};
}
Params shifted(const ReduceParams& p) {
  ReduceParams out = p;
  for (auto& axis : out.axes) ++axis;
  return out;
}
Params shifted(const ArgParams& p) { return ArgParams{p.axis + 1}; }

// Which elements equal the result, each weighted so that equals share it.
array shares(const Call& call) {
  array hit = astype(equal(call.in[0], call.out[0]), call.in[0].dtype());
  const auto& axes = call.params.as<ReduceParams>().axes;
  return hit / sum(hit, std::vector<int>(axes.begin(), axes.end()), true);
}
std::vector<Maybe> vjp_of_extreme(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {*g[0] * shares(call)};
}
std::vector<Maybe> jvp_of_extreme(const Call& call, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  const auto& axes = call.params.as<ReduceParams>().axes;
  return {sum(*t[0] * shares(call), std::vector<int>(axes.begin(), axes.end()), true)};
}
Dtype sum_dtype(Dtype t) {
  if (t == bool_ || (issubdtype(t, signedinteger) && t.size < 8)) return int32;
  return issubdtype(t, unsignedinteger) && t.size < 8 ? uint32 : t;
}

}  // namespace

#define TARN_REDUCE_RULES(Op, dtype)                                          \
  ArraySpec Op::infer(const Params& p, std::span<const array> in) {           \
    return folded(p.as<P>().axes, in[0], dtype);                              \
  }                                                                           \
  Arrays Op::vmap(const Params& p, std::span<const array> in, const Batch&) { \
    return {record(op_of<Op>, shifted(p.as<P>()), {in[0]}, {})};              \
  }
TARN_REDUCE_RULES(Sum, sum_dtype(in[0].dtype()))
TARN_REDUCE_RULES(Prod, sum_dtype(in[0].dtype()))
TARN_REDUCE_RULES(Max, in[0].dtype())
TARN_REDUCE_RULES(Min, in[0].dtype())
TARN_REDUCE_RULES(All, bool_)
TARN_REDUCE_RULES(Any, bool_)
#undef TARN_REDUCE_RULES

#define TARN_ONE_AXIS_RULES(Op, spec)                                              \
  ArraySpec Op::infer(const Params& p, std::span<const array> in) { return spec; } \
  Arrays Op::vmap(const Params& p, std::span<const array> in, const Batch&) {      \
    return {record(op_of<Op>, shifted(p.as<P>()), {in[0]}, {})};                   \
  }
TARN_ONE_AXIS_RULES(ArgMax, folded(Axes{p.as<P>().axis}, in[0], uint32))
TARN_ONE_AXIS_RULES(ArgMin, folded(Axes{p.as<P>().axis}, in[0], uint32))
#undef TARN_ONE_AXIS_RULES

std::vector<Maybe> Sum::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {broadcast_to(*g[0], call.in[0].shape())};
}
std::vector<Maybe> Max::vjp(const Call& c, std::span<const Maybe> g) {
  return vjp_of_extreme(c, g);
}
std::vector<Maybe> Max::jvp(const Call& c, std::span<const Maybe> t) {
  return jvp_of_extreme(c, t);
}
std::vector<Maybe> Min::vjp(const Call& c, std::span<const Maybe> g) {
  return vjp_of_extreme(c, g);
}
std::vector<Maybe> Min::jvp(const Call& c, std::span<const Maybe> t) {
  return jvp_of_extreme(c, t);
}

namespace {
// The product of all other elements on the axis: right when some of them are zero.
array product_of_others(const Call& call) {
  int axis = call.params.as<ReduceParams>().axes[0];
  return cumprod(call.in[0], axis, false, false) * cumprod(call.in[0], axis, true, false);
}
}  // namespace
std::vector<Maybe> Prod::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {*g[0] * conjugate(product_of_others(call))};
}
std::vector<Maybe> Prod::jvp(const Call& call, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  return {sum(*t[0] * product_of_others(call), call.params.as<P>().axes[0], true)};
}

}  // namespace ops

namespace {

std::vector<int> every_axis(const array& a) {
  std::vector<int> axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}
array dropped(const array& kept, const Axes& axes, bool keepdims, StreamOrDevice s) {
  if (keepdims || axes.empty()) return kept;
  return squeeze(kept, std::vector<int>(axes.begin(), axes.end()), s);
}
template <class Op>
array reduced(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  Axes all = normalize_axes(Op::spec.name, axes, a.ndim());
  array x = Op::spec.types == Types::boolean ? astype(a, bool_, s) : a;
  if (all.empty()) return x;
  return dropped(record(op_of<Op>, ReduceParams{all}, {x}, s), all, keepdims, s);
}
template <class Op>
array extreme(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  for (int axis : normalize_axes(Op::spec.name, axes, a.ndim()))
    require(a.shape(axis) > 0, "[{}] axis {} of shape {} is empty and has no {} element.",
            Op::spec.name, axis, text_of(a.shape()),
            Op::spec.name[1] == 'a' ? "largest" : "smallest");
  return reduced<Op>(a, axes, keepdims, s);
}

}  // namespace

array sum(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  if (axes.empty()) return astype(a, sum_dtype(a.dtype()), s);
  return reduced<Sum>(a, axes, keepdims, s);
}
array prod(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  Axes all = normalize_axes("prod", axes, a.ndim());
  array out = astype(a, sum_dtype(a.dtype()), s);
  for (int axis : all) out = record(op_of<Prod>, ReduceParams{Axes{axis}}, {out}, s);
  return dropped(out, all, keepdims, s);
}
array max(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  return extreme<Max>(a, axes, keepdims, s);
}
array min(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  return extreme<Min>(a, axes, keepdims, s);
}
array all(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  return reduced<All>(a, axes, keepdims, s);
}
array any(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  return reduced<Any>(a, axes, keepdims, s);
}
array mean(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  array x = astype(a, domain("mean", Types::inexact, a.dtype()), s);
  array part = element_count("mean", x, axes, {.inverted = true, .dtype = x.dtype()}, s);
  return multiply(sum(x, axes, keepdims, s), part, s);
}
array logsumexp(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  array x = astype(a, domain("logsumexp", Types::floating, a.dtype()), s);
  Axes all = normalize_axes("logsumexp", axes, a.ndim());
  if (all.empty()) return x;
  array kept = x;
  if (all.size() == 1 && all[0] + 1 == static_cast<int>(a.ndim())) {
    kept = record(op_of<LogSumExp>, LogSumExp::P{}, {x}, s);
  } else {
    array top = stop_gradient(max(x, axes, true, s), s);
    top = where(isinf(top, s), constant(top, 0), top, s);
    kept = add(log(sum(exp(subtract(x, top, s), s), axes, true, s), s), top, s);
  }
  return dropped(kept, all, keepdims, s);
}
array median(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  array x = astype(a, domain("median", Types::floating, a.dtype()), s);
  Axes all = normalize_axes("median", axes, a.ndim());
  std::vector<int> order;
  Shape shape, kept = a.shape();
  for (int i = 0; i < static_cast<int>(a.ndim()); ++i)
    if (std::find(all.begin(), all.end(), i) == all.end()) {
      order.push_back(i);
      shape.push_back(a.shape(i));
    }
  int64_t n = 1;
  for (int axis : all) {
    order.push_back(axis);
    n *= a.shape(axis);
    kept[static_cast<size_t>(axis)] = 1;
  }
  require(n > 0, "[median] there is nothing to take the median of in shape {}.",
          text_of(a.shape()));
  shape.push_back(n);
  array rows = sort(reshape(transpose(x, order, s), shape, s), -1, s);
  array middle = add(take(rows, static_cast<int>((n - 1) / 2), -1, s),
                     take(rows, static_cast<int>(n / 2), -1, s), s);
  array half = multiply(middle, constant(x, 0.5), s);
  array broken = any(isnan(rows, s), std::vector<int>{-1}, false, s);
  half = where(broken, constant(half, std::nan("")), half, s);
  return keepdims ? reshape(half, kept, s) : half;
}

#define TARN_REDUCTION(name)                                                 \
  array name(const array& a, bool keepdims, StreamOrDevice s) {              \
    return name(a, every_axis(a), keepdims, s);                              \
  }                                                                          \
  array name(const array& a, StreamOrDevice s) { return name(a, false, s); } \
  array name(const array& a, int axis, bool keepdims, StreamOrDevice s) {    \
    return name(a, std::vector<int>{axis}, keepdims, s);                     \
  }
TARN_REDUCTION(all)
TARN_REDUCTION(any)
TARN_REDUCTION(sum)
TARN_REDUCTION(prod)
TARN_REDUCTION(max)
TARN_REDUCTION(min)
TARN_REDUCTION(mean)
TARN_REDUCTION(logsumexp)
TARN_REDUCTION(median)
#undef TARN_REDUCTION

array var(const array& a, const std::vector<int>& axes, bool keepdims, int ddof, StreamOrDevice s) {
  array x = astype(a, domain("var", Types::floating, a.dtype()), s);
  array centred = subtract(x, mean(x, axes, true, s), s);
  array part =
      element_count("var", x, axes, {.inverted = true, .less = ddof, .dtype = x.dtype()}, s);
  return multiply(sum(square(centred, s), axes, keepdims, s), part, s);
}
array var(const array& a, bool keepdims, int ddof, StreamOrDevice s) {
  return var(a, every_axis(a), keepdims, ddof, s);
}
array var(const array& a, StreamOrDevice s) { return var(a, every_axis(a), false, 0, s); }
array var(const array& a, int axis, bool keepdims, int ddof, StreamOrDevice s) {
  return var(a, std::vector<int>{axis}, keepdims, ddof, s);
}
array std(const array& a, const std::vector<int>& axes, bool keepdims, int ddof, StreamOrDevice s) {
  return sqrt(var(a, axes, keepdims, ddof, s), s);
}
array std(const array& a, bool keepdims, int ddof, StreamOrDevice s) {
  return sqrt(var(a, keepdims, ddof, s), s);
}
array std(const array& a, StreamOrDevice s) { return sqrt(var(a, s), s); }
array std(const array& a, int axis, bool keepdims, int ddof, StreamOrDevice s) {
  return sqrt(var(a, axis, keepdims, ddof, s), s);
}

namespace {
template <class Op>
array arg_extreme(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  int at = normalize_axis(Op::spec.name, axis, a.ndim());
  require(a.shape(at) > 0, "[{}] axis {} of shape {} is empty.", Op::spec.name, at,
          text_of(a.shape()));
  return dropped(record(op_of<Op>, ArgParams{at}, {a}, s), Axes{at}, keepdims, s);
}
template <class Op>
array arg_extreme(const array& a, bool keepdims, StreamOrDevice s) {
  array out = arg_extreme<Op>(flatten(a, s), 0, false, s);
  return keepdims ? reshape(out, Shape(a.ndim(), 1), s) : out;
}
}  // namespace

array argmax(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return arg_extreme<ArgMax>(a, axis, keepdims, s);
}
array argmax(const array& a, bool keepdims, StreamOrDevice s) {
  return arg_extreme<ArgMax>(a, keepdims, s);
}
array argmax(const array& a, StreamOrDevice s) { return argmax(a, false, s); }
array argmin(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return arg_extreme<ArgMin>(a, axis, keepdims, s);
}
array argmin(const array& a, bool keepdims, StreamOrDevice s) {
  return arg_extreme<ArgMin>(a, keepdims, s);
}
array argmin(const array& a, StreamOrDevice s) { return argmin(a, false, s); }

std::tuple<array, array> minmax(const array& a, bool keepdims, StreamOrDevice s) {
  return {min(a, keepdims, s), max(a, keepdims, s)};
}
std::tuple<array, array> minmax(const array& a, StreamOrDevice s) { return minmax(a, false, s); }
std::tuple<array, array> minmax(const array& a, const std::vector<int>& axes, bool keepdims,
                                StreamOrDevice s) {
  return {min(a, axes, keepdims, s), max(a, axes, keepdims, s)};
}
std::tuple<array, array> minmax(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return minmax(a, std::vector<int>{axis}, keepdims, s);
}

array trace(const array& a, int offset, int axis1, int axis2, StreamOrDevice s) {
  return sum(diagonal(a, offset, axis1, axis2, s), -1, false, s);
}

array trace(const array& a, int offset, int axis1, int axis2, Dtype dtype, StreamOrDevice s) {
  return sum(astype(diagonal(a, offset, axis1, axis2, s), dtype, s), -1, false, s);
}
array trace(const array& a, StreamOrDevice s) { return trace(a, 0, 0, 1, s); }

array count_nonzero(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  array hits = astype(not_equal(a, array(0, a.dtype()), s), int32, s);
  return axes.empty() ? hits : sum(hits, axes, keepdims, s);
}
array count_nonzero(const array& a, bool keepdims, StreamOrDevice s) {
  return count_nonzero(a, every_axis(a), keepdims, s);
}
array count_nonzero(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return count_nonzero(a, std::vector<int>{axis}, keepdims, s);
}

}  // namespace tarn
