// The product of a sparse and a dense matrix.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

// in: row_starts (rows + 1,), columns (count,), both int64, values (count,), x (k, n) of one dtype.
struct SparseMatmul {
  using Kind = Contraction;
  static constexpr Spec spec{"sparse_matmul", Types::inexact, "Compressed sparse rows times x."};
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
  static std::vector<Maybe> transpose(const Call& call, const array& g);
};

using SparseOps = List<SparseMatmul>;

}  // namespace tarn::ops
