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

int64_t padded_cols(const QuantMatrix& w) { return round_up(w.cols, kPackBlock); }

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
