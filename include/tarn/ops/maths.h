// Element by element: comparison, logic, bits and maths. Operands broadcast by NumPy's rule and are
// promoted to one dtype (see promote_types); functions of floats take integers as float32.
#pragma once

#include <optional>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// The magnitude; complex64 gives float32.
array abs(const array& a, StreamOrDevice s = {});
// -a.
array negative(const array& a, StreamOrDevice s = {});
// -1, 0 or 1; a / |a| for complex a.
array sign(const array& a, StreamOrDevice s = {});
// a * a.
array square(const array& a, StreamOrDevice s = {});
// 1 / a, in floating point.
array reciprocal(const array& a, StreamOrDevice s = {});
array floor(const array& a, StreamOrDevice s = {});
array ceil(const array& a, StreamOrDevice s = {});
array trunc(const array& a, StreamOrDevice s = {});
// Halves to even.
array round(const array& a, StreamOrDevice s = {});
array exp(const array& a, StreamOrDevice s = {});
array expm1(const array& a, StreamOrDevice s = {});
array log(const array& a, StreamOrDevice s = {});
array log2(const array& a, StreamOrDevice s = {});
array log10(const array& a, StreamOrDevice s = {});
array log1p(const array& a, StreamOrDevice s = {});
array sqrt(const array& a, StreamOrDevice s = {});
// 1 / sqrt(a).
array rsqrt(const array& a, StreamOrDevice s = {});
array sin(const array& a, StreamOrDevice s = {});
array cos(const array& a, StreamOrDevice s = {});
array tan(const array& a, StreamOrDevice s = {});
array arcsin(const array& a, StreamOrDevice s = {});
array arccos(const array& a, StreamOrDevice s = {});
array arctan(const array& a, StreamOrDevice s = {});
array sinh(const array& a, StreamOrDevice s = {});
array cosh(const array& a, StreamOrDevice s = {});
array tanh(const array& a, StreamOrDevice s = {});
array arcsinh(const array& a, StreamOrDevice s = {});
array arccosh(const array& a, StreamOrDevice s = {});
array arctanh(const array& a, StreamOrDevice s = {});
// Radians to degrees.
array degrees(const array& a, StreamOrDevice s = {});
// Degrees to radians.
array radians(const array& a, StreamOrDevice s = {});
// 1 / (1 + exp(-a)).
array sigmoid(const array& a, StreamOrDevice s = {});
array erf(const array& a, StreamOrDevice s = {});
array erfinv(const array& a, StreamOrDevice s = {});
array conjugate(const array& a, StreamOrDevice s = {});
array real(const array& a, StreamOrDevice s = {});
array imag(const array& a, StreamOrDevice s = {});
// a itself.
array positive(const array& a, StreamOrDevice s = {});
// Operands are taken as bool.
array logical_not(const array& a, StreamOrDevice s = {});
// Integers and bool.
array bitwise_invert(const array& a, StreamOrDevice s = {});
// Result bool.
array isnan(const array& a, StreamOrDevice s = {});
array isinf(const array& a, StreamOrDevice s = {});
array isfinite(const array& a, StreamOrDevice s = {});
array isposinf(const array& a, StreamOrDevice s = {});
array isneginf(const array& a, StreamOrDevice s = {});
// `decimals` digits after the point; may be negative. Integers pass through.
array round(const array& a, int decimals, StreamOrDevice s = {});

array add(const array& a, const array& b, StreamOrDevice s = {});
array subtract(const array& a, const array& b, StreamOrDevice s = {});
array multiply(const array& a, const array& b, StreamOrDevice s = {});
// True division: integers are divided as float32.
array divide(const array& a, const array& b, StreamOrDevice s = {});
// floor(a / b); 0 for integer b = 0.
array floor_divide(const array& a, const array& b, StreamOrDevice s = {});
// The sign follows b; 0 for integer b = 0.
array remainder(const array& a, const array& b, StreamOrDevice s = {});
// The promoted dtype: integers stay integers.
array power(const array& a, const array& b, StreamOrDevice s = {});
// NaN when either is NaN.
array maximum(const array& a, const array& b, StreamOrDevice s = {});
// NaN when either is NaN.
array minimum(const array& a, const array& b, StreamOrDevice s = {});
array arctan2(const array& a, const array& b, StreamOrDevice s = {});
// log(exp(a) + exp(b)).
array logaddexp(const array& a, const array& b, StreamOrDevice s = {});
// Result bool.
array equal(const array& a, const array& b, StreamOrDevice s = {});
// Result bool.
array not_equal(const array& a, const array& b, StreamOrDevice s = {});
// Result bool.
array less(const array& a, const array& b, StreamOrDevice s = {});
// Result bool.
array less_equal(const array& a, const array& b, StreamOrDevice s = {});
// Result bool.
array greater(const array& a, const array& b, StreamOrDevice s = {});
// Result bool.
array greater_equal(const array& a, const array& b, StreamOrDevice s = {});
// Operands are taken as bool.
array logical_and(const array& a, const array& b, StreamOrDevice s = {});
// Operands are taken as bool.
array logical_or(const array& a, const array& b, StreamOrDevice s = {});
// Operands are taken as bool.
array logical_xor(const array& a, const array& b, StreamOrDevice s = {});
// Integers and bool.
array bitwise_and(const array& a, const array& b, StreamOrDevice s = {});
// Integers and bool.
array bitwise_or(const array& a, const array& b, StreamOrDevice s = {});
// Integers and bool.
array bitwise_xor(const array& a, const array& b, StreamOrDevice s = {});
// Integers; bool counts as uint8.
array left_shift(const array& a, const array& b, StreamOrDevice s = {});
// Integers; keeps the sign.
array right_shift(const array& a, const array& b, StreamOrDevice s = {});
// {floor_divide(a, b), remainder(a, b)}. Throws ValueError for complex operands.
std::vector<array> divmod(const array& a, const array& b, StreamOrDevice s = {});

// x where the condition holds (taken as bool), else y.
array where(const array& condition, const array& x, const array& y, StreamOrDevice s = {});
// Bounded from below and above; at least one bound must be given.
array clip(const array& a, const std::optional<array>& a_min = std::nullopt,
           const std::optional<array>& a_max = std::nullopt, StreamOrDevice s = {});
// Replaces NaN and infinities; by default with 0 and the dtype's largest and smallest number.
array nan_to_num(const array& a, float nan = 0.0f, const std::optional<float> posinf = std::nullopt,
                 const std::optional<float> neginf = std::nullopt, StreamOrDevice s = {});
// |a - b| <= atol + rtol * |b|; infinities of one sign are close.
array isclose(const array& a, const array& b, double rtol = 1e-5, double atol = 1e-8,
              bool equal_nan = false, StreamOrDevice s = {});
// A 0-d bool array.
array allclose(const array& a, const array& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false, StreamOrDevice s = {});
// A 0-d bool array; false for different shapes.
array array_equal(const array& a, const array& b, bool equal_nan, StreamOrDevice s = {});
array array_equal(const array& a, const array& b, StreamOrDevice s = {});

// The same numbers in another dtype; `a` itself when it has that dtype already. Floats are cut
// towards zero for integers, complex numbers lose their imaginary part.
array astype(const array& a, Dtype dtype, StreamOrDevice s = {});

array operator-(const array& a);
array operator~(const array& a);
array operator+(const array& a, const array& b);
array operator-(const array& a, const array& b);
array operator*(const array& a, const array& b);
array operator%(const array& a, const array& b);
array operator==(const array& a, const array& b);
array operator!=(const array& a, const array& b);
array operator<(const array& a, const array& b);
array operator<=(const array& a, const array& b);
array operator>(const array& a, const array& b);
array operator>=(const array& a, const array& b);
array operator/(const array& a, const array& b);
array operator&&(const array& a, const array& b);
array operator||(const array& a, const array& b);
array operator&(const array& a, const array& b);
array operator|(const array& a, const array& b);
array operator^(const array& a, const array& b);
array operator<<(const array& a, const array& b);
array operator>>(const array& a, const array& b);
array operator/(double a, const array& b);
array operator/(const array& a, double b);
template <Number T>
array operator+(T a, const array& b) {
  return array(a) + b;
}
template <Number T>
array operator+(const array& a, T b) {
  return a + array(b);
}
template <Number T>
array operator-(T a, const array& b) {
  return array(a) - b;
}
template <Number T>
array operator-(const array& a, T b) {
  return a - array(b);
}
template <Number T>
array operator*(T a, const array& b) {
  return array(a) * b;
}
template <Number T>
array operator*(const array& a, T b) {
  return a * array(b);
}
template <Number T>
array operator%(T a, const array& b) {
  return array(a) % b;
}
template <Number T>
array operator%(const array& a, T b) {
  return a % array(b);
}
template <Number T>
array operator==(T a, const array& b) {
  return array(a) == b;
}
template <Number T>
array operator==(const array& a, T b) {
  return a == array(b);
}
template <Number T>
array operator!=(T a, const array& b) {
  return array(a) != b;
}
template <Number T>
array operator!=(const array& a, T b) {
  return a != array(b);
}
template <Number T>
array operator<(T a, const array& b) {
  return array(a) < b;
}
template <Number T>
array operator<(const array& a, T b) {
  return a < array(b);
}
template <Number T>
array operator<=(T a, const array& b) {
  return array(a) <= b;
}
template <Number T>
array operator<=(const array& a, T b) {
  return a <= array(b);
}
template <Number T>
array operator>(T a, const array& b) {
  return array(a) > b;
}
template <Number T>
array operator>(const array& a, T b) {
  return a > array(b);
}
template <Number T>
array operator>=(T a, const array& b) {
  return array(a) >= b;
}
template <Number T>
array operator>=(const array& a, T b) {
  return a >= array(b);
}

}  // namespace tarn
