// Functions of two and three numbers.
#pragma once

#include "ops/spec.h"

namespace tarn::ops {

using namespace math;

struct Add : Binary {
  static constexpr Spec spec{"add", Types::number, "a + b."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(T a, T b) {
    return T(a + b);
  }
  template <class A>
  static pair<A> grad(A g, A, A, A) {
    return {g, g};
  }
};
struct Subtract : Binary {
  static constexpr Spec spec{"subtract", Types::number, "a - b."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(T a, T b) {
    return T(a - b);
  }
  template <class A>
  static pair<A> grad(A g, A, A, A) {
    return {g, -g};
  }
};
struct Multiply : Binary {
  static constexpr Spec spec{"multiply", Types::number, "a * b."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(T a, T b) {
    return T(a * b);
  }
  template <class A>
  static pair<A> grad(A g, A, A a, A b) {
    return {g * b, g * a};
  }
};
struct Divide : Binary {
  static constexpr Spec spec{"divide", Types::inexact, "a / b; integers are divided as float32."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(T a, T b) {
    return a / b;
  }
  template <class A>
  static pair<A> grad(A g, A y, A, A b) {
    return {g / b, -g * y / b};
  }
};
struct FloorDivide : Binary {
  static constexpr Spec spec{"floor_divide", Types::real, "floor(a / b); 0 for integer b = 0."};
  using grad = none;
  TARN_FN static float value(float a, float b) { return floor(a / b); }
  TARN_FN static double value(double a, double b) { return floor(a / b); }
  template <class T>
  TARN_FN static T value(T a, T b) {
    if (b == T(0)) return T(0);
    if constexpr (T(-1) < T(0)) {
      if (b == T(-1)) return T(0 - a);  // the smallest integer divided by -1 wraps, and traps not
      T q = T(a / b);
      return a % b != 0 && (a < 0) != (b < 0) ? T(q - 1) : q;
    } else {
      return T(a / b);
    }
  }
};
struct Remainder : Binary {
  static constexpr Spec spec{"remainder", Types::real,
                             "a - b * floor(a / b): the sign follows b; 0 for integer b = 0."};
  template <class T>
  TARN_FN static T modulo(T a, T b) {
    T r = fmod(a, b);
    return (r != 0 && (r < 0) != (b < 0)) ? r + b : r;
  }
  TARN_FN static float value(float a, float b) { return modulo(a, b); }
  TARN_FN static double value(double a, double b) { return modulo(a, b); }
  template <class T>
  TARN_FN static T value(T a, T b) {
    if (b == T(0)) return T(0);
    if constexpr (T(-1) < T(0)) {
      if (b == T(-1)) return T(0);
      T r = T(a % b);
      return (r != 0 && (r < 0) != (b < 0)) ? T(r + b) : r;
    } else {
      return T(a % b);
    }
  }
  template <class A>
  static pair<A> grad(A g, A, A a, A b) {
    return {g, -g * floor_divide(a, b)};
  }
};
struct Power : Binary {
  static constexpr Spec spec{"power", Types::number, "a to the power b; integers stay integers.",
                             5e-6};
  TARN_FN static float value(float a, float b) { return pow(a, b); }
  TARN_FN static double value(double a, double b) { return pow(a, b); }
  TARN_FN static c64 value(c64 a, c64 b) { return pow(a, b); }
  // By squaring; a negative exponent of an integer gives 0, except for the units 1 and -1.
  template <class T>
  TARN_FN static T value(T a, T b) {
    if constexpr (T(-1) < T(0)) {
      if (b < T(0)) return a == T(1) ? T(1) : a == T(-1) ? (b & 1 ? T(-1) : T(1)) : T(0);
    }
    T result = 1, base = a;
    for (int i = 0; i < 64 && b != T(0); ++i, b = T(b >> 1), base = T(base * base))
      if (b & T(1)) result = T(result * base);
    return result;
  }
  template <class A>
  static pair<A> grad(A g, A y, A a, A b) {
    A safe = select(a == constant(a, 0), constant(a, 1), a);
    return {g * b * power(a, b - constant(b, 1)),
            g * y * select(a > constant(a, 0), log(safe), constant(a, 0))};
  }
};
struct Maximum : Binary {
  static constexpr Spec spec{"maximum", Types::number, "The larger; NaN when either is NaN."};
  static constexpr bool cheap = true;
  TARN_FN static c64 value(c64 a, c64 b) { return (isnan(a) || b < a) ? a : b; }
  template <class T>
  TARN_FN static T value(T a, T b) {
    return max(a, b);
  }
  template <class A>
  static pair<A> grad(A g, A, A a, A b) {
    A zero = constant(g, 0);
    return {select(a > b, g, zero), select(a > b, zero, g)};
  }
};
struct Minimum : Binary {
  static constexpr Spec spec{"minimum", Types::number, "The smaller; NaN when either is NaN."};
  static constexpr bool cheap = true;
  TARN_FN static c64 value(c64 a, c64 b) { return (isnan(a) || a < b) ? a : b; }
  template <class T>
  TARN_FN static T value(T a, T b) {
    return min(a, b);
  }
  template <class A>
  static pair<A> grad(A g, A, A a, A b) {
    A zero = constant(g, 0);
    return {select(a < b, g, zero), select(a < b, zero, g)};
  }
};
struct ArcTan2 : Binary {
  static constexpr Spec spec{"arctan2", Types::floating, "The angle of the point (b, a)."};
  template <class T>
  TARN_FN static T value(T a, T b) {
    return atan2(a, b);
  }
  template <class A>
  static pair<A> grad(A g, A, A a, A b) {
    A t = g / (a * a + b * b);
    return {t * b, -t * a};
  }
};
struct LogAddExp : Binary {
  static constexpr Spec spec{"logaddexp", Types::floating,
                             "log(exp(a) + exp(b)), without overflow."};
  template <class T>
  TARN_FN static T value(T a, T b) {
    T hi = max(a, b), lo = min(a, b);
    return select(isinf(hi), hi, hi + log1p(exp(lo - hi)));
  }
  template <class A>
  static pair<A> grad(A g, A y, A a, A b) {
    return {g * exp(a - y), g * exp(b - y)};
  }
};

#define TARN_COMPARE(Name, text, op, doc)                 \
  struct Name : Binary {                                  \
    static constexpr Spec spec{text, Types::number, doc}; \
    static constexpr bool cheap = true;                   \
    using grad = none;                                    \
    template <class T>                                    \
    TARN_FN static bool value(T a, T b) {                 \
      return a op b;                                      \
    }                                                     \
  };
TARN_COMPARE(Equal, "equal", ==, "True where a = b.")
TARN_COMPARE(NotEqual, "not_equal", !=, "True where a differs from b.")
TARN_COMPARE(Less, "less", <, "True where a < b; complex numbers by real, then imaginary part.")
TARN_COMPARE(LessEqual, "less_equal", <=, "True where a is at most b.")
TARN_COMPARE(Greater, "greater", >, "True where a > b.")
TARN_COMPARE(GreaterEqual, "greater_equal", >=, "True where a is at least b.")
#undef TARN_COMPARE

#define TARN_BITS(Name, text, types, expression, doc) \
  struct Name : Binary {                              \
    static constexpr Spec spec{text, types, doc};     \
    static constexpr bool cheap = true;               \
    using grad = none;                                \
    template <class T>                                \
    TARN_FN static T value(T a, T b) {                \
      return T(expression);                           \
    }                                                 \
  };
TARN_BITS(LogicalAnd, "logical_and", Types::boolean, a& b, "True where both are.")
TARN_BITS(LogicalOr, "logical_or", Types::boolean, a | b, "True where either is.")
TARN_BITS(LogicalXor, "logical_xor", Types::boolean, a ^ b, "True where exactly one is.")
TARN_BITS(BitwiseAnd, "bitwise_and", Types::integral, a& b, "The bits set in both.")
TARN_BITS(BitwiseOr, "bitwise_or", Types::integral, a | b, "The bits set in either.")
TARN_BITS(BitwiseXor, "bitwise_xor", Types::integral, a ^ b, "The bits set in one of the two.")
#undef TARN_BITS

// A shift by the width or more gives what shifting bit by bit would: zero, or the sign.
struct LeftShift : Binary {
  static constexpr Spec spec{"left_shift", Types::integral, "a moved b bits up."};
  using grad = none;
  TARN_FN static bool value(bool a, bool b) { return a && !b; }
  template <class T>
  TARN_FN static T value(T a, T b) {
    constexpr int width = int(sizeof(T)) * 8;
    return (b < T(0) || b >= T(width)) ? T(0) : T(static_cast<unsigned long>(a) << int(b));
  }
};
struct RightShift : Binary {
  static constexpr Spec spec{"right_shift", Types::integral,
                             "a moved b bits down; keeps the sign."};
  using grad = none;
  TARN_FN static bool value(bool a, bool b) { return a && !b; }
  template <class T>
  TARN_FN static T value(T a, T b) {
    constexpr int width = int(sizeof(T)) * 8;
    return (b < T(0) || b >= T(width)) ? (a < T(0) ? T(-1) : T(0)) : T(a >> int(b));
  }
};

// where(condition, a, b). The condition is bool; a and b share a dtype.
struct Where : Ternary {
  static constexpr Spec spec{"where", Types::number, "a where the condition holds, else b."};
  static constexpr bool cheap = true;
  template <class T>
  TARN_FN static T value(bool c, T a, T b) {
    return c ? a : b;
  }
  template <class C, class A>
  static pair<A> grad(A g, C c, A, A) {
    A zero = constant(g, 0);
    return {select(c, g, zero), select(c, zero, g)};
  }
};

}  // namespace tarn::ops
