// Numbers in formulas that take the dtype of the array beside them, as Python's numbers do in MLX:
// half-precision stays half-precision, float64 gets all digits, and integers become float32 beside
// a number with a point. `0.5_w * x`, `x + Weak(eps)`.
#pragma once

#include "tarn/ops.h"

namespace tarn::nn {

struct Weak {
  double value = 0;
  bool integral = false;

  explicit Weak(double v) : value(v) {}
  explicit Weak(float v) : value(v) {}
  explicit Weak(int v) : value(v), integral(true) {}
  explicit Weak(int64_t v) : value(static_cast<double>(v)), integral(true) {}

  array like(const array& a) const {
    bool as_it_is = issubdtype(a.dtype(), inexact) || (integral && a.dtype() != bool_);
    return array(value, as_it_is ? a.dtype() : integral ? int32 : float32);
  }
};

inline Weak operator""_w(long double v) { return Weak(static_cast<double>(v)); }
inline Weak operator""_w(unsigned long long v) { return Weak(static_cast<int64_t>(v)); }

inline array operator+(const array& a, Weak w) { return a + w.like(a); }
inline array operator+(Weak w, const array& a) { return w.like(a) + a; }
inline array operator-(const array& a, Weak w) { return a - w.like(a); }
inline array operator-(Weak w, const array& a) { return w.like(a) - a; }
inline array operator*(const array& a, Weak w) { return a * w.like(a); }
inline array operator*(Weak w, const array& a) { return w.like(a) * a; }
inline array operator/(const array& a, Weak w) { return a / w.like(a); }
inline array operator/(Weak w, const array& a) { return w.like(a) / a; }
inline array operator<(const array& a, Weak w) { return a < w.like(a); }
inline array operator>(const array& a, Weak w) { return a > w.like(a); }
inline array operator>=(const array& a, Weak w) { return a >= w.like(a); }
inline array maximum(const array& a, Weak w) { return tarn::maximum(a, w.like(a)); }
inline array minimum(const array& a, Weak w) { return tarn::minimum(a, w.like(a)); }
inline array power(const array& a, Weak w) { return tarn::power(a, w.like(a)); }

}  // namespace tarn::nn
