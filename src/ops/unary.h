// Functions of one number: the formula, its domain and its derivative, each written once.
#pragma once

#include "ops/spec.h"

namespace tarn::ops {

using namespace math;  // formulas call exp(x) unqualified: for arrays ADL finds tarn::exp

struct Negative : Unary {
  static constexpr Spec spec{"negative", Types::number, "-x."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(T x) {
    return T(-x);
  }
  template <class A>
  static A grad(A g, A, A) {
    return -g;
  }
};
struct Abs : Unary {
  static constexpr Spec spec{"abs", Types::number, "The magnitude of x; real for complex x."};
  static constexpr bool cheap = true;
  TARN_FN static float value(c64 x) { return abs(x); }
  template <class T>
  TARN_FN static T value(T x) {
    if constexpr (T(-1) < T(0))
      return x < T(0) ? T(-x) : x;
    else
      return x;
  }
  TARN_FN static float value(float x) { return abs(x); }
  TARN_FN static double value(double x) { return abs(x); }
  template <class A>
  static A grad(A g, A, A x) {
    return g * sign(x);
  }
  template <class A>
  static A complex_grad(A g, A, A x) {
    return g * sign(x);
  }
  template <class A>
  static A complex_tangent(A t, A, A x) {
    return real(conjugate(sign(x)) * t);
  }
};
struct Sign : Unary {
  static constexpr Spec spec{"sign", Types::number, "-1, 0 or 1; x / |x| for complex x."};
  static constexpr bool cheap = true;
  TARN_FN static c64 value(c64 x) {
    float m = abs(x);
    return m == 0.f ? c64{0, 0} : c64{x.re / m, x.im / m};
  }
  template <class T>
  TARN_FN static T value(T x) {
    T s = T(T(x > T(0)) - T(x < T(0)));
    return x != x ? x : s;
  }
  template <class A>
  static A grad(A g, A, A) {
    return constant(g, 0) * g;
  }
  // What of t is across x: the direction of x turns, a change of its length is lost.
  template <class A>
  static A complex_grad(A g, A y, A x) {
    return (g - y * real(conjugate(y) * g)) / abs(x);
  }
  template <class A>
  static A complex_tangent(A t, A y, A x) {
    return complex_grad(t, y, x);
  }
};
struct Square : Unary {
  static constexpr Spec spec{"square", Types::number, "x * x."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(T x) {
    return T(x * x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return constant(g, 2) * g * x;
  }
};
struct Floor : Unary {
  static constexpr Spec spec{"floor", Types::floating, "The largest integer not above x."};
  using grad = none;
  template <class T>
  TARN_FN static T value(T x) {
    return floor(x);
  }
};
struct Ceil : Unary {
  static constexpr Spec spec{"ceil", Types::floating, "The smallest integer not below x."};
  using grad = none;
  template <class T>
  TARN_FN static T value(T x) {
    return ceil(x);
  }
};
struct Trunc : Unary {
  static constexpr Spec spec{"trunc", Types::floating, "x without its fraction."};
  using grad = none;
  template <class T>
  TARN_FN static T value(T x) {
    return trunc(x);
  }
};
struct Round : Unary {
  static constexpr Spec spec{"round", Types::inexact, "The nearest integer, halves to even."};
  using grad = none;
  template <class T>
  TARN_FN static T value(T x) {
    return rint(x);
  }
};
struct Exp : Unary {
  static constexpr Spec spec{"exp", Types::inexact, "e to the power x."};
  template <class T>
  TARN_FN static T value(T x) {
    return exp(x);
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * y;
  }
};
struct Expm1 : Unary {
  static constexpr Spec spec{"expm1", Types::inexact, "exp(x) - 1, accurate near 0."};
  template <class T>
  TARN_FN static T value(T x) {
    return expm1(x);
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * (y + constant(y, 1));
  }
};
struct Log : Unary {
  static constexpr Spec spec{"log", Types::inexact, "The natural logarithm."};
  template <class T>
  TARN_FN static T value(T x) {
    return log(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g / x;
  }
};
struct Log2 : Unary {
  static constexpr Spec spec{"log2", Types::inexact, "The logarithm to base 2."};
  template <class T>
  TARN_FN static T value(T x) {
    return log2(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g / (x * constant(x, 0.6931471805599453));
  }
};
struct Log10 : Unary {
  static constexpr Spec spec{"log10", Types::inexact, "The logarithm to base 10."};
  template <class T>
  TARN_FN static T value(T x) {
    return log10(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g / (x * constant(x, 2.302585092994046));
  }
};
struct Log1p : Unary {
  static constexpr Spec spec{"log1p", Types::inexact, "log(1 + x), accurate near 0."};
  template <class T>
  TARN_FN static T value(T x) {
    return log1p(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g / (x + constant(x, 1));
  }
};
struct Sqrt : Unary {
  static constexpr Spec spec{"sqrt", Types::inexact, "The square root."};
  template <class T>
  TARN_FN static T value(T x) {
    return sqrt(x);
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * constant(y, 0.5) / y;
  }
};
struct Rsqrt : Unary {
  static constexpr Spec spec{"rsqrt", Types::inexact, "1 / sqrt(x)."};
  TARN_FN static c64 value(c64 x) { return c64{1, 0} / sqrt(x); }
  template <class T>
  TARN_FN static T value(T x) {
    return T(1) / sqrt(x);
  }
  template <class A>
  static A grad(A g, A y, A x) {
    return g * constant(y, -0.5) * y / x;
  }
};
struct Sin : Unary {
  static constexpr Spec spec{"sin", Types::inexact, "The sine of x in radians."};
  template <class T>
  TARN_FN static T value(T x) {
    return sin(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * cos(x);
  }
};
struct Cos : Unary {
  static constexpr Spec spec{"cos", Types::inexact, "The cosine of x in radians."};
  template <class T>
  TARN_FN static T value(T x) {
    return cos(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return -g * sin(x);
  }
};
struct Tan : Unary {
  static constexpr Spec spec{"tan", Types::inexact, "The tangent of x in radians.", 2e-6};
  template <class T>
  TARN_FN static T value(T x) {
    return tan(x);
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * (constant(y, 1) + y * y);
  }
};
struct ArcSin : Unary {
  static constexpr Spec spec{"arcsin", Types::floating, "The inverse sine, in [-pi/2, pi/2]."};
  template <class T>
  TARN_FN static T value(T x) {
    return asin(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * rsqrt(constant(x, 1) - x * x);
  }
};
struct ArcCos : Unary {
  static constexpr Spec spec{"arccos", Types::floating, "The inverse cosine, in [0, pi]."};
  template <class T>
  TARN_FN static T value(T x) {
    return acos(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return -g * rsqrt(constant(x, 1) - x * x);
  }
};
struct ArcTan : Unary {
  static constexpr Spec spec{"arctan", Types::floating, "The inverse tangent."};
  template <class T>
  TARN_FN static T value(T x) {
    return atan(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g / (constant(x, 1) + x * x);
  }
};
struct Sinh : Unary {
  static constexpr Spec spec{"sinh", Types::inexact, "The hyperbolic sine."};
  template <class T>
  TARN_FN static T value(T x) {
    return sinh(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * cosh(x);
  }
};
struct Cosh : Unary {
  static constexpr Spec spec{"cosh", Types::inexact, "The hyperbolic cosine."};
  template <class T>
  TARN_FN static T value(T x) {
    return cosh(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * sinh(x);
  }
};
struct Tanh : Unary {
  static constexpr Spec spec{"tanh", Types::inexact, "The hyperbolic tangent."};
  template <class T>
  TARN_FN static T value(T x) {
    return tanh(x);
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * (constant(y, 1) - y * y);
  }
};
struct ArcSinh : Unary {
  static constexpr Spec spec{"arcsinh", Types::floating, "The inverse hyperbolic sine."};
  template <class T>
  TARN_FN static T value(T x) {
    return asinh(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * rsqrt(x * x + constant(x, 1));
  }
};
struct ArcCosh : Unary {
  static constexpr Spec spec{"arccosh", Types::floating, "The inverse hyperbolic cosine."};
  template <class T>
  TARN_FN static T value(T x) {
    return acosh(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * rsqrt(x * x - constant(x, 1));
  }
};
struct ArcTanh : Unary {
  static constexpr Spec spec{"arctanh", Types::floating, "The inverse hyperbolic tangent."};
  template <class T>
  TARN_FN static T value(T x) {
    return atanh(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g / (constant(x, 1) - x * x);
  }
};
struct Sigmoid : Unary {
  static constexpr Spec spec{"sigmoid", Types::floating, "1 / (1 + exp(-x))."};
  template <class T>
  TARN_FN static T value(T x) {
    return T(1) / (T(1) + exp(-x));
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * y * (constant(y, 1) - y);
  }
};
struct Erf : Unary {
  static constexpr Spec spec{"erf", Types::floating, "The error function."};
  template <class T>
  TARN_FN static T value(T x) {
    return erf(x);
  }
  template <class A>
  static A grad(A g, A, A x) {
    return g * constant(x, 1.1283791670955126) * exp(-(x * x));
  }
};
struct ErfInv : Unary {
  static constexpr Spec spec{"erfinv", Types::floating, "The inverse of erf, on (-1, 1).", 1e-5};
  template <class T>
  TARN_FN static T value(T x) {
    return erfinv(x);
  }
  template <class A>
  static A grad(A g, A y, A) {
    return g * constant(y, 0.8862269254527580) * exp(y * y);
  }
};
struct Conjugate : Unary {
  static constexpr Spec spec{"conjugate", Types::complex, "The complex conjugate."};
  TARN_FN static c64 value(c64 x) { return {x.re, -x.im}; }
  template <class A>
  static A complex_grad(A g, A, A) {
    return conjugate(g);
  }
  template <class A>
  static A complex_tangent(A t, A, A) {
    return conjugate(t);
  }
};
struct Real : Unary {
  static constexpr Spec spec{"real", Types::complex, "The real part, as float32."};
  TARN_FN static float value(c64 x) { return x.re; }
  template <class A>
  static A complex_grad(A g, A, A) {
    return on_real_axis(g);
  }
  template <class A>
  static A complex_tangent(A t, A, A) {
    return real(t);
  }
};
struct Imag : Unary {
  static constexpr Spec spec{"imag", Types::complex, "The imaginary part, as float32."};
  TARN_FN static float value(c64 x) { return x.im; }
  template <class A>
  static A complex_grad(A g, A, A) {
    return on_imaginary_axis(g);
  }
  template <class A>
  static A complex_tangent(A t, A, A) {
    return imag(t);
  }
};
struct LogicalNot : Unary {
  static constexpr Spec spec{"logical_not", Types::boolean, "True where x is false."};
  static constexpr bool cheap = true;
  using grad = none;
  TARN_FN static bool value(bool x) { return !x; }
};
struct BitwiseInvert : Unary {
  static constexpr Spec spec{"bitwise_invert", Types::integral, "Every bit of x turned over."};
  static constexpr bool cheap = true;
  using grad = none;
  TARN_FN static bool value(bool x) { return !x; }
  template <class T>
  TARN_FN static T value(T x) {
    return T(~x);
  }
};
struct IsNan : Unary {
  static constexpr Spec spec{"isnan", Types::inexact, "True where x is not a number."};
  static constexpr bool cheap = true;
  using grad = none;
  template <class T>
  TARN_FN static bool value(T x) {
    return isnan(x);
  }
};
struct IsInf : Unary {
  static constexpr Spec spec{"isinf", Types::inexact, "True where x is an infinity."};
  static constexpr bool cheap = true;
  using grad = none;
  template <class T>
  TARN_FN static bool value(T x) {
    return isinf(x);
  }
};

}  // namespace tarn::ops
