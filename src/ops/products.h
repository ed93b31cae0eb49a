// Products of chosen matrices and of segments.
#pragma once

#include "ops/codes.h"
#include "tarn/ops/products.h"

namespace tarn::ops {

#define TARN_RULES                                                                         \
  using Kind = Contraction;                                                                \
  static ArraySpec infer(const Params& params, std::span<const array> in);                 \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch); \
  static std::vector<Maybe> transpose(const Call& call, const array& g);

// in: a (A, M, K), b (B, K, N), lhs (P,), rhs (P,): (P, M, N).
struct GatherMatmul {
  static constexpr Spec spec{"gather_mm", Types::floating, "Products of pairs of matrices."};
  TARN_RULES
};
// in: x (A, M, K), w (E, N, ...) or (E, K, ...), scales, biases when affine, lhs (P,), rhs (P,).
struct GatherQuantizedMatmul {
  static constexpr Spec spec{"gather_qmm", Types::floating,
                             "Products of pairs, of a matrix and a quantised one."};
  struct P {
    int group = 64, bits = 4;
    bool transpose = true;
    Coding coding = Coding::affine;
    TARN_FIELDS(group, bits, transpose, coding)
  };
  TARN_RULES static std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents);
  static Arrays expand(const Params& params, std::span<const array> in);
};
// in: a (B, M, K), b (B, K, N), segments (B, S, 2): (B, S, M, N), for each (from, to) of segments
// a[:, from:to] b[from:to].
struct SegmentedMatmul {
  static constexpr Spec spec{"segmented_mm", Types::floating, "A product for each segment of K."};
  TARN_RULES
};
// in: x (B, K, N), y (B, S, N, M), segments (B, S, 2): (B, K, M), row k being the sum of x[k] y[s]
// over the segments s that k is in. What the derivatives of segmented_mm are made of.
struct SegmentedRows {
  static constexpr Spec spec{"segmented_rows", Types::floating,
                             "Rows times the matrices of their segments."};
  TARN_RULES
};

#undef TARN_RULES

using ProductOps = List<GatherMatmul, GatherQuantizedMatmul, SegmentedMatmul, SegmentedRows>;

}  // namespace tarn::ops
