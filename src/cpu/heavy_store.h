// Numbers in memory as float32 and back: float16 and bfloat16, one or a vector of them, and bytes.
#pragma once

#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

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
#elif defined(__aarch64__)
  const uint16x8_t halves = vmovl_u8(vcreate_u8(bits_as<uint32_t>(b)));
  return bits_as<Vi>(vmovl_u16(vget_low_u16(halves)));
#else
  return __builtin_convertvector(b, Vi);
#endif
}

TARN_INLINE Vu widen(HalfLanes h) {
#if defined(__AVX512F__)
  return bits_as<Vu>(_mm512_cvtepu16_epi32(bits_as<__m256i>(h)));
#elif defined(__AVX2__)
  return bits_as<Vu>(_mm256_cvtepu16_epi32(bits_as<__m128i>(h)));
#elif defined(__aarch64__)
  return bits_as<Vu>(vmovl_u16(bits_as<uint16x4_t>(h)));
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
#elif defined(__aarch64__)
  const uint16x4_t halves = vmovn_u32(bits_as<uint32x4_t>(v));
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(halves, halves));
  return bits_as<ByteLanes>(vget_lane_u32(vreinterpret_u32_u8(bytes), 0));
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
#elif defined(__aarch64__)
  return bits_as<HalfLanes>(vmovn_u32(bits_as<uint32x4_t>(v)));
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
#elif defined(__aarch64__)
    if constexpr (S == Store::f16) return bits_as<__fp16>(h);
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
#elif defined(__aarch64__)
    return bits_as<Vf>(vcvt_f32_f16(bits_as<float16x4_t>(h)));
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
#elif defined(__aarch64__)
  } else if constexpr (S == Store::f16) {
    const float16x4_t h = vcvt_f16_f32(bits_as<float32x4_t>(v));
    std::memcpy(static_cast<char*>(base) + 2 * i, &h, sizeof h);
#endif
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  } else if constexpr (S == Store::bf16) {
    const bfloat16x4_t h = vcvt_bf16_f32(bits_as<float32x4_t>(v));
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

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
