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

#if defined(__AVX2__)
#include <immintrin.h>
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
#else
#define TARN_UNROLL _Pragma("GCC unroll 32")
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

// --- lanes of other widths ---------------------------------------------------------------------
//
// g++ 12 does __builtin_convertvector between lanes of different sizes one number at a time.

typedef uint8_t ByteLanes __attribute__((vector_size(kLanes)));
typedef uint16_t HalfLanes __attribute__((vector_size(2 * kLanes)));

TARN_INLINE Vi widen(ByteLanes b) {
#if defined(__AVX512F__)
  return bits_as<Vi>(_mm512_cvtepu8_epi32(bits_as<__m128i>(b)));
#elif defined(__AVX2__)
  return bits_as<Vi>(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bits_as<int64_t>(b))));
#else
  return __builtin_convertvector(b, Vi);
#endif
}

TARN_INLINE Vu widen(HalfLanes h) {
#if defined(__AVX512F__)
  return bits_as<Vu>(_mm512_cvtepu16_epi32(bits_as<__m256i>(h)));
#elif defined(__AVX2__)
  return bits_as<Vu>(_mm256_cvtepu16_epi32(bits_as<__m128i>(h)));
#else
  return __builtin_convertvector(h, Vu);
#endif
}

// The low bytes, or the low halves, of each lane.
TARN_INLINE ByteLanes low_bytes(Vi v) {
#if defined(__AVX512F__)
  return bits_as<ByteLanes>(_mm512_cvtepi32_epi8(bits_as<__m512i>(v)));
#elif defined(__AVX2__)
  const __m256i order =
      _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1,
                       -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i b = _mm256_shuffle_epi8(bits_as<__m256i>(v), order);
  return bits_as<ByteLanes>(_mm_cvtsi128_si64(
      _mm_unpacklo_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1))));
#else
  return __builtin_convertvector(v, ByteLanes);
#endif
}

TARN_INLINE HalfLanes low_halves(Vu v) {
#if defined(__AVX512F__)
  return bits_as<HalfLanes>(_mm512_cvtepi32_epi16(bits_as<__m512i>(v)));
#elif defined(__AVX2__)
  const __m256i wide = bits_as<__m256i>(v & 0xffffu);
  const __m256i packed = _mm256_packus_epi32(wide, wide);
  return bits_as<HalfLanes>(_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08)));
#else
  return __builtin_convertvector(v, HalfLanes);
#endif
}

// --- numbers in memory -------------------------------------------------------------------------

// One float16 to float32, exactly; NaN and infinity too. The multiply puts the exponent right and
// normalises subnormals.
TARN_INLINE float half_to_float(uint16_t h) {
  constexpr float kExponentShift = 0x1p112f;  // float32's bias 127 less float16's 15
  const uint32_t magnitude = (h & 0x7fffu) << 13;
  float f = bits_as<float>(magnitude) * kExponentShift;
  const uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return bits_as<float>(bits_as<uint32_t>(f) | special | (h & 0x8000u) << 16);
}

// Round to nearest even, as the hardware's conversion does.
TARN_INLINE uint16_t float_to_half(float x) {
  const uint32_t u = bits_as<uint32_t>(x), magnitude = u & 0x7fffffffu;
  const auto sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to 65536 or more
  if (magnitude < 0x38800000u) {                        // subnormal: adding 0.5 rounds at 2^-24
    const float r = bits_as<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(bits_as<uint32_t>(r) - 0x3f000000u);
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u;
  return sign | static_cast<uint16_t>(rounded >> 13);
}

TARN_INLINE float bfloat_to_float(uint16_t h) { return bits_as<float>(uint32_t{h} << 16); }

TARN_INLINE uint16_t float_to_bfloat(float x) {
  const uint32_t u = bits_as<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

TARN_INLINE int64_t store_bytes(Store s) { return s == Store::f32 ? 4 : 2; }

TARN_INLINE const void* at(const void* base, Store s, int64_t i) {
  return static_cast<const char*>(base) + i * store_bytes(s);
}
TARN_INLINE void* at(void* base, Store s, int64_t i) {
  return static_cast<char*>(base) + i * store_bytes(s);
}

// Element i, as a float. Always a copy: arrays of mapped files may lie at odd addresses.
template <Store S>
TARN_INLINE float get(const void* base, int64_t i) {
  if constexpr (S == Store::f32) {
    float f;
    std::memcpy(&f, static_cast<const char*>(base) + 4 * i, 4);
    return f;
  } else {
    uint16_t h;
    std::memcpy(&h, static_cast<const char*>(base) + 2 * i, 2);
#if defined(__F16C__)
    if constexpr (S == Store::f16) return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
#endif
    return S == Store::f16 ? half_to_float(h) : bfloat_to_float(h);
  }
}

template <Store S>
TARN_INLINE void put(void* base, int64_t i, float x) {
  if constexpr (S == Store::f32) {
    std::memcpy(static_cast<char*>(base) + 4 * i, &x, 4);
  } else {
    const uint16_t h = S == Store::f16 ? float_to_half(x) : float_to_bfloat(x);
    std::memcpy(static_cast<char*>(base) + 2 * i, &h, 2);
  }
}

// kLanes elements from i on.
template <Store S>
TARN_INLINE Vf get_vector(const void* base, int64_t i) {
  if constexpr (S == Store::f32) {
    return load(static_cast<const float*>(base) + i);
  } else {
    HalfLanes h;
    std::memcpy(&h, static_cast<const char*>(base) + 2 * i, sizeof h);
    if constexpr (S == Store::bf16) return bits_as<Vf>(widen(h) << 16);
#if defined(__AVX512F__)
    return bits_as<Vf>(_mm512_cvtph_ps(bits_as<__m256i>(h)));
#elif defined(__F16C__)
    return bits_as<Vf>(_mm256_cvtph_ps(bits_as<__m128i>(h)));
#else
    Vf f;
    for (int l = 0; l < kLanes; ++l) f[l] = half_to_float(h[l]);
    return f;
#endif
  }
}

template <Store S>
TARN_INLINE void put_vector(void* base, int64_t i, Vf v) {
  if constexpr (S == Store::f32) {
    store(static_cast<float*>(base) + i, v);
#if defined(__AVX512F__)
  } else if constexpr (S == Store::f16) {
    const __m256i h = _mm512_cvtps_ph(bits_as<__m512>(v), _MM_FROUND_TO_NEAREST_INT);
    std::memcpy(static_cast<char*>(base) + 2 * i, &h, sizeof h);
#elif defined(__F16C__)
  } else if constexpr (S == Store::f16) {
    const __m128i h = _mm256_cvtps_ph(bits_as<__m256>(v), _MM_FROUND_TO_NEAREST_INT);
    std::memcpy(static_cast<char*>(base) + 2 * i, &h, sizeof h);
#endif
  } else if constexpr (S == Store::bf16) {
    const Vu u = bits_as<Vu>(v), rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const Vu kept = (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded;
    const HalfLanes h = low_halves(kept);
    std::memcpy(static_cast<char*>(base) + 2 * i, &h, sizeof h);
  } else {
    for (int l = 0; l < kLanes; ++l) put<S>(base, i + l, v[l]);
  }
}

// The first n < kLanes elements from i on, then `fill`. Reads nothing past them.
template <Store S>
TARN_INLINE Vf get_part(const void* base, int64_t i, int64_t n, float fill) {
  float lanes[kLanes];
  for (int l = 0; l < kLanes; ++l) lanes[l] = l < n ? get<S>(base, i + l) : fill;
  return load(lanes);
}

template <Store S>
TARN_INLINE void put_part(void* base, int64_t i, int64_t n, Vf v) {
  for (int l = 0; l < n; ++l) put<S>(base, i + l, v[l]);
}

// Calls f with the store as a compile-time constant: with_store(s, [&]<Store S>() { ... }).
template <class F>
TARN_INLINE void with_store(Store s, F f) {
  if (s == Store::f32) return f.template operator()<Store::f32>();
  if (s == Store::f16) return f.template operator()<Store::f16>();
  f.template operator()<Store::bf16>();
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
  float best = v[0];
  for (int l = 1; l < kLanes; ++l) best = v[l] > best ? v[l] : best;
  return best;
}

// e^x within 1 ULP for x in [-87.3, 88.7]; 0 below, where float32 is subnormal; inf above; NaN
// stays. Cephes' range reduction and a degree 6 polynomial on [-ln2/2, ln2/2].
TARN_INLINE Vf exp_of(Vf x) {
  constexpr float kLowest = -87.3365448f, kHighest = 88.7228394f;
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  const Vf low = splat(kLowest), high = splat(kHighest);
  const Vf c = x < low ? low : x > high ? high : x;
  const Vf shifted = c * 1.44269504f + kRound;
  const Vf n = shifted - kRound;
  const Vf r = (c - n * 0.693359375f) + n * 2.12194440e-4f;
  Vf p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  // 2^n in two steps: n may be 128, one more than an exponent holds.
  const Vi whole = bits_as<Vi>(shifted) - bits_as<Vi>(splat(kRound));
  const Vi half = whole >> 1;
  p = p * bits_as<Vf>((half + 127) << 23) * bits_as<Vf>((whole - half + 127) << 23);
  const Vf overflow = splat(__builtin_inff());
  return x < low ? Vf{} : x > high ? overflow : p;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
