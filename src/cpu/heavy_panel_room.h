// Rows of W side by side, for products with many rows of x.
#pragma once

#include "cpu/heavy_codes.h"
#include "cpu/heavy_dot.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kPanelRows = 2 * kLanes;

// A panel in scratch: the bytes, then scales and biases of each group for the panel's rows.
struct Panel {
  uint8_t* codes = nullptr;
  float* scales = nullptr;
  float* biases = nullptr;
  uint8_t* row_bytes = nullptr;  // kLanes unpacked rows, for widths other than 4 and 8
};

// While a panel is multiplied the next one is asked for: read when it is needed it would cost an
// eighth of a step of 16 tokens. Each of the first kFetchingTiles tiles asks for a part of its
// codes, some bytes with each group of columns.
constexpr int64_t kFetchingTiles = 4;
constexpr int64_t kLine = 64;  // bytes
template <int Bits, int Cols>
constexpr int64_t ahead_bytes() {
  return kPanelRows * Cols * Bits / 8 / kFetchingTiles;
}
template <int64_t Bytes>
TARN_INLINE void fetch(const uint8_t* from) {
  TARN_UNROLL
  for (int64_t i = 0; i < Bytes; i += kLine) __builtin_prefetch(from + i);
}

int64_t padded_cols(const QuantMatrix& w) { return round_up(w.cols, kPackBlock); }

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
