// Panels of words, pair by pair of columns with the rows side by side, in the order of the packed
// activations. A tile is 16 rows x 4 tokens: two vectors of the panel meet one broadcast pair of
// each token, so 8 integer sums run in registers; at the end of each group they are converted,
// scaled by d and then by the row's scale, and the bias times u is added. At groups of 32 that is
// 16 products and additions to 4 float steps, where a sum that is scaled lane by lane has 2 to 3.
#pragma once

#include "cpu/heavy_panel_room.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kTileTokens = 4;
constexpr int64_t kCodeBytes = 2;  // of a code in a panel
constexpr int64_t kPairBytes = kPanelRows * 4;

// kLanes rows of codes to pairs at `to`: a vector of raw codes holds those of the 2 or 4 phases of
// heavy_lanes.h, which lie one behind the other in the activations.
template <int Bits>
void fill_codes(const uint8_t* const (&rows)[kLanes], int64_t row_bytes, uint8_t* to) {
  constexpr int kPhases = 16 / Bits;
  constexpr auto kMask = static_cast<uint16_t>((1 << Bits) - 1);
  for (int64_t byte = 0; byte < row_bytes; byte += kVectorBytes) {
    Vf square[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const int64_t left = row_bytes - byte;
      square[r] = bits_as<Vf>(left >= kVectorBytes ? load_bytes(rows[r] + byte)
                                                   : load_codes(rows[r] + byte, left));
    }
    transpose(square);
    for (int p = 0; p < kPhases; ++p)
      for (int j = 0; j < kLanes; ++j, to += kPairBytes) {
        const Vec<uint16_t> pairs = (bits_as<Vec<uint16_t>>(square[j]) >> (p * Bits)) & kMask;
        std::memcpy(to, &pairs, sizeof pairs);
      }
  }
}

// Adds Pairs pairs of columns to the integer sums, from the `at`-th pair on.
template <int Pairs, int T>
TARN_INLINE void dot_pairs(const uint8_t* panel, const int8_t* const (&token)[T], int64_t at,
                           __m256i (&dots)[T][2]) {
  const uint8_t* p = panel + at * kPairBytes;
  TARN_UNROLL
  for (int pair = 0; pair < Pairs; ++pair) {
    const __m256i w0 = bits_as<__m256i>(load_bytes(p + pair * kPairBytes));
    const __m256i w1 = bits_as<__m256i>(load_bytes(p + pair * kPairBytes + kVectorBytes));
    TARN_UNROLL
    for (int t = 0; t < T; ++t) {
      int32_t two;
      std::memcpy(&two, token[t] + (at + pair) * 4, 4);
      const __m256i a = _mm256_set1_epi32(two);
      dots[t][0] = _mm256_add_epi32(dots[t][0], _mm256_madd_epi16(w0, a));
      dots[t][1] = _mm256_add_epi32(dots[t][1], _mm256_madd_epi16(w1, a));
      // g++ 12 would add in trees, whose leaves do not fit into registers.
      asm("" : "+x"(dots[t][0]), "+x"(dots[t][1]));
    }
  }
}

// 16 rows x T tokens over all columns. Split: of 4 bits, 64 columns are four phases of 32 words, so
// a group of 32 has a half of each.
template <bool Split, int ActGroup, int T>
void panel_tile(const Panel& p, const PackedRows& x, int64_t token, int64_t cols,
                int groups_a_scale, float* y, int64_t y_stride, int64_t rows) {
  const int8_t* digits[T];
  TARN_UNROLL
  for (int t = 0; t < T; ++t) digits[t] = x.digits(token + t);
  Vf sum[T][2] = {};
  const int64_t groups = cols / ActGroup;
  for (int64_t g = 0; g < groups; ++g) {
    __m256i dots[T][2] = {};
    if constexpr (Split && ActGroup == 32) {
      const int64_t first = g / 2 * 32 + g % 2 * 4;
      for (int64_t phase = 0; phase < 4; ++phase)
        dot_pairs<4, T>(p.codes, digits, first + phase * 8, dots);
    } else {
      for (int64_t i = 0; i < ActGroup / 2; i += 8)
        dot_pairs<8, T>(p.codes, digits, g * ActGroup / 2 + i, dots);
    }
    const int64_t at = g / groups_a_scale * kPanelRows;
    TARN_UNROLL
    for (int h = 0; h < 2; ++h) {
      const Vf scale = load(p.scales + at + h * kLanes), bias = load(p.biases + at + h * kLanes);
      TARN_UNROLL
      for (int t = 0; t < T; ++t) {
        const Vf dot = __builtin_convertvector(bits_as<Vi>(dots[t][h]), Vf);
        sum[t][h] += (dot * x.scales(token + t)[g]) * scale;
        sum[t][h] += bias * x.sums(token + t)[g];
      }
    }
  }
  for (int t = 0; t < T; ++t)
    for (int h = 0; h < 2; ++h) {
      const int64_t n = larger(0, smaller(kLanes, rows - h * kLanes));
      std::memcpy(y + t * y_stride + h * kLanes, &sum[t][h], static_cast<size_t>(n) * 4);
    }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
