// Numbers in generic kernels: what they add up in, and an order in which NaN is last.
#pragma once

#include <complex>
#include <cstdint>
#include <type_traits>

#include "tarn/dtype.h"

namespace tarn::cpu {

template <class T>
inline constexpr bool is_complex = std::is_same_v<T, complex64_t>;
template <class T>
inline constexpr bool is_half = std::is_same_v<T, float16_t> || std::is_same_v<T, bfloat16_t>;

// Floats add up in double, integers in 64 bits.
template <class T>
using Accumulator = std::conditional_t<
    is_complex<T>, std::complex<double>,
    std::conditional_t<std::is_integral_v<T>,
                       std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>, double>>;

template <class T>
Accumulator<T> widen(T x) {
  if constexpr (is_half<T>)
    return static_cast<double>(static_cast<float>(x));
  else
    return static_cast<Accumulator<T>>(x);
}
template <class To, class From>
To narrow(From x) {
  if constexpr (is_half<To>)
    return To(static_cast<float>(x));
  else
    return static_cast<To>(x);
}

// Integers wrap around, as they do in the kernels.
template <class A>
A plus(A a, A b) {
  if constexpr (std::is_integral_v<A>)
    return static_cast<A>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  else
    return a + b;
}
template <class A>
A times(A a, A b) {
  if constexpr (std::is_integral_v<A>)
    return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else
    return a * b;
}

template <class T>
bool is_nan(T x) {
  if constexpr (is_complex<T>)
    return x.real() != x.real() || x.imag() != x.imag();
  else if constexpr (is_half<T>)
    return float(x) != float(x);
  else
    return x != x;
}
// A strict order: numbers rising, complex ones by real then imaginary part, NaN after all.
template <class T>
bool before(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return a < b;
  else if constexpr (is_complex<T>) {
    if (is_nan(a) || is_nan(b)) return !is_nan(a) && is_nan(b);
    return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
  } else {
    auto x = static_cast<double>(a), y = static_cast<double>(b);
    return x < y || (x == x && y != y);
  }
}

}  // namespace tarn::cpu
