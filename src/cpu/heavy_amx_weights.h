// Rows of W, decoded to bfloat16 in the rows of a panel's tiles.
//
// Codes of 4 bits are looked up: the 16 numbers that a group can hold fit one register, and one
// permute makes 32 weights of 16 bytes. Other widths are unpacked, scaled and rounded.
#pragma once

#include "cpu/heavy_amx.h"
#include "cpu/heavy_codes.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kPairRows = 2 * kTileRows;  // of W in a panel, of tokens in a pair of strips

// Where column `col` of a block lies in a row of its tiles.
TARN_INLINE int64_t tile_offset(int64_t col) {
  return col / kTileCols * kStepBytes + col % kTileCols * 2;
}

TARN_INLINE __m256i to_bfloat(Vf v) {
  return bits_as<__m256i>(_mm512_cvtneps_pbh(bits_as<__m512>(v)));
}

// One row of W in a block of columns, to a row of the panel's tiles.
template <Store S>
void decode_any(const QuantMatrix& w, int64_t row, Range cols, char* to) {
  for (int64_t c = cols.begin; c < cols.end; c += kDecodeRun)
    each_decoded<S>(w, row, c, smaller(kDecodeRun, cols.end - c), [&](int64_t i, Vf v) {
      const __m256i half = to_bfloat(v);
      std::memcpy(to + tile_offset(c - cols.begin + i), &half, sizeof half);
    });
}

// The numbers that a group of 4 bits can hold.
TARN_INLINE __m512i nibble_values(float scale, float bias) {
  const Vf code = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return _mm512_castsi256_si512(to_bfloat(code * scale + bias));
}
// 32 of them. 16 bytes hold their codes: each byte becomes a pair of words, whose low four bits are
// what the permute looks at.
TARN_INLINE __m512i nibble_weights(const uint8_t* from, __m512i values) {
  __m128i bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  const __m512i low = _mm512_cvtepu8_epi32(bytes);
  const __m512i index = _mm512_and_si512(_mm512_or_si512(low, _mm512_slli_epi32(low, 12)),
                                         _mm512_set1_epi32(0x000f000f));
  return _mm512_permutexvar_epi16(index, values);
}

// The same for 4 bits.
template <Store S>
void decode_nibbles(const QuantMatrix& w, int64_t row, Range cols, char* to) {
  const int shift = __builtin_ctz(static_cast<unsigned>(w.group));
  const int64_t per_row = w.cols >> shift, total = w.rows * per_row, first = cols.begin >> shift;
  const int64_t groups = ((cols.end - 1) >> shift) + 1 - first;
  alignas(64) float scales[kLanes], biases[kLanes];
  store(scales, load_groups<S>(w.scales, row * per_row + first, groups, total));
  store(biases, load_groups<S>(w.biases, row * per_row + first, groups, total));
  const uint8_t* from = code_row(w, row) + cols.begin / 2;
  int64_t c = cols.begin;
  for (int64_t g = 0; g < groups; ++g) {
    __builtin_prefetch(from + kCodesAhead);
    const __m512i values = nibble_values(scales[g], biases[g]);
    const int64_t end = smaller(cols.end, (first + g + 1) << shift);
    for (; c < end; c += kTileCols, from += kTileCols / 2, to += kStepBytes) {
      const __m512i weights = nibble_weights(from, values);
      std::memcpy(to, &weights, sizeof weights);
    }
  }
}

// 32 rows of W from `row` on. Those past the end repeat the last, and are not stored. The scales of
// as many columns as are decoded at once are one vector.
template <Store S>
void decode_panel(const QuantMatrix& w, int64_t row, Range cols, char* panel) {
  constexpr int64_t kAtOnce = 32 * kLanes;
  for (int64_t r = 0; r < kPairRows; ++r) {
    const int64_t from = smaller(row + r, w.rows - 1);
    char* to = panel + r / kTileRows * kTileBytes + r % kTileRows * kTileRowBytes;
    for (int64_t c = cols.begin; c < cols.end; c += kAtOnce) {
      const Range part{c, smaller(c + kAtOnce, cols.end)};
      char* at = to + tile_offset(c - cols.begin);
      w.bits == 4 ? decode_nibbles<S>(w, from, part, at) : decode_any<S>(w, from, part, at);
    }
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
