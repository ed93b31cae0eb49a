// What derivatives of fused ops are computed with.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

#define TARN_BACK_RULES                                                    \
  static ArraySpec infer(const Params& params, std::span<const array> in); \
  static Arrays expand(const Params& params, std::span<const array> in);   \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);

// in: x, the cotangent of rms_norm(x), and the weight if there is one. out: the cotangent of x.
struct RmsNormBack {
  using Kind = Fused;
  static constexpr Spec spec{"rms_norm_back", Types::floating, "The cotangent of rms_norm's x."};
  struct P {
    float eps = 0;
    TARN_FIELDS(eps)
  };
  TARN_BACK_RULES
};
// in: logits (..., V), targets (...), the cotangent of cross_entropy (...). out: that of the
// logits, (softmax - one hot) g.
struct CrossEntropyBack {
  using Kind = Fused;
  static constexpr Spec spec{"cross_entropy_back", Types::floating,
                             "The cotangent of cross_entropy's logits."};
  struct P {
    TARN_FIELDS()
  };
  TARN_BACK_RULES
};
// in: q (B, Hq, L, D), k (B, Hk, S, D), v (B, Hk, S, Dv), and the cotangent of what attention
// without mask and sinks makes of them; L is at most S. out (B, Hq L D + Hk S D + Hk S Dv): the
// cotangents of q, k and v, one behind the other.
struct AttentionBack {
  using Kind = Fused;
  static constexpr Spec spec{"attention_back", Types::floating,
                             "The cotangents of attention's inputs."};
  struct P {
    float scale = 1;
    bool causal = false;
    Precision precision = Precision::exact;  // as attention's
    TARN_FIELDS(scale, causal, precision)
  };
  TARN_BACK_RULES
};

#undef TARN_BACK_RULES

using BackOps = List<RmsNormBack, CrossEntropyBack, AttentionBack>;

}  // namespace tarn::ops
