// Products of one row with 4-bit weights that do what stands before and behind them, too.
#pragma once

#include "graph/op.h"
#include "runtime/backend.h"
#include "tarn/ops/quantized.h"

namespace tarn::cuda {

// in: x (..., k), codes, scales, biases, the norm's weight if weighted, a factor (..., k) if gated,
// what is added if added, codes, scales and biases of another matrix if paired. Of x rms_norm is
// taken first if normed, silu(x) * factor if gated; if paired the result is silu of the product
// times that with the other matrix. All float32 but the scales, biases and weight.
struct FoldedProduct {
  int group = 64;
  Precision precision = Precision::exact;
  bool normed = false, weighted = false, gated = false, added = false, paired = false;
  float eps = 0;
  TARN_FIELDS(group, precision, normed, weighted, gated, added, paired, eps)
};
const Kernel& folded_kernel();
// Whether the kernel is that of a product of one row, which can be folded.
bool is_one_row(const Kernel& kernel, const Step& step);
// Whether such products of x, with scales of that dtype, can be paired.
bool makes_pairs(const FoldedProduct& p, const Operand& x, Dtype scales);

// Products of many rows with a low-rank term, which may have one more input, that is added.
bool is_term(const Kernel& kernel);
const Kernel& term_and_sum_kernel();

}  // namespace tarn::cuda
