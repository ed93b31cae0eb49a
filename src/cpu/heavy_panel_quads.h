// Panels of bytes, quad by quad of columns with the rows side by side, in the order of the packed
// activations. A tile is 32 rows x 6 tokens: two vectors of the panel meet one broadcast quad of
// each token, so 12 integer sums run in registers beside their 12 float sums: over a group's high
// digits, then, shifted, over its low ones. At the end of each group the integers are converted,
// scaled by d and then by the row's scale, and the bias times u is added. At groups of 32 that is
// 16 dot products to 4 float steps.
#pragma once

#include "cpu/heavy_panel_room.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kTileTokens = 6;
constexpr int64_t kPanelTokens = 16;  // from here on
constexpr int64_t kCodeBytes = 1;     // of a code in a panel

// 16 rows of codes, `stride` apart, to quads at `to` (which lie kPanelRows * 4 bytes apart).
template <int Bits>
void fill_codes(const uint8_t* const (&rows)[kLanes], int64_t row_bytes, uint8_t* to) {
  constexpr int64_t kQuad = kPanelRows * 4;
  for (int64_t byte = 0; byte < row_bytes; byte += kVectorBytes) {
    Vf square[kLanes];
    for (int r = 0; r < kLanes; ++r)
      square[r] = bits_as<Vf>(load_codes(rows[r] + byte, row_bytes - byte));
    transpose(square);
    for (int j = 0; j < kLanes; ++j, to += kQuad) {
      const Codes c = bits_as<Codes>(square[j]);
      const Codes first = Bits == 4 ? low_nibbles(c) : c;
      std::memcpy(to, &first, sizeof first);
      if constexpr (Bits == 4) {
        const Codes second = high_nibbles(c);
        std::memcpy(to + kLanes * kQuad, &second, sizeof second);
      }
    }
    if (Bits == 4) to += kLanes * kQuad;
  }
}

// Scales or biases of the panel's rows, group by group with the rows side by side.
template <Store S>
void fill_groups(const QuantMatrix& w, int64_t row, const void* base, float* to) {
  const int64_t groups = w.cols / w.group, total = w.rows * groups;
  for (int64_t first = 0; first < kPanelRows; first += kLanes)
    for (int64_t g = 0; g < groups; g += kLanes) {
      const int64_t n = smaller(kLanes, groups - g);
      Vf square[kLanes];
      for (int r = 0; r < kLanes; ++r) {
        const int64_t of = smaller(row + first + r, w.rows - 1);
        square[r] = load_groups<S>(base, of * groups + g, n, total);
      }
      transpose(square);
      for (int64_t i = 0; i < n; ++i) store(to + (g + i) * kPanelRows + first, square[i]);
    }
}

// Adds Quads quads of columns to the integer sums: bytes of the panel from column `col` on, digits
// of each token from `digit` on.
template <int Quads, int T>
TARN_INLINE void dot_quads(const uint8_t* panel, int64_t col, const int8_t* const (&token)[T],
                           int64_t digit, __m512i (&dots)[T][2]) {
  const uint8_t* p = panel + col * kPanelRows;
  TARN_UNROLL
  for (int quad = 0; quad < Quads; ++quad) {
    const __m512i w0 = _mm512_loadu_si512(p + quad * kPanelRows * 4);
    const __m512i w1 = _mm512_loadu_si512(p + quad * kPanelRows * 4 + 64);
    TARN_UNROLL
    for (int t = 0; t < T; ++t) {
      int32_t four;
      std::memcpy(&four, token[t] + digit + quad * 4, 4);
      const __m512i a = _mm512_set1_epi32(four);
      dots[t][0] = _mm512_dpbusd_epi32(dots[t][0], w0, a);
      dots[t][1] = _mm512_dpbusd_epi32(dots[t][1], w1, a);
    }
  }
}

// 32 rows x T tokens over all columns. Split: the 4 bit order, half of a group's columns even and
// half odd, which lie 64 bytes apart.
template <bool Split, int ActGroup, int T>
void panel_tile(const Panel& p, const PackedRows& x, int64_t token, int64_t cols,
                int groups_a_scale, float* y, int64_t y_stride, int64_t rows, Ahead ahead) {
  constexpr int kBits = Split ? 4 : 8;
  constexpr int64_t kAhead = ahead_bytes<kBits, ActGroup>();
  const int8_t* digits[T];
  TARN_UNROLL
  for (int t = 0; t < T; ++t) digits[t] = x.digits(token + t);
  Vf sum[T][2] = {};
  const int64_t groups = cols / ActGroup;
  for (int64_t g = 0; g < groups; ++g) {
    fetch<kAhead>(ahead, g);
    constexpr int kHalf = ActGroup / 2, kQuads = ActGroup / 8;
    constexpr int kHalves = static_cast<int>(kPackBlock) / 2;
    const int64_t col =
        Split ? g * kHalf / kHalves * kPackBlock + g * kHalf % kHalves : g * ActGroup;
    constexpr int64_t kNext = Split ? kHalves : kHalf;
    const int64_t high = col / kPackBlock * kBlockBytes + col % kPackBlock;
    __m512i dots[T][2] = {};
    dot_quads<kQuads, T>(p.codes, col, digits, high, dots);
    dot_quads<kQuads, T>(p.codes, col + kNext, digits, high + kNext, dots);
    TARN_UNROLL
    for (int t = 0; t < T; ++t)
      for (int h = 0; h < 2; ++h) dots[t][h] = _mm512_slli_epi32(dots[t][h], 8);
    const int64_t low = high + kPackBlock;
    dot_quads<kQuads, T>(p.codes, col, digits, low, dots);
    dot_quads<kQuads, T>(p.codes, col + kNext, digits, low + kNext, dots);
    const int64_t at = g / groups_a_scale * kPanelRows;
    TARN_UNROLL
    for (int h = 0; h < 2; ++h) {
      const Vf scale = load(p.scales + at + h * kLanes), bias = load(p.biases + at + h * kLanes);
      TARN_UNROLL
      for (int t = 0; t < T; ++t) {
        const Vf dot = bits_as<Vf>(_mm512_cvtepi32_ps(dots[t][h]));
        sum[t][h] += (dot * x.scales(token + t)[g * group_floats(ActGroup)]) * scale;
        sum[t][h] += bias * x.sums(token + t)[g * group_floats(ActGroup)];
      }
    }
  }
  for (int t = 0; t < T; ++t)
    for (int h = 0; h < 2; ++h) {
      const int64_t n = smaller(kLanes, rows - h * kLanes);
      if (n > 0)
        _mm512_mask_storeu_ps(y + t * y_stride + h * kLanes, static_cast<__mmask16>((1u << n) - 1),
                              bits_as<__m512>(sum[t][h]));
    }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
