// Four rows of W that meet a token together, for kernels whose sums have a row in each lane.
#pragma once

#include "cpu/heavy_codes.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kFewRows = 4;

// Of which those past the end repeat the last.
struct FourRows {
  const uint8_t* codes[kFewRows];
  int64_t first_group[kFewRows];
};

// Rows `row` to row + 4 of W; of other widths than 4 and 8 bits as bytes in `unpacked`.
template <int Bits>
FourRows four_rows(const QuantMatrix& w, int64_t row, uint8_t* unpacked) {
  FourRows rows;
  for (int r = 0; r < kFewRows; ++r) {
    const int64_t n = smaller(row + r, w.rows - 1);
    rows.codes[r] = code_row(w, n);
    rows.first_group[r] = n * (w.cols / w.group);
    if (w.bits == Bits) continue;
    uint8_t* bytes = unpacked + r * round_up(w.cols, 64);
    unpack_codes(w.bits, rows.codes[r], w.cols, bytes);
    rows.codes[r] = bytes;
  }
  return rows;
}

// y of four rows, of which `count` are stored, and tokens token .. token + T: defined by the level.
template <int Bits, int Group, Store S, int T>
void multiply_rows(const Qmm& q, const PackedRows& x, const FourRows& rows, int64_t row,
                   int64_t count, int64_t token);

template <int Bits, int Group, Store S>
void multiply_few(const Qmm& q, const PackedRows& x, Range mine, Range tokens, uint8_t* unpacked) {
  for (int64_t row = mine.begin; row < mine.end; row += kFewRows) {
    const int64_t count = smaller(kFewRows, mine.end - row);
    const FourRows rows = four_rows<Bits>(q.w, row, unpacked);
    int64_t k = tokens.begin;
    for (; k + 4 <= tokens.end; k += 4) multiply_rows<Bits, Group, S, 4>(q, x, rows, row, count, k);
    if (k + 2 <= tokens.end) multiply_rows<Bits, Group, S, 2>(q, x, rows, row, count, k), k += 2;
    if (k < tokens.end) multiply_rows<Bits, Group, S, 1>(q, x, rows, row, count, k);
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
