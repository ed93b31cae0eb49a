// What an op says about itself. Read by every compiler that reads formulas: base/scalar.h only.
#pragma once

#include "base/scalar.h"

namespace tarn::ops {

// The element types an op computes in. Others are promoted when the call is recorded: integers to
// float32 for `floating` and `inexact`; float16 and bfloat16 are computed in float.
enum class Types : unsigned char {
  boolean,   // bool
  integral,  // bool and integers
  real,      // bool, integers, floats
  number,    // real and complex
  floating,  // floats
  inexact,   // floats and complex
  complex,   // complex only
};

struct Spec {
  const char* name;
  Types types;
  const char* doc;
  double tolerance = 0;  // relative, for the law tests; 0: the default of the dtype
};

template <class A>
struct pair {
  A first, second;
};
template <class A>
struct triple {
  A first, second, third;
};

// "using grad = none;" says: no derivative, on purpose.
struct none {};

struct Elementwise;  // the kind; see ops/kinds.h
struct Unary {
  using Kind = Elementwise;
  static constexpr int arity = 1;
};
struct Binary {
  using Kind = Elementwise;
  static constexpr int arity = 2;
};
struct Ternary {
  using Kind = Elementwise;
  static constexpr int arity = 3;
};

// A list of op types. each(f) calls f(type<T>{}) for every one.
template <class T>
struct type {
  using t = T;
};
template <class... T>
struct List {
  static constexpr int size = sizeof...(T);
  template <class F>
  static constexpr void each(F f) {
    (f(type<T>{}), ...);
  }
};

}  // namespace tarn::ops
