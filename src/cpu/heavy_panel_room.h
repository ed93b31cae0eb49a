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
// eighth of a step of 16 tokens. Its codes are in kAheadParts parts, of which each tile asks for
// some, a piece of each with each group of columns.
constexpr int64_t kAheadParts = 4;
constexpr int64_t kLine = 64;  // bytes
template <int Bits, int Cols>
constexpr int64_t ahead_bytes() {
  return kPanelRows * Cols * Bits / 8 / kAheadParts;
}
struct Ahead {
  const uint8_t* codes = nullptr;
  int64_t parts = 0;
};
template <int64_t Bytes>
TARN_INLINE void fetch(const Ahead& a, int64_t group) {
  const uint8_t* from = a.codes + group * a.parts * Bytes;
  for (int64_t part = 0; part < a.parts; ++part, from += Bytes) {
    TARN_UNROLL
    for (int64_t i = 0; i < Bytes; i += kLine) __builtin_prefetch(from + i);
  }
}

int64_t padded_cols(const QuantMatrix& w) { return round_up(w.cols, kPackBlock); }

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
