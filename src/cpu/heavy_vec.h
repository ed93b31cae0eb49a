// Vectors of the level that this translation unit is compiled for, in the compilers' own vector
// types: the kernels are written once and are 4, 8 or 16 floats wide.
//
// Everything here lives in an unnamed namespace inside the level's own, so that no symbol compiled
// for a wide level can be picked by the linker for a narrow one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/heavy.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// g++ 12's AVX-512 headers make "undefined" operands by initialising a variable with itself, and
// warn about it wherever they are inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define TARN_INLINE [[gnu::always_inline]] inline
#if defined(__clang__)
#define TARN_UNROLL _Pragma("clang loop unroll(full)")
#define TARN_UNROLL_BY_FOUR _Pragma("clang loop unroll_count(4)")
#else
#define TARN_UNROLL _Pragma("GCC unroll 32")
#define TARN_UNROLL_BY_FOUR _Pragma("GCC unroll 4")
#endif

namespace tarn::cpu::TARN_LEVEL {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T loose __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  static constexpr int lanes = kVectorBytes / static_cast<int>(sizeof(T));
};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
constexpr int kLanesOf = VectorOf<T>::lanes;

using Vf = Vec<float>;
using Vi = Vec<int32_t>;
using Vu = Vec<uint32_t>;
constexpr int kLanes = kLanesOf<float>;

template <class T>
TARN_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::loose*>(p);
}
template <class T>
TARN_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::loose*>(p) = v;
}
template <class T>
TARN_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};  // not +: -0 stays -0
}

template <class To, class From>
TARN_INLINE To bits_as(From v) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, v);
}

TARN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
TARN_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
TARN_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
TARN_INLINE int64_t round_up(int64_t a, int64_t unit) { return ceil_div(a, unit) * unit; }

struct Range {
  int64_t begin = 0, end = 0;
};

// The part of 0..n that one of `workers` does, cut at multiples of `unit`.
TARN_INLINE Range share(int64_t n, int64_t unit, int worker, int workers) {
  const int64_t units = ceil_div(n, unit);
  return {smaller(n, units * worker / workers * unit),
          smaller(n, units * (worker + 1) / workers * unit)};
}

// --- arithmetic --------------------------------------------------------------------------------

// The lanes' sum, halving: the same order at every call.
template <class T>
TARN_INLINE T sum_lanes(Vec<T> v) {
  T lanes[kLanesOf<T>];
  std::memcpy(lanes, &v, sizeof v);
  TARN_UNROLL
  for (int half = kLanesOf<T> / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

TARN_INLINE Vf max_of(Vf a, Vf b) { return a > b ? a : b; }  // b where either is NaN

TARN_INLINE float max_lanes(Vf v) {
  float lanes[kLanes];
  std::memcpy(lanes, &v, sizeof v);
  TARN_UNROLL
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l)
      lanes[l] = lanes[l + half] > lanes[l] ? lanes[l + half] : lanes[l];
  return lanes[0];
}

// e^x within 1 ULP for x in [-87.3, 88]; 0 below, where float32 is subnormal; NaN stays. Above 88,
// where what is left of a maximum never is, it is no number in particular. Cephes' range reduction
// and a degree 6 polynomial on [-ln2/2, ln2/2].
TARN_INLINE Vf exp_of(Vf x) {
  const Vf low = splat(-87.3365448f), c = max_of(low, x);
#if defined(__AVX512F__)
  const Vf n = bits_as<Vf>(_mm512_roundscale_ps(bits_as<__m512>(c * 1.44269504f),
                                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  const Vf shifted = c * 1.44269504f + kRound;
  const Vf n = shifted - kRound;
#endif
  const Vf r = (c - n * 0.693359375f) + n * 2.12194440e-4f;
  Vf p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
#if defined(__AVX512F__)
  const __mmask16 kept = _mm512_cmp_ps_mask(bits_as<__m512>(x), bits_as<__m512>(low), _CMP_NLT_UQ);
  return bits_as<Vf>(_mm512_maskz_scalef_ps(kept, bits_as<__m512>(p), bits_as<__m512>(n)));
#else
  const Vi whole = bits_as<Vi>(shifted) - bits_as<Vi>(splat(kRound));
  return x < low ? Vf{} : p * bits_as<Vf>((whole + 127) << 23);
#endif
}

// --- constant indices ---------------------------------------------------------------------------

template <int... I>
struct Lanes {};
template <int N, int... I>
struct LanesTo : LanesTo<N - 1, N - 1, I...> {};
template <int... I>
struct LanesTo<0, I...> {
  using type = Lanes<I...>;
};

// Calls f.operator()<I>() for I = 0 .. N. Unlike an unrolled loop this is so before the compiler
// decides what lives in registers.
template <class F, int... I>
TARN_INLINE void each_of(Lanes<I...>, F f) {
  (f.template operator()<I>(), ...);
}
template <int N, class F>
TARN_INLINE void each(F f) {
  each_of(typename LanesTo<N>::type{}, f);
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
