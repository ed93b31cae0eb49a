// y = x · Wᵀ on activations of two int8 digits for many rows of x: bound by the integer unit.
//
// Some rows of W become a panel, which is made once and met by all tokens: at 512 of them making it
// is 1 % of the time. Panels are of bytes where the level multiplies four of them at once
// (heavy_panel_quads.h), of words with AVX2 (heavy_panel_words.h).
#pragma once

#include "cpu/heavy_term.h"
#if defined(__AVX512VNNI__)
#include "cpu/heavy_panel_quads.h"
#elif defined(__AVX2__) && !defined(__AVX512F__)
#include "cpu/heavy_panel_words.h"
#else
#include "cpu/heavy_codes.h"
#endif

namespace tarn::cpu::TARN_LEVEL {
namespace {

#if defined(__AVX512VNNI__) || (defined(__AVX2__) && !defined(__AVX512F__))

TARN_INLINE bool takes_panels(int64_t tokens) { return tokens >= kPanelTokens; }
constexpr int64_t kUnitTokens = 96;  // a share's unit: even when panels are fewer than workers

size_t panel_scratch(const QuantMatrix& w) {
  const int64_t groups = round_up(w.cols / w.group, 16);
  return static_cast<size_t>(padded_cols(w) * (kPanelRows * kCodeBytes + kLanes) +
                             2 * groups * kPanelRows * static_cast<int64_t>(sizeof(float)));
}

Panel panel_in(uint8_t* scratch, const QuantMatrix& w) {
  Panel p;
  p.codes = scratch;
  p.row_bytes = p.codes + padded_cols(w) * kPanelRows * kCodeBytes;
  p.scales = reinterpret_cast<float*>(p.row_bytes + padded_cols(w) * kLanes);
  p.biases = p.scales + round_up(w.cols / w.group, 16) * kPanelRows;
  return p;
}

// Rows row .. row + kPanelRows of W; those past the end repeat the last, and are not stored.
template <Store S>
void fill_panel(const QuantMatrix& w, int64_t row, const Panel& p) {
  fill_groups<S>(w, row, w.scales, p.scales);
  fill_groups<S>(w, row, w.biases, p.biases);
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
    }
    uint8_t* to = p.codes + half * kLanes * 4;
    if (w.bits == 4)
      fill_codes<4>(rows, w.cols / 2, to);
    else
      fill_codes<8>(rows, w.cols, to);
  }
}

// Parts from `part` on of the scales or biases of the panel that begins at `row`.
void fetch_groups(const QuantMatrix& w, const void* base, int64_t row, int64_t part,
                  int64_t parts) {
  const int64_t bytes = kPanelRows * (w.cols / w.group) * store_bytes(w.scale_type);
  const char* from = static_cast<const char*>(base) + row / kPanelRows * bytes;
  const int64_t each = round_up(ceil_div(bytes, kAheadParts), kLine);
  for (int64_t i = part * each; i < (part + parts) * each; i += kLine) __builtin_prefetch(from + i);
}

template <bool Split, int ActGroup>
void panel_tokens(const Panel& p, const PackedRows& x, const Qmm& q, int64_t row, Range tokens) {
  constexpr int kBits = Split ? 4 : 8;
  const int64_t cols = q.w.cols, rows = q.w.rows - row;
  const int per = q.w.group / ActGroup;
  const int64_t next = row + kPanelRows;
  const int64_t each = ceil_div(kAheadParts, ceil_div(q.m, kTileTokens));
  int64_t part = q.m < kUnitTokens ? 0 : kAheadParts;
  const auto tile = [&]<int T>(int64_t k) {
    Ahead ahead;
    if (part < kAheadParts) {
      ahead = {code_row(q.w, next) + part * cols / ActGroup * ahead_bytes<kBits, ActGroup>(),
               smaller(each, kAheadParts - part)};
      fetch_groups(q.w, q.w.scales, next, part, ahead.parts);
      fetch_groups(q.w, q.w.biases, next, part, ahead.parts);
      part += ahead.parts;
    }
    panel_tile<Split, ActGroup, T>(p, x, k, cols, per, q.y + k * q.y_stride + row, q.y_stride, rows,
                                   ahead);
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
    const Range tokens{token, smaller(token + kUnitTokens, q.m)};
    meet_tokens(p, x, q, row, tokens);
    add_term(q, {row, smaller(row + kPanelRows, q.w.rows)}, tokens);
  }
}

#else

TARN_INLINE bool takes_panels(int64_t) { return false; }
TARN_INLINE size_t panel_scratch(const QuantMatrix&) { return 0; }
TARN_INLINE void multiply_panels(const Qmm&, const PackedRows&, uint8_t*, int, int) {}

#endif

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
