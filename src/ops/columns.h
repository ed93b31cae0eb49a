// The columns of a table of formulas, one for each dtype in the order of Dtype::Val: how its
// numbers are stored, which formulas are defined on them, and how they are cast. Formulas only: the
// units for one instruction set and the CUDA units include this file. float16 and bfloat16 are
// converted to float and back.
#pragma once

#include "ops/spec.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace tarn::ops {

using namespace math;
using u8 = unsigned char;
using u16 = unsigned short;

struct Half {
  u16 bits;
};
struct Bfloat {
  u16 bits;
};

// The type a loop loads and stores for a value type: bool as a byte, or g++ does not vectorise.
template <class T>
struct Stored {
  using type = T;
};
template <>
struct Stored<bool> {
  using type = u8;
};
template <class T>
using stored = typename Stored<T>::type;
template <class T>
TARN_FN T loaded(stored<T> x) {
  if constexpr (__is_same(T, bool))
    return x != 0;
  else
    return x;
}

template <class T, Types types>
TARN_FN constexpr bool in_domain() {
  constexpr bool complex = __is_same(T, c64);
  constexpr bool real = __is_same(T, float) || __is_same(T, double);
  constexpr bool boolean = __is_same(T, bool);
  switch (types) {
    case Types::boolean:
      return boolean;
    case Types::integral:
      return !real && !complex;
    case Types::real:
      return !complex;
    case Types::number:
      return true;
    case Types::floating:
      return real;
    case Types::inexact:
      return real || complex;
    case Types::complex:
      return complex;
  }
  return false;
}

TARN_FN float widened(Half h) {
#if defined(__CUDA_ARCH__)
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h.bits));
  return x;
#elif defined(__F16C__)
  return _cvtsh_ss(h.bits);
#elif defined(__aarch64__)
  return __builtin_bit_cast(__fp16, h.bits);
#else
  unsigned sign = (h.bits & 0x8000u) << 16, m = h.bits & 0x7fffu;
  float scaled = bits::to(m << 13) * 0x1p112f;
  unsigned finite = bits::of(scaled), infinite = 0x7f800000u | ((m & 0x3ffu) << 13);
  return bits::to(sign | (m >= 0x7c00u ? infinite : finite));
#endif
}
TARN_FN float widened(Bfloat b) { return bits::to(static_cast<unsigned>(b.bits) << 16); }
TARN_FN Half narrowed_half(float x) {
#if defined(__CUDA_ARCH__)
  Half h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(x));
  return h;
#elif defined(__F16C__)
  // Not _cvtss_sh: clang makes it of a C99 literal, which -Wpedantic refuses.
  const __m128i rounded = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT);
  return {static_cast<u16>(_mm_cvtsi128_si32(rounded))};
#elif defined(__aarch64__)
  return {__builtin_bit_cast(u16, static_cast<__fp16>(x))};
#else
  unsigned v = bits::of(x), sign = (v >> 16) & 0x8000u;
  v &= 0x7fffffffu;
  unsigned small = bits::of(bits::to(v) + 0.5f) - 0x3f000000u;
  unsigned normal = (v + 0xfffu + ((v >> 13) & 1u) - 0x38000000u) >> 13;
  unsigned r = v < 0x38800000u ? small : normal;
  r = v >= 0x477ff000u ? 0x7c00u : r;
  r = v > 0x7f800000u ? 0x7e00u : r;
  return {static_cast<u16>(sign | r)};
#endif
}
TARN_FN Bfloat narrowed_bfloat(float x) {
  unsigned u = bits::of(x), r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return {static_cast<u16>((u & 0x7fffffffu) > 0x7f800000u ? ((u >> 16) | 0x40u) : r)};
}

template <class From, class To>
TARN_FN To converted(From x) {
  if constexpr (__is_same(To, Half))
    return narrowed_half(x);
  else if constexpr (__is_same(To, Bfloat))
    return narrowed_bfloat(x);
  else if constexpr (__is_same(From, Half) || __is_same(From, Bfloat))
    return widened(x);
  else if constexpr (__is_same(From, To))
    return x;
  else if constexpr (__is_same(To, bool) && __is_same(From, c64))
    return x != c64{};
  else if constexpr (__is_same(From, c64))
    return static_cast<To>(x.re);
  else if constexpr (__is_same(To, c64))
    return c64{static_cast<float>(x), 0.f};
  else if constexpr (__is_same(To, bool))
    return x != From(0);
  else
    return static_cast<To>(x);
}

}  // namespace tarn::ops
