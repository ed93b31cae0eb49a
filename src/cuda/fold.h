// Products of one row with 4-bit weights that do what stands before and behind them, too.
#pragma once

#include "graph/op.h"
#include "runtime/backend.h"
#include "tarn/ops/quantized.h"

namespace tarn::cuda {

// in: x (..., k), codes, scales, biases, the norm's weight if weighted, a factor (..., k) if gated,
// what is added if added. Of x rms_norm is taken first if normed, silu(x) * factor if gated. All
// float32 but the scales, biases and weight.
struct FoldedProduct {
  int group = 64;
  Precision precision = Precision::exact;
  bool normed = false, weighted = false, gated = false, added = false;
  float eps = 0;
  TARN_FIELDS(group, precision, normed, weighted, gated, added, eps)
};
const Kernel& folded_kernel();
// Whether the kernel is that of a product of one row, which can be folded.
bool is_one_row(const Kernel& kernel, const Step& step);

}  // namespace tarn::cuda
