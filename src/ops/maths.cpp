// The public functions of elementwise ops: promotion, then one record.
#include "tarn/ops/maths.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "ops/kinds.h"

namespace tarn {

using namespace ops;

#define TARN_UNARY(name, Op) \
  array name(const array& a, StreamOrDevice s) { return elementwise<Op>(s, a); }
TARN_UNARY(negative, Negative)
TARN_UNARY(sign, Sign)
TARN_UNARY(square, Square)
TARN_UNARY(exp, Exp)
TARN_UNARY(expm1, Expm1)
TARN_UNARY(log, Log)
TARN_UNARY(log2, Log2)
TARN_UNARY(log10, Log10)
TARN_UNARY(log1p, Log1p)
TARN_UNARY(sqrt, Sqrt)
TARN_UNARY(rsqrt, Rsqrt)
TARN_UNARY(sin, Sin)
TARN_UNARY(cos, Cos)
TARN_UNARY(tan, Tan)
TARN_UNARY(arcsin, ArcSin)
TARN_UNARY(arccos, ArcCos)
TARN_UNARY(arctan, ArcTan)
TARN_UNARY(sinh, Sinh)
TARN_UNARY(cosh, Cosh)
TARN_UNARY(tanh, Tanh)
TARN_UNARY(arcsinh, ArcSinh)
TARN_UNARY(arccosh, ArcCosh)
TARN_UNARY(arctanh, ArcTanh)
TARN_UNARY(sigmoid, Sigmoid)
TARN_UNARY(erf, Erf)
TARN_UNARY(erfinv, ErfInv)
TARN_UNARY(logical_not, LogicalNot)
TARN_UNARY(bitwise_invert, BitwiseInvert)
TARN_UNARY(abs, Abs)
#undef TARN_UNARY

#define TARN_BINARY(name, Op) \
  array name(const array& a, const array& b, StreamOrDevice s) { return elementwise<Op>(s, a, b); }
TARN_BINARY(add, Add)
TARN_BINARY(subtract, Subtract)
TARN_BINARY(multiply, Multiply)
TARN_BINARY(divide, Divide)
TARN_BINARY(floor_divide, FloorDivide)
TARN_BINARY(remainder, Remainder)
TARN_BINARY(power, Power)
TARN_BINARY(maximum, Maximum)
TARN_BINARY(minimum, Minimum)
TARN_BINARY(arctan2, ArcTan2)
TARN_BINARY(logaddexp, LogAddExp)
TARN_BINARY(equal, Equal)
TARN_BINARY(not_equal, NotEqual)
TARN_BINARY(less, Less)
TARN_BINARY(less_equal, LessEqual)
TARN_BINARY(greater, Greater)
TARN_BINARY(greater_equal, GreaterEqual)
TARN_BINARY(logical_and, LogicalAnd)
TARN_BINARY(logical_or, LogicalOr)
TARN_BINARY(logical_xor, LogicalXor)
TARN_BINARY(bitwise_and, BitwiseAnd)
TARN_BINARY(bitwise_or, BitwiseOr)
TARN_BINARY(bitwise_xor, BitwiseXor)
#undef TARN_BINARY

array operator+(const array& a, const array& b) { return add(a, b); }
array operator-(const array& a, const array& b) { return subtract(a, b); }
array operator*(const array& a, const array& b) { return multiply(a, b); }
array operator/(const array& a, const array& b) { return divide(a, b); }
array operator%(const array& a, const array& b) { return remainder(a, b); }
array operator==(const array& a, const array& b) { return equal(a, b); }
array operator!=(const array& a, const array& b) { return not_equal(a, b); }
array operator<(const array& a, const array& b) { return less(a, b); }
array operator<=(const array& a, const array& b) { return less_equal(a, b); }
array operator>(const array& a, const array& b) { return greater(a, b); }
array operator>=(const array& a, const array& b) { return greater_equal(a, b); }
array operator&&(const array& a, const array& b) { return logical_and(a, b); }
array operator||(const array& a, const array& b) { return logical_or(a, b); }
array operator&(const array& a, const array& b) { return bitwise_and(a, b); }
array operator|(const array& a, const array& b) { return bitwise_or(a, b); }
array operator^(const array& a, const array& b) { return bitwise_xor(a, b); }
array operator<<(const array& a, const array& b) { return left_shift(a, b); }
array operator>>(const array& a, const array& b) { return right_shift(a, b); }
array operator/(double a, const array& b) { return divide(array(a), b); }
array operator/(const array& a, double b) { return divide(a, array(b)); }
array operator-(const array& a) { return negative(a); }
array operator~(const array& a) { return bitwise_invert(a); }

namespace {

bool is_integral(const array& a) { return a.dtype() == bool_ || issubdtype(a.dtype(), integer); }

// floor, ceil, trunc and round leave whole numbers alone.
template <class Op>
array rounded(const array& a, StreamOrDevice s) {
  return is_integral(a) ? a : elementwise<Op>(s, a);
}
// Two bools are shifted as uint8.
array shiftable(const array& a, const array& other, StreamOrDevice s) {
  return a.dtype() == bool_ && other.dtype() == bool_ ? astype(a, uint8, s) : a;
}

}  // namespace

array floor(const array& a, StreamOrDevice s) { return rounded<Floor>(a, s); }
array ceil(const array& a, StreamOrDevice s) { return rounded<Ceil>(a, s); }
array trunc(const array& a, StreamOrDevice s) { return rounded<Trunc>(a, s); }
array round(const array& a, StreamOrDevice s) { return rounded<Round>(a, s); }
array round(const array& a, int decimals, StreamOrDevice s) {
  if (decimals == 0 || (is_integral(a) && decimals > 0)) return round(a, s);
  array scaled = is_integral(a) ? astype(a, float32, s) : a;
  array scale = constant(scaled, std::pow(10.0, std::abs(decimals)));
  array result = decimals > 0 ? divide(round(multiply(scaled, scale, s), s), scale, s)
                              : multiply(round(divide(scaled, scale, s), s), scale, s);
  return astype(result, a.dtype(), s);
}

array left_shift(const array& a, const array& b, StreamOrDevice s) {
  return elementwise<LeftShift>(s, shiftable(a, b, s), shiftable(b, a, s));
}
array right_shift(const array& a, const array& b, StreamOrDevice s) {
  return elementwise<RightShift>(s, shiftable(a, b, s), shiftable(b, a, s));
}

array positive(const array& a, StreamOrDevice) { return a; }
array reciprocal(const array& a, StreamOrDevice s) {
  array x = astype(a, domain("reciprocal", Types::inexact, a.dtype()), s);
  return divide(constant(x, 1), x, s);
}
array degrees(const array& a, StreamOrDevice s) {
  array x = astype(a, domain("degrees", Types::floating, a.dtype()), s);
  return multiply(x, constant(x, 180 / std::numbers::pi), s);
}
array radians(const array& a, StreamOrDevice s) {
  array x = astype(a, domain("radians", Types::floating, a.dtype()), s);
  return multiply(x, constant(x, std::numbers::pi / 180), s);
}

array conjugate(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? apply<Conjugate>(s, a) : a;
}
array real(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? apply<Real>(s, a) : a;
}
array imag(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? apply<Imag>(s, a) : zeros_like(a, s);
}

array isnan(const array& a, StreamOrDevice s) {
  return is_integral(a) ? zeros(a.shape(), bool_, s) : elementwise<IsNan>(s, a);
}
array isinf(const array& a, StreamOrDevice s) {
  return is_integral(a) ? zeros(a.shape(), bool_, s) : elementwise<IsInf>(s, a);
}
array isfinite(const array& a, StreamOrDevice s) {
  return logical_not(logical_or(isnan(a, s), isinf(a, s), s), s);
}
array isposinf(const array& a, StreamOrDevice s) {
  if (is_integral(a)) return zeros(a.shape(), bool_, s);
  return equal(a, constant(a, std::numeric_limits<double>::infinity()), s);
}
array isneginf(const array& a, StreamOrDevice s) {
  if (is_integral(a)) return zeros(a.shape(), bool_, s);
  return equal(a, constant(a, -std::numeric_limits<double>::infinity()), s);
}

std::vector<array> divmod(const array& a, const array& b, StreamOrDevice s) {
  return {floor_divide(a, b, s), remainder(a, b, s)};
}

array where(const array& condition, const array& x, const array& y, StreamOrDevice s) {
  Dtype t = result_type(x, y);
  Shape shape =
      broadcast_for("where", broadcast_for("where", condition.shape(), x.shape()), y.shape());
  return record(op_of<Where>, {}, {astype(condition, bool_, s), astype(x, t, s), astype(y, t, s)},
                std::move(shape), t, s);
}
array select(const array& condition, const array& a, const array& b) {
  return where(condition, a, b);
}
array constant(const array& like, double value) { return array(value, like.dtype()); }
array on_real_axis(const array& x) { return astype(x, complex64); }
array on_imaginary_axis(const array& x) {
  return multiply(astype(x, complex64), array(complex64_t{0, 1}));
}

array clip(const array& a, const std::optional<array>& a_min, const std::optional<array>& a_max,
           StreamOrDevice s) {
  require(a_min || a_max, "[clip] neither a_min nor a_max is given.");
  array out = a;
  if (a_min) out = maximum(out, *a_min, s);
  if (a_max) out = minimum(out, *a_max, s);
  return out;
}

array nan_to_num(const array& a, float nan, const std::optional<float> posinf,
                 const std::optional<float> neginf, StreamOrDevice s) {
  if (is_integral(a)) return a;
  double largest = a.dtype() == float16    ? 65504.0
                   : a.dtype() == bfloat16 ? 3.3895313892515355e38
                   : a.dtype() == float64  ? std::numeric_limits<double>::max()
                                           : double{std::numeric_limits<float>::max()};
  array high = constant(a, posinf ? double{*posinf} : largest);
  array low = constant(a, neginf ? double{*neginf} : -largest);
  array out = where(isnan(a, s), constant(a, double{nan}), a, s);
  return where(isneginf(out, s), low, where(isposinf(out, s), high, out, s), s);
}

array isclose(const array& a, const array& b, double rtol, double atol, bool equal_nan,
              StreamOrDevice s) {
  Dtype t = domain("isclose", Types::inexact, result_type(a, b));
  array x = astype(a, t, s), y = astype(b, t, s), magnitude = abs(y, s);
  array bound =
      add(constant(magnitude, atol), multiply(constant(magnitude, rtol), magnitude, s), s);
  array close = less_equal(abs(subtract(x, y, s), s), bound, s);
  array infinite = logical_or(isinf(x, s), isinf(y, s), s);
  close = where(infinite, equal(x, y, s), close, s);
  if (equal_nan) close = logical_or(close, logical_and(isnan(x, s), isnan(y, s), s), s);
  return close;
}
array allclose(const array& a, const array& b, double rtol, double atol, bool equal_nan,
               StreamOrDevice s) {
  return all(isclose(a, b, rtol, atol, equal_nan, s), s);
}
array array_equal(const array& a, const array& b, bool equal_nan, StreamOrDevice s) {
  if (a.shape() != b.shape()) return array(false);
  array same = equal(a, b, s);
  if (equal_nan) same = logical_or(same, logical_and(isnan(a, s), isnan(b, s), s), s);
  return all(same, s);
}
array array_equal(const array& a, const array& b, StreamOrDevice s) {
  return array_equal(a, b, false, s);
}

array astype(const array& a, Dtype dtype, StreamOrDevice s) {
  if (a.dtype() == dtype) return a;
  return record(as_type_op, AsType::P{dtype}, {a}, a.shape(), dtype, s);
}
array copy(const array& a, StreamOrDevice s) {
  return record(copy_op, {}, {a}, a.shape(), a.dtype(), s);
}

namespace ops {
namespace {

std::vector<Maybe> cast_back(const Call& call, std::span<const Maybe> g) {
  if (!g[0] || !detail::differentiable(call.in[0])) return {Maybe{}};
  return {astype(*g[0], call.in[0].dtype())};
}
std::vector<Maybe> cast_tangent(const Call& call, std::span<const Maybe> t) {
  if (!t[0] || !detail::differentiable(call.out[0])) return {Maybe{}};
  return {astype(*t[0], call.out[0].dtype())};
}
ArraySpec infer_cast(const Params& p, std::span<const array> in) {
  return {in[0].shape(), p.as<AsType::P>().dtype};
}
Arrays vmap_cast(const Params& p, std::span<const array> in, const Batch&) {
  return {astype(in[0], p.as<AsType::P>().dtype)};
}
ArraySpec infer_copy(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays vmap_copy(const Params&, std::span<const array> in, const Batch&) { return {copy(in[0])}; }

}  // namespace

const Op as_type_op{.name = "astype",
                    .kind = Kind::elementwise,
                    .doc = "The same numbers in another dtype.",
                    .infer = infer_cast,
                    .vjp = cast_back,
                    .jvp = cast_tangent,
                    .vmap = vmap_cast,
                    .cheap = true,
                    .in_place = false,
                    .params = &Params::type<AsType::P>};
const Op copy_op{.name = "copy",
                 .kind = Kind::elementwise,
                 .doc = "The same numbers, row-contiguous.",
                 .infer = infer_copy,
                 .vjp = [](const Call&, std::span<const Maybe> g) { return std::vector{g[0]}; },
                 .jvp = [](const Call&, std::span<const Maybe> t) { return std::vector{t[0]}; },
                 .vmap = vmap_copy,
                 .cheap = true,
                 .in_place = true};

}  // namespace ops
}  // namespace tarn
