// Vectors of codes, and 512 bits wide their integer dot products with activations of two int8
// digits: exact, so every level computes the same integers.
#pragma once

#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

typedef uint8_t Codes __attribute__((vector_size(kVectorBytes)));

// The first n bytes, 1 or more, then zeros; reads nothing past them.
TARN_INLINE Codes load_codes(const uint8_t* p, int64_t n) {
#if defined(__AVX512F__)
  const __mmask64 mask = n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
  return bits_as<Codes>(_mm512_maskz_loadu_epi8(mask, p));
#else
  Codes c{};
  std::memcpy(&c, p, static_cast<size_t>(n < kVectorBytes ? n : kVectorBytes));
  return c;
#endif
}

TARN_INLINE Codes load_bytes(const void* p) {
  Codes c;
  std::memcpy(&c, p, sizeof c);
  return c;
}

#if defined(__AVX512F__)
TARN_INLINE Codes low_nibbles(Codes c) { return c & static_cast<uint8_t>(15); }

TARN_INLINE Codes high_nibbles(Codes c) {
#if defined(__GFNI__)
  // One affine map over bits shifts every byte by 4; a word shift and a mask would be two steps.
  const __m512i shift4 = _mm512_set1_epi64(0x1020408000000000);
  return bits_as<Codes>(_mm512_gf2p8affine_epi64_epi8(bits_as<__m512i>(c), shift4, 0));
#else
  return low_nibbles(bits_as<Codes>(_mm512_srli_epi16(bits_as<__m512i>(c), 4)));
#endif
}

// The activations that meet one vector of codes.
struct Digits {
  Codes high, low;
};
TARN_INLINE Digits load_digits(const int8_t* p, int64_t to_low) {
  return {load_bytes(p), load_bytes(p + to_low)};
}

#if defined(__AVX512VNNI__)

// Per lane: the sum over its four bytes of low * even + high * odd.
TARN_INLINE Vi dot_nibbles(Codes low, Codes high, const Digits& even, const Digits& odd) {
  const __m512i l = bits_as<__m512i>(low), h = bits_as<__m512i>(high);
  __m512i t = _mm512_dpbusd_epi32(_mm512_setzero_si512(), l, bits_as<__m512i>(even.high));
  t = _mm512_dpbusd_epi32(t, h, bits_as<__m512i>(odd.high));
  t = _mm512_dpbusd_epi32(_mm512_slli_epi32(t, 8), l, bits_as<__m512i>(even.low));
  return bits_as<Vi>(_mm512_dpbusd_epi32(t, h, bits_as<__m512i>(odd.low)));
}

// Per lane: the sum over its four bytes of code * activation, codes up to 255.
TARN_INLINE Vi dot_bytes(Codes codes, const Digits& activations) {
  const __m512i c = bits_as<__m512i>(codes);
  const __m512i t =
      _mm512_dpbusd_epi32(_mm512_setzero_si512(), c, bits_as<__m512i>(activations.high));
  return bits_as<Vi>(
      _mm512_dpbusd_epi32(_mm512_slli_epi32(t, 8), c, bits_as<__m512i>(activations.low)));
}

#else

typedef int16_t Words __attribute__((vector_size(kVectorBytes)));

// The sums of two neighbouring products of codes and digits, saturated to 16 bits.
TARN_INLINE Words dot_pairs(Codes codes, Codes digits) {
  return bits_as<Words>(_mm512_maddubs_epi16(bits_as<__m512i>(codes), bits_as<__m512i>(digits)));
}
// Two neighbours times `factor`, added in 32 bits.
TARN_INLINE Vi widen_pairs(Words w, int16_t factor) {
  return bits_as<Vi>(_mm512_madd_epi16(bits_as<__m512i>(w), _mm512_set1_epi16(factor)));
}

// As above. A digit's sums in 16 bits are at most 4 * 15 * 128: the byte product never saturates.
TARN_INLINE Vi dot_nibbles(Codes low, Codes high, const Digits& even, const Digits& odd) {
  const Words first = dot_pairs(low, even.high) + dot_pairs(high, odd.high);
  const Words second = dot_pairs(low, even.low) + dot_pairs(high, odd.low);
  return widen_pairs(first, 256) + widen_pairs(second, 1);
}

// The byte product would saturate (2 * 255 * 127), so codes are split at 7 bits: the lower part's
// pairs stay below 32768, and the top bits' sums are scaled by 128 as they widen.
TARN_INLINE Vi dot_digit(Codes codes, Codes digits) {
  const Codes top = (codes >> 7) & static_cast<uint8_t>(1);
  return widen_pairs(dot_pairs(codes & static_cast<uint8_t>(127), digits), 1) +
         widen_pairs(dot_pairs(top, digits), 128);
}
TARN_INLINE Vi dot_bytes(Codes codes, const Digits& activations) {
  return dot_digit(codes, activations.high) * 256 + dot_digit(codes, activations.low);
}

#endif
#endif

// The lane sums of four vectors, each in the same order wherever it stands.
TARN_INLINE void sum_four(const Vf* f, float* sums) {
#if defined(__AVX512F__)
  __m512 v[4];
  for (int i = 0; i < 4; ++i) v[i] = bits_as<__m512>(f[i]);
  const auto pairs = [](__m512 a, __m512 b) {
    return _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
  };
  const __m512d ab = pairs(v[0], v[1]), cd = pairs(v[2], v[3]);
  const __m512 all = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                                   _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
#elif defined(__AVX2__)
  __m256 h[4];
  for (int i = 0; i < 4; ++i) h[i] = bits_as<__m256>(f[i]);
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(h[0], h[1]), _mm256_hadd_ps(h[2], h[3]));
  _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
#elif defined(__aarch64__)
  float32x4_t v[4];
  for (int i = 0; i < 4; ++i) v[i] = bits_as<float32x4_t>(f[i]);
  vst1q_f32(sums, vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])));
#else
  for (int i = 0; i < 4; ++i) sums[i] = sum_lanes<float>(f[i]);
#endif
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
