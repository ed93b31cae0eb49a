// Products with quantised weights, and the low-rank terms beside them.
#pragma once

#include "ops/compound.h"

namespace tarn::ops {

// in: x (..., K), w, scales and, when affine, biases, a (K, R), b (R, N): x w + (x a) b, with w
// turned as in quantized_matmul. Its derivative is of its own kind: g wᵀ + (g bᵀ) aᵀ.
struct LowRankMatmul {
  using Kind = Fused;
  using P = QuantizedMatmul::P;
  static constexpr Spec spec{"low_rank_matmul", Types::floating,
                             "x times quantised weights and a low-rank term."};
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays expand(const Params& params, std::span<const array> in);
  static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents);
};
// The same with u = x a in the place of a, one row for each of x's: (rows, R).
struct QuantizedMatmulPlus {
  using Kind = Fused;
  using P = QuantizedMatmul::P;
  static constexpr Spec spec{"quantized_matmul_plus", Types::floating,
                             "x times quantised weights, plus u times b."};
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays expand(const Params& params, std::span<const array> in);
};
// in: y (..., N), x (..., K), a (E, K, R), b (E, R, N), index (P,), one for each of x's P rows:
// y[p] + (x[p] a[index[p]]) b[index[p]].
struct LowRankRows {
  using Kind = Fused;
  static constexpr Spec spec{"low_rank_rows", Types::floating,
                             "y plus a low-rank term of each row's own."};
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays expand(const Params& params, std::span<const array> in);
};

using LowRankOps = List<LowRankMatmul, QuantizedMatmulPlus, LowRankRows>;

}  // namespace tarn::ops
