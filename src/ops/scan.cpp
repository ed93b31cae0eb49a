// Scans along an axis: the rules and the public functions.
#include <algorithm>

#include "ops/movement.h"
#include "ops/reductions.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

Params shifted(const ScanParams& p) { return ScanParams{p.axis + 1, p.reverse, p.inclusive}; }
Params shifted(const LinearRecurrence::P& p) { return LinearRecurrence::P{p.axis + 1, p.reverse}; }
// x one place on along the axis (back: the other way); `edge` comes in at the end that is left.
array moved_on(const array& x, int axis, bool back, const array& edge) {
  auto i = static_cast<size_t>(axis);
  if (x.shape()[i] == 0) return x;
  Shape start(x.ndim(), 0), stop = x.shape(), one = x.shape();
  one[i] = 1;
  (back ? start[i] : stop[i]) += back ? 1 : -1;
  array rest = slice(x, start, stop), first = broadcast_to(edge, one);
  return back ? concatenate({rest, first}, axis) : concatenate({first, rest}, axis);
}
array moved_on(const array& x, int axis, bool back) {
  return moved_on(x, axis, back, constant(x, 0));
}

array recurrence(const array& a, const array& b, int axis, bool reverse) {
  return record(op_of<LinearRecurrence>, LinearRecurrence::P{axis, reverse}, {a, b}, {});
}

}  // namespace

#define TARN_SCAN_RULES(Op)                                                         \
  ArraySpec Op::infer(const Params&, std::span<const array> in) {                   \
    return {in[0].shape(), in[0].dtype()};                                          \
  }                                                                                 \
  Arrays Op::vmap(const Params& p, std::span<const array> in, const Batch& batch) { \
    Arrays all;                                                                     \
    for (size_t i = 0; i < in.size(); ++i)                                          \
      all.push_back(batched(in[i], batch.mapped[i], batch.size));                   \
    return {record(op_of<Op>, shifted(p.as<P>()), std::move(all), {})};             \
  }
TARN_SCAN_RULES(CumSum)
TARN_SCAN_RULES(CumProd)
TARN_SCAN_RULES(CumMax)
TARN_SCAN_RULES(CumMin)
TARN_SCAN_RULES(LogCumSumExp)
TARN_SCAN_RULES(LinearRecurrence)
#undef TARN_SCAN_RULES

std::vector<Maybe> CumSum::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  const auto& p = call.params.as<P>();
  return {cumsum(*g[0], p.axis, !p.reverse, p.inclusive)};
}

// With h the adjoint state, h[i] = g[i] + a[i + 1] h[i + 1]: the transposed recurrence.
std::vector<Maybe> LinearRecurrence::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0]) return std::vector<Maybe>(2);
  const auto& p = call.params.as<P>();
  array adjoint =
      recurrence(moved_on(conjugate(call.in[0]), p.axis, !p.reverse), *g[0], p.axis, !p.reverse);
  array before = moved_on(call.out[0], p.axis, p.reverse);
  return {adjoint * conjugate(before), adjoint};
}
std::vector<Maybe> LinearRecurrence::jvp(const Call& call, std::span<const Maybe> t) {
  if (!t[0] && !t[1]) return {Maybe{}};
  const auto& p = call.params.as<P>();
  Maybe in = t[1];
  if (t[0]) {
    array change = *t[0] * moved_on(call.out[0], p.axis, p.reverse);
    in = in ? *in + change : change;
  }
  return {recurrence(call.in[0], *in, p.axis, p.reverse)};
}

// y[i] = x[i] y[i - 1], so dy[i] = x[i] dy[i - 1] + y[i - 1] dx[i].
std::vector<Maybe> CumProd::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  const auto& p = call.params.as<P>();
  const array& x = call.in[0];
  array before = cumprod(x, p.axis, p.reverse, false);
  array from = p.inclusive ? *g[0] : moved_on(*g[0], p.axis, !p.reverse);
  array adjoint = recurrence(moved_on(conjugate(x), p.axis, !p.reverse), from, p.axis, !p.reverse);
  return {adjoint * conjugate(before)};
}
std::vector<Maybe> CumProd::jvp(const Call& call, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  const auto& p = call.params.as<P>();
  array before = cumprod(call.in[0], p.axis, p.reverse, false);
  array result = recurrence(call.in[0], *t[0] * before, p.axis, p.reverse);
  return {p.inclusive ? result : moved_on(result, p.axis, p.reverse)};
}

namespace {

// Where each running extreme comes from: the last place so far at which x equals it.
array sources(const array& x, const array& y, int axis, bool reverse) {
  Shape shape(x.ndim(), 1);
  int64_t n = x.shape(axis);
  shape[static_cast<size_t>(axis)] = n;
  array place = broadcast_to(reshape(arange(0.0, double(n), int64), shape), x.shape());
  array none = array(reverse ? std::max<int64_t>(n - 1, 0) : int64_t{0}, int64);
  array hit = where(equal(x, y), place, none);
  return reverse ? cummin(hit, axis, true) : cummax(hit, axis);
}
template <class Op>
array extremes(const array& x, const ScanParams& p) {
  return record(op_of<Op>, ScanParams{p.axis, p.reverse, true}, {x}, {});
}
template <class Op>
std::vector<Maybe> vjp_of_extremes(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  const auto& p = call.params.as<ScanParams>();
  const array& x = call.in[0];
  array from = p.inclusive ? *g[0] : moved_on(*g[0], p.axis, !p.reverse);
  array place = sources(x, extremes<Op>(x, p), p.axis, p.reverse);
  return {scatter_add_axis(zeros_like(x), place, from, p.axis)};
}
template <class Op>
std::vector<Maybe> jvp_of_extremes(const Call& call, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  const auto& p = call.params.as<ScanParams>();
  array place = sources(call.in[0], extremes<Op>(call.in[0], p), p.axis, p.reverse);
  array result = take_along_axis(*t[0], place, p.axis);
  return {p.inclusive ? result : moved_on(result, p.axis, p.reverse)};
}

}  // namespace

std::vector<Maybe> CumMax::vjp(const Call& c, std::span<const Maybe> g) {
  return vjp_of_extremes<CumMax>(c, g);
}
std::vector<Maybe> CumMax::jvp(const Call& c, std::span<const Maybe> t) {
  return jvp_of_extremes<CumMax>(c, t);
}
std::vector<Maybe> CumMin::vjp(const Call& c, std::span<const Maybe> g) {
  return vjp_of_extremes<CumMin>(c, g);
}
std::vector<Maybe> CumMin::jvp(const Call& c, std::span<const Maybe> t) {
  return jvp_of_extremes<CumMin>(c, t);
}

std::vector<Maybe> LogCumSumExp::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  const auto& p = call.params.as<P>();
  array weight = *g[0] * exp(-call.out[0]);
  // An exclusive scan starts with log 0, whose weight counts for nothing.
  if (!p.inclusive) weight = where(isinf(call.out[0]), constant(weight, 0), weight);
  return {exp(call.in[0]) * cumsum(weight, p.axis, !p.reverse, p.inclusive)};
}
std::vector<Maybe> LogCumSumExp::jvp(const Call& call, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  const auto& p = call.params.as<P>();
  array sums = cumsum(*t[0] * exp(call.in[0]), p.axis, p.reverse, p.inclusive);
  array result = sums * exp(-call.out[0]);
  if (!p.inclusive) result = where(isinf(call.out[0]), constant(result, 0), result);
  return {result};
}

}  // namespace ops

namespace {

template <class Op>
array scanned(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s) {
  int at = normalize_axis(Op::spec.name, axis, a.ndim());
  array x = astype(a, domain(Op::spec.name, Op::spec.types, a.dtype()), s);
  return record(op_of<Op>, ScanParams{at, reverse, inclusive}, {x}, s);
}
// Running sums and products of bools count in int32; others in the dtype that is asked for.
array summed_as(const array& a, std::optional<Dtype> dtype, StreamOrDevice s) {
  if (dtype) return astype(a, *dtype, s);
  return a.dtype() == bool_ ? astype(a, int32, s) : a;
}

}  // namespace

#define TARN_TYPED_SCAN(name, Op)                                                                \
  array name(const array& a, int axis, bool reverse, bool inclusive, std::optional<Dtype> dtype, \
             StreamOrDevice s) {                                                                 \
    return scanned<Op>(summed_as(a, dtype, s), axis, reverse, inclusive, s);                     \
  }                                                                                              \
  array name(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s) {         \
    return name(a, axis, reverse, inclusive, std::nullopt, s);                                   \
  }                                                                                              \
  array name(const array& a, bool reverse, bool inclusive, std::optional<Dtype> dtype,           \
             StreamOrDevice s) {                                                                 \
    return name(flatten(a, s), 0, reverse, inclusive, dtype, s);                                 \
  }                                                                                              \
  array name(const array& a, bool reverse, bool inclusive, StreamOrDevice s) {                   \
    return name(a, reverse, inclusive, std::nullopt, s);                                         \
  }
TARN_TYPED_SCAN(cumsum, CumSum)
TARN_TYPED_SCAN(cumprod, CumProd)
#undef TARN_TYPED_SCAN
#define TARN_SCAN(name, Op)                                                              \
  array name(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s) { \
    return scanned<Op>(a, axis, reverse, inclusive, s);                                  \
  }                                                                                      \
  array name(const array& a, bool reverse, bool inclusive, StreamOrDevice s) {           \
    return name(flatten(a, s), 0, reverse, inclusive, s);                                \
  }
TARN_SCAN(cummax, CumMax)
TARN_SCAN(cummin, CumMin)
TARN_SCAN(logcumsumexp, LogCumSumExp)
#undef TARN_SCAN

array linear_recurrence(const array& a, const array& b, int axis, bool reverse, StreamOrDevice s) {
  Dtype t = domain("linear_recurrence", Types::inexact, result_type(a, b));
  auto both = broadcast_arrays({astype(a, t, s), astype(b, t, s)}, s);
  int at = normalize_axis("linear_recurrence", axis, both[0].ndim());
  return record(op_of<LinearRecurrence>, LinearRecurrence::P{at, reverse}, std::move(both), s);
}

array diff(const array& a, int n, int axis, StreamOrDevice s) {
  require(n >= 0, "[diff] n is {}; a difference is taken 0 times or more.", n);
  auto at = static_cast<size_t>(normalize_axis("diff", axis, a.ndim()));
  array out = a;
  for (int i = 0; i < n && out.shape()[at] > 0; ++i) {
    Shape start(out.ndim(), 0), stop = out.shape(), later = start, sooner = stop;
    later[at] = 1;
    sooner[at] -= 1;
    array upper = slice(out, later, stop, s), lower = slice(out, start, sooner, s);
    out = a.dtype() == bool_ ? not_equal(upper, lower, s) : subtract(upper, lower, s);
  }
  return out;
}

}  // namespace tarn
