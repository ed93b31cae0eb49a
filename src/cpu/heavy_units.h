// y = x · Wᵀ on activations of two int8 digits, 512 bits wide, for few rows of x: bound by the
// bytes of W.
//
// Four rows of W go together, a step of 128 columns at a time. The integer dot products of a row
// leave four lanes for each unit of 32 columns; those of the four rows are folded into one vector,
// a unit in each quarter and a row in each of its lanes, so that one conversion, one multiplication
// by scale * d and one addition serve 16 sums of 32 columns. The scales of four rows are turned the
// same way by one permute. The bias part, biases times u = d * sum of codes, is added to the same
// sums. Unit u is added to the sum of quarter u % 4, in order; at the end quarters 0 and 2, 1 and
// 3, and those two are added. The tiles of heavy_amx_few.cpp keep to that order, so their numbers
// are these.
#pragma once

#include "cpu/heavy_dot.h"
#include "cpu/heavy_four_rows.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kStepUnits = 4;
constexpr int64_t kStepCols = kStepUnits * kUnitCols;

// Lane r of each quarter: the sum of that quarter of row r.
TARN_INLINE Vi fold_quarters(const Vi (&row)[kFewRows]) {
  __m512i v[kFewRows];
  for (int r = 0; r < kFewRows; ++r) v[r] = bits_as<__m512i>(row[r]);
  const __m512i ab =
      _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const __m512i cd =
      _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  return bits_as<Vi>(
      _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd)));
}

// Neighbouring quarters added: those of a, then those of b.
TARN_INLINE Vi add_neighbours(Vi a, Vi b) {
  const __m512i x = bits_as<__m512i>(a), y = bits_as<__m512i>(b);
  return bits_as<Vi>(
      _mm512_add_epi32(_mm512_shuffle_i32x4(x, y, 0x88), _mm512_shuffle_i32x4(x, y, 0xdd)));
}

// Scales or biases of four rows in a step: unit p in quarter p, row r in its lane r; zeros where
// there is no group.
template <int Group, Store S, bool Whole>
TARN_INLINE Vf unit_groups(const void* base, const FourRows& rows, int64_t step, int64_t groups) {
  constexpr int kEach = static_cast<int>(kStepCols) / Group;
  const int64_t g = step * kEach;
  const auto mask = static_cast<__mmask8>((1u << (Whole ? kEach : smaller(kEach, groups - g))) - 1);
  const auto from = [&](int r) { return at(base, S, rows.first_group[r] + g); };
  if constexpr (S == Store::f32) {
    const auto row = [&](int r) { return _mm_maskz_loadu_ps(mask, from(r)); };
    __m512 all = _mm512_castps128_ps512(row(0));
    all = _mm512_insertf32x4(all, row(1), 1);
    all = _mm512_insertf32x4(all, row(2), 2);
    all = _mm512_insertf32x4(all, row(3), 3);
    Vi lane;
    for (int l = 0; l < kLanes; ++l) lane[l] = l % 4 * 4 + l / 4 * kEach / 4;
    return bits_as<Vf>(_mm512_permutexvar_ps(bits_as<__m512i>(lane), all));
  } else {
    const auto row = [&](int r) {
      if constexpr (Whole && kEach == 4)
        return _mm_loadl_epi64(static_cast<const __m128i*>(from(r)));
      else
        return _mm_maskz_loadu_epi16(mask, from(r));
    };
    const __m256i all =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi64(row(0), row(1))),
                                _mm_unpacklo_epi64(row(2), row(3)), 1);
    HalfLanes lane;
    for (int l = 0; l < kLanes; ++l) lane[l] = static_cast<uint16_t>(l % 4 * 4 + l / 4 * kEach / 4);
    const __m256i turned = _mm256_permutexvar_epi16(bits_as<__m256i>(lane), all);
    return S == Store::f16 ? bits_as<Vf>(_mm512_cvtph_ps(turned))
                           : bits_as<Vf>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(turned), 16));
  }
}

// A step of four rows as bytes, two vectors a row: of 4 bits the even columns and the odd ones.
template <int Bits, bool Whole>
TARN_INLINE void load_step(const FourRows& rows, int64_t step, int64_t row_bytes,
                           Codes (&codes)[kFewRows][2]) {
  constexpr int64_t kBytes = kStepCols * Bits / 8;
  TARN_UNROLL
  for (int r = 0; r < kFewRows; ++r) {
    const uint8_t* from = rows.codes[r] + step * kBytes;
    const int64_t left = row_bytes - step * kBytes;
    TARN_UNROLL
    for (int64_t i = 0; i < kBytes; i += kVectorBytes) {
      __builtin_prefetch(from + i + kCodesAhead);
      codes[r][i / kVectorBytes] =
          Whole ? load_bytes(from + i) : load_codes(from + i, larger(0, left - i));
    }
    if constexpr (Bits == 4) {
      codes[r][1] = high_nibbles(codes[r][0]);
      codes[r][0] = low_nibbles(codes[r][0]);
    }
  }
}

// Lane r of quarter p: row r's codes in unit p times one token's digits.
template <int Bits>
TARN_INLINE Vi dot_units(const Codes (&codes)[kFewRows][2], const int8_t* digits) {
  const Digits a = load_digits(digits, kPackBlock);
  const Digits b = load_digits(digits + kPackBlock / 2, kPackBlock);
  Vi first[kFewRows], second[kFewRows];
  TARN_UNROLL
  for (int r = 0; r < kFewRows; ++r) {
    if constexpr (Bits == 4) {
      first[r] = dot_nibbles(codes[r][0], codes[r][1], a, b);
    } else {
      first[r] = dot_bytes(codes[r][0], a);
      second[r] = dot_bytes(codes[r][1], b);
    }
  }
  if constexpr (Bits == 4) return fold_quarters(first);
  return add_neighbours(fold_quarters(first), fold_quarters(second));
}

template <int Bits, int Group, Store S, int T, bool Whole>
TARN_INLINE void add_step(const QuantMatrix& w, const PackedRows& x, const FourRows& rows,
                          int64_t token, int64_t step, Vf (&sum)[T]) {
  const Vf scale = unit_groups<Group, S, Whole>(w.scales, rows, step, w.cols / Group);
  const Vf bias = unit_groups<Group, S, Whole>(w.biases, rows, step, w.cols / Group);
  Codes codes[kFewRows][2];
  load_step<Bits, Whole>(rows, step, w.cols * Bits / 8, codes);
  TARN_UNROLL
  for (int k = 0; k < T; ++k) {
    const Vi dot = dot_units<Bits>(codes, x.digits(token + k) + step * kBlockBytes);
    const int64_t at = step * kLanes;
    sum[k] += bias * load(x.sums(token + k) + at);
    sum[k] += __builtin_convertvector(dot, Vf) * (scale * load(x.scales(token + k) + at));
  }
}

template <int Bits, int Group, Store S, int T>
void multiply_rows(const Qmm& q, const PackedRows& x, const FourRows& rows, int64_t row,
                   int64_t count, int64_t token) {
  Vf sum[T] = {};
  const int64_t whole = q.w.cols / kStepCols;
  for (int64_t step = 0; step < whole; ++step)
    add_step<Bits, Group, S, T, true>(q.w, x, rows, token, step, sum);
  if (whole * kStepCols < q.w.cols)
    add_step<Bits, Group, S, T, false>(q.w, x, rows, token, whole, sum);
  for (int k = 0; k < T; ++k) {
    const __m512 v = bits_as<__m512>(sum[k]);
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 y = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    float* to = q.y + (token + k) * q.y_stride + row;
    _mm_mask_storeu_ps(to, static_cast<__mmask8>((1u << count) - 1), y);
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
