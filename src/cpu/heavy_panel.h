// y = x · Wᵀ on activations of two int8 digits for many rows of x: bound by the integer unit.
//
// 32 rows of W become a panel of bytes, quad by quad of columns with the rows side by side, in the
// order of the packed activations. A tile is 32 rows x 6 tokens: two vectors of the panel meet one
// broadcast quad of each token, so 12 integer sums run in registers beside their 12 float sums:
// over a group's high digits, then, shifted, over its low ones. At the end of each group the
// integers are converted, scaled by d and then by the row's scale, and the bias times u is added.
// At groups of 32 that is 16 dot products to 4 float steps. A panel is made once and met by all
// tokens: at 512 of them making it is 1 % of the time.
#pragma once

#include "cpu/heavy_codes.h"
#include "cpu/heavy_dot.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

#if defined(__AVX512VNNI__)

constexpr bool kHasPanels = true;
constexpr int kPanelRows = 2 * kLanes;
constexpr int kTileTokens = 6;
constexpr int64_t kUnitTokens = 96;  // a share's unit: even when panels are fewer than workers

// A panel in scratch: the bytes, then scales and biases of each group for the panel's rows.
struct Panel {
  uint8_t* codes = nullptr;
  float* scales = nullptr;
  float* biases = nullptr;
  uint8_t* row_bytes = nullptr;  // kLanes unpacked rows, for widths other than 4 and 8
};

int64_t padded_cols(const QuantMatrix& w) { return round_up(w.cols, kPackBlock); }

size_t panel_scratch(const QuantMatrix& w) {
  const int64_t groups = round_up(w.cols / w.group, 16);
  return static_cast<size_t>(padded_cols(w) * (kPanelRows + kLanes) +
                             2 * groups * kPanelRows * static_cast<int64_t>(sizeof(float)));
}

Panel panel_in(uint8_t* scratch, const QuantMatrix& w) {
  Panel p;
  p.codes = scratch;
  p.row_bytes = p.codes + padded_cols(w) * kPanelRows;
  p.scales = reinterpret_cast<float*>(p.row_bytes + padded_cols(w) * kLanes);
  p.biases = p.scales + round_up(w.cols / w.group, 16) * kPanelRows;
  return p;
}

// 16 rows of codes, `stride` apart, to quads at `to` (which lie kPanelRows * 4 bytes apart).
template <int Bits>
void fill_quads(const uint8_t* const (&rows)[kLanes], int64_t row_bytes, uint8_t* to) {
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

// Rows row .. row + 32 of W; those past the end repeat the last, and are not stored.
template <Store S>
void fill_panel(const QuantMatrix& w, int64_t row, const Panel& p) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t* rows[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const int64_t n = smaller(row + half * kLanes + r, w.rows - 1);
      rows[r] = code_row(w, n);
      if (w.bits != 4 && w.bits != 8) {
        uint8_t* bytes = p.row_bytes + r * padded_cols(w);
        unpack_codes(w.bits, rows[r], w.cols, bytes);
        rows[r] = bytes;
      }
      const int64_t groups = w.cols / w.group;
      for (int64_t g = 0; g < groups; ++g) {
        p.scales[g * kPanelRows + half * kLanes + r] = get<S>(w.scales, n * groups + g);
        p.biases[g * kPanelRows + half * kLanes + r] = get<S>(w.biases, n * groups + g);
      }
    }
    uint8_t* to = p.codes + half * kLanes * 4;
    if (w.bits == 4)
      fill_quads<4>(rows, w.cols / 2, to);
    else
      fill_quads<8>(rows, w.cols, to);
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
                int groups_a_scale, float* y, int64_t y_stride, int64_t rows) {
  const int8_t* digits[T];
  TARN_UNROLL
  for (int t = 0; t < T; ++t) digits[t] = x.digits(token + t);
  Vf sum[T][2] = {};
  const int64_t groups = cols / ActGroup;
  for (int64_t g = 0; g < groups; ++g) {
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

template <bool Split, int ActGroup>
void panel_tokens(const Panel& p, const PackedRows& x, const Qmm& q, int64_t row, Range tokens) {
  const int64_t cols = q.w.cols, rows = q.w.rows - row;
  const int per = q.w.group / ActGroup;
  const auto tile = [&]<int T>(int64_t k) {
    panel_tile<Split, ActGroup, T>(p, x, k, cols, per, q.y + k * q.y_stride + row, q.y_stride,
                                   rows);
  };
  int64_t k = tokens.begin;
  for (; k + kTileTokens <= tokens.end; k += kTileTokens) tile.template operator()<kTileTokens>(k);
  if (k + 4 <= tokens.end) tile.template operator()<4>(k), k += 4;
  for (; k < tokens.end; ++k) tile.template operator()<1>(k);
}

void meet_tokens(const Panel& p, const PackedRows& x, const Qmm& q, int64_t row, Range tokens) {
  const bool split = q.w.bits == 4;
  if (x.group == 32)
    split ? panel_tokens<true, 32>(p, x, q, row, tokens)
          : panel_tokens<false, 32>(p, x, q, row, tokens);
  else
    split ? panel_tokens<true, 64>(p, x, q, row, tokens)
          : panel_tokens<false, 64>(p, x, q, row, tokens);
}

void multiply_panels(const Qmm& q, const PackedRows& x, uint8_t* scratch, int worker, int workers) {
  const Panel p = panel_in(scratch, q.w);
  const int64_t blocks = ceil_div(q.m, kUnitTokens);
  const Range mine = share(ceil_div(q.w.rows, kPanelRows) * blocks, 1, worker, workers);
  int64_t filled = -1;
  for (int64_t unit = mine.begin; unit < mine.end; ++unit) {
    const int64_t row = unit / blocks * kPanelRows, token = unit % blocks * kUnitTokens;
    if (row != filled) with_store(q.w.scale_type, [&]<Store S>() { fill_panel<S>(q.w, row, p); });
    filled = row;
    meet_tokens(p, x, q, row, {token, smaller(token + kUnitTokens, q.m)});
  }
}

#else

constexpr bool kHasPanels = false;
TARN_INLINE size_t panel_scratch(const QuantMatrix&) { return 0; }
TARN_INLINE void multiply_panels(const Qmm&, const PackedRows&, uint8_t*, int, int) {}

#endif

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
