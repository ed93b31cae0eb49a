// Integer dot products of unsigned codes with activations of two int8 digits, at each level's best:
// exact in all of them, so every level computes the same integers.
#pragma once

#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

typedef uint8_t Codes __attribute__((vector_size(kVectorBytes)));

// Lane l of the result is v[index[l]].
TARN_INLINE Vf permute(Vf v, Vi index) {
#if defined(__AVX512F__)
  return bits_as<Vf>(_mm512_permutexvar_ps(bits_as<__m512i>(index), bits_as<__m512>(v)));
#elif defined(__AVX2__)
  return bits_as<Vf>(_mm256_permutevar8x32_ps(bits_as<__m256>(v), bits_as<__m256i>(index)));
#else
  Vf r;
  for (int l = 0; l < kLanes; ++l) r[l] = v[index[l]];
  return r;
#endif
}

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

TARN_INLINE Codes low_nibbles(Codes c) { return c & static_cast<uint8_t>(15); }

TARN_INLINE Codes high_nibbles(Codes c) {
#if defined(__AVX512F__) && defined(__GFNI__)
  // One affine map over bits shifts every byte by 4; a word shift and a mask would be two steps.
  const __m512i shift4 = _mm512_set1_epi64(0x1020408000000000);
  return bits_as<Codes>(_mm512_gf2p8affine_epi64_epi8(bits_as<__m512i>(c), shift4, 0));
#elif defined(__AVX512F__)
  return low_nibbles(bits_as<Codes>(_mm512_srli_epi16(bits_as<__m512i>(c), 4)));
#elif defined(__AVX2__)
  return low_nibbles(bits_as<Codes>(_mm256_srli_epi16(bits_as<__m256i>(c), 4)));
#else
  return c >> 4;
#endif
}

// The activations that meet one vector of codes.
struct Digits {
  Codes high, low;
};
TARN_INLINE Digits load_digits(const int8_t* p, int64_t to_low) {
  return {load_bytes(p), load_bytes(p + to_low)};
}

#if defined(__AVX2__) && !defined(__AVX512VNNI__)
typedef int16_t Words __attribute__((vector_size(kVectorBytes)));

// The sums of two neighbouring products of codes and digits, saturated to 16 bits.
TARN_INLINE Words dot_pairs(Codes codes, Codes digits) {
#if defined(__AVX512BW__)
  return bits_as<Words>(_mm512_maddubs_epi16(bits_as<__m512i>(codes), bits_as<__m512i>(digits)));
#else
  return bits_as<Words>(_mm256_maddubs_epi16(bits_as<__m256i>(codes), bits_as<__m256i>(digits)));
#endif
}
// Two neighbours times `factor`, added in 32 bits.
TARN_INLINE Vi widen_pairs(Words w, int16_t factor) {
#if defined(__AVX512BW__)
  return bits_as<Vi>(_mm512_madd_epi16(bits_as<__m512i>(w), _mm512_set1_epi16(factor)));
#else
  return bits_as<Vi>(_mm256_madd_epi16(bits_as<__m256i>(w), _mm256_set1_epi16(factor)));
#endif
}
#endif

// Per lane: the sum over its four bytes of low * even + high * odd, codes at most 15. A digit's
// sums in 16 bits are at most 4 * 15 * 128, so the saturating byte product never saturates.
TARN_INLINE Vi dot_nibbles(Codes low, Codes high, const Digits& even, const Digits& odd) {
#if defined(__AVX512VNNI__)
  const __m512i l = bits_as<__m512i>(low), h = bits_as<__m512i>(high);
  __m512i t = _mm512_dpbusd_epi32(_mm512_setzero_si512(), l, bits_as<__m512i>(even.high));
  t = _mm512_dpbusd_epi32(t, h, bits_as<__m512i>(odd.high));
  t = _mm512_dpbusd_epi32(_mm512_slli_epi32(t, 8), l, bits_as<__m512i>(even.low));
  return bits_as<Vi>(_mm512_dpbusd_epi32(t, h, bits_as<__m512i>(odd.low)));
#elif defined(__AVX2__)
  const Words first = dot_pairs(low, even.high) + dot_pairs(high, odd.high);
  const Words second = dot_pairs(low, even.low) + dot_pairs(high, odd.low);
  return widen_pairs(first, 256) + widen_pairs(second, 1);
#else
  Vi sum{};
  const auto number = [](const Digits& d, int b) {
    return static_cast<int8_t>(d.high[b]) * 256 + static_cast<int8_t>(d.low[b]);
  };
  for (int l = 0; l < kLanes; ++l)
    for (int b = 4 * l; b < 4 * l + 4; ++b)
      sum[l] += low[b] * number(even, b) + high[b] * number(odd, b);
  return sum;
#endif
}

#if !defined(__AVX512VNNI__)
// Per lane: the sum over its four bytes of code * digit, codes up to 255. The byte product would
// saturate (2 * 255 * 127), so it is split at 7 bits: the lower part's pairs stay below 32768, and
// the top bits' sums are scaled by 128 as they widen.
TARN_INLINE Vi dot_digit(Codes codes, Codes digits) {
#if defined(__AVX2__)
  const Codes top = (codes >> 7) & static_cast<uint8_t>(1);
  return widen_pairs(dot_pairs(codes & static_cast<uint8_t>(127), digits), 1) +
         widen_pairs(dot_pairs(top, digits), 128);
#else
  Vi sum{};
  for (int l = 0; l < kLanes; ++l)
    for (int b = 4 * l; b < 4 * l + 4; ++b) sum[l] += codes[b] * static_cast<int8_t>(digits[b]);
  return sum;
#endif
}
#endif

// Per lane: the sum over its four bytes of code * activation, codes up to 255.
TARN_INLINE Vi dot_bytes(Codes codes, const Digits& activations) {
#if defined(__AVX512VNNI__)
  const __m512i c = bits_as<__m512i>(codes);
  const __m512i t =
      _mm512_dpbusd_epi32(_mm512_setzero_si512(), c, bits_as<__m512i>(activations.high));
  return bits_as<Vi>(
      _mm512_dpbusd_epi32(_mm512_slli_epi32(t, 8), c, bits_as<__m512i>(activations.low)));
#else
  return dot_digit(codes, activations.high) * 256 + dot_digit(codes, activations.low);
#endif
}

// The lane sums of four vectors, each in the same order wherever it stands.
TARN_INLINE void sum_four(const Vf* f, float* sums) {
#if defined(__AVX2__)
  __m256 h[4];
  for (int i = 0; i < 4; ++i) {
#if defined(__AVX512F__)
    const __m512 v = bits_as<__m512>(f[i]);
    h[i] = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
#else
    h[i] = bits_as<__m256>(f[i]);
#endif
  }
  const __m256 ab = _mm256_hadd_ps(h[0], h[1]), cd = _mm256_hadd_ps(h[2], h[3]);
  const __m256 all = _mm256_hadd_ps(ab, cd);
  _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
#else
  for (int i = 0; i < 4; ++i) sums[i] = sum_lanes<float>(f[i]);
#endif
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
