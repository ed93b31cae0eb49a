// GGML's quantised blocks turned into MLX's affine layout, or decoded to floats, row by row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tarn/gguf.h"

namespace tarn::io {

inline constexpr int affine_group = 32;

// Bits of a code in the affine layout; 0 for types that have no such form.
int affine_bits(GgmlType type);
// decode can read the type.
bool can_decode(GgmlType type);

// Rows [begin, end) of the result. Row i is row `order[i]` of the tensor, or row i without an
// order. Different ranges may be worked on at the same time.
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;
  std::span<const int64_t> order{};
  int64_t source(int64_t row) const {
    return order.empty() ? row : order[static_cast<size_t>(row)];
  }
};

// Row 0 of the three arrays that quantized_matmul takes. scales and biases are the bits of float16.
struct AffineRows {
  uint32_t* weight = nullptr;
  uint16_t* scales = nullptr;
  uint16_t* biases = nullptr;
};

// w = d*q + m becomes scales d, biases m, codes q, exactly; where the type has no m, codes are
// shifted to unsigned and the bias is -2^(bits-1) * d. That product is exact, subnormal d included,
// unless it leaves the range of float16: then the result is false and the tensor is better decoded.
// Requires affine_bits(t.type) != 0.
bool repack(const GgufTensor& t, const RowRange& rows, const AffineRows& out);

// Writes the numbers of those rows; `out` is row 0. float16 is rounded to nearest even from
// float32. Requires can_decode(t.type).
void decode(const GgufTensor& t, const RowRange& rows, float16_t* out);
void decode(const GgufTensor& t, const RowRange& rows, float* out);

}  // namespace tarn::io
