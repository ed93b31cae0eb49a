// Contractions, fused ops and sources.
#pragma once

#include "ops/kinds.h"
#include "tarn/fast.h"
#include "tarn/ops/quantized.h"

namespace tarn::ops {

#define TARN_INFER static ArraySpec infer(const Params& params, std::span<const array> in);
#define TARN_VMAP \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
#define TARN_TRANSPOSE static std::vector<Maybe> transpose(const Call& call, const array& g);
#define TARN_VJP static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents);
#define TARN_EXPANSION static Arrays expand(const Params& params, std::span<const array> in);

// in: a (..., M, K), b (..., K, N), both at least 2-d and of one float dtype; batches broadcast.
struct Matmul {
  using Kind = Contraction;
  static constexpr Spec spec{"matmul", Types::inexact, "The product of matrices."};
  TARN_INFER TARN_VMAP TARN_TRANSPOSE
};
// What the codes of quantised weights are: see quantize.
enum class Coding : uint8_t { affine, mxfp4, mxfp8, nvfp4 };

// in: x (..., K), w, scales and, when affine, biases. See quantized_matmul.
struct QuantizedMatmul {
  using Kind = Contraction;
  static constexpr Spec spec{"quantized_matmul", Types::floating, "x times quantised weights."};
  struct P {
    int group = 64, bits = 4;
    bool transpose = true;
    Precision precision = Precision::exact;
    Coding coding = Coding::affine;
    TARN_FIELDS(group, bits, transpose, precision, coding)
  };
  TARN_INFER TARN_VMAP TARN_TRANSPOSE TARN_EXPANSION static std::vector<Maybe> jvp(
      const Call& call, std::span<const Maybe> tangents);
};

// in: w, scales and, when affine, biases.
struct Dequantize {
  using Kind = Fused;
  static constexpr Spec spec{"dequantize", Types::floating,
                             "The numbers of quantised codes, a group at a time."};
  struct P {
    int group = 64, bits = 4;
    Dtype dtype{};
    Coding coding = Coding::affine;
    TARN_FIELDS(group, bits, dtype, coding)
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP
};
struct Softmax {
  using Kind = Fused;
  static constexpr Spec spec{"softmax", Types::floating, "exp(x - max) / sum over the last axis."};
  struct P {
    TARN_FIELDS()
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP TARN_VJP
};
struct LogSumExp {
  using Kind = Fused;
  static constexpr Spec spec{"logsumexp", Types::floating, "log of the sum of exp, last axis."};
  struct P {
    TARN_FIELDS()
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP TARN_VJP
};
// in: logits (..., V), targets (...), integers. out (...): logsumexp(logits) - logits[target].
struct CrossEntropy {
  using Kind = Fused;
  static constexpr Spec spec{"cross_entropy", Types::floating,
                             "How badly logits foretell classes, last axis."};
  struct P {
    TARN_FIELDS()
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP TARN_VJP
};
// What ArgSort's indices lead to.
struct Sort {
  using Kind = Fused;
  static constexpr Spec spec{"sort", Types::number, "An axis in rising order; NaN last."};
  using P = SortParams;
  TARN_INFER TARN_EXPANSION TARN_VMAP
};
// in: x, weight if has_weight.
struct RmsNorm {
  using Kind = Fused;
  static constexpr Spec spec{"rms_norm", Types::floating, "x / rms(x) * weight, last axis."};
  struct P {
    float eps = 0;
    TARN_FIELDS(eps)
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP TARN_VJP
};
// in: x, then weight and bias as far as present.
struct LayerNorm {
  using Kind = Fused;
  static constexpr Spec spec{"layer_norm", Types::floating,
                             "Normalised mean and variance, last axis."};
  struct P {
    float eps = 0;
    bool has_weight = false, has_bias = false;
    TARN_FIELDS(eps, has_weight, has_bias)
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP
};
// in: x (..., T, D), freqs (dims / 2) if has_freqs.
struct Rope {
  using Kind = Fused;
  static constexpr Spec spec{"rope", Types::floating, "Rotary position embedding.", 2e-5};
  struct P {
    int dims = 0;
    bool traditional = false;
    float base = 0, scale = 1;
    int64_t offset = 0;
    TARN_FIELDS(dims, traditional, base, scale)
    TARN_RUNTIME_FIELDS(offset)
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP TARN_VJP
};
// in: q, k, v, then mask and sinks as far as present.
struct Attention {
  using Kind = Fused;
  static constexpr Spec spec{"attention", Types::floating, "softmax(scale * q k^T + mask) v."};
  struct P {
    float scale = 1;
    bool causal = false, has_mask = false, has_sinks = false;
    int64_t length = 0;  // keys that count, of the S there are
    float softcap = 0;   // 0: none
    int64_t window = 0;  // keys a query looks back to, itself among them; 0: all
    Precision precision = Precision::exact;  // balanced: a device may round factors to 16 bits
    TARN_FIELDS(scale, causal, has_mask, has_sinks, softcap, window, precision)
    TARN_RUNTIME_FIELDS(length)
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP TARN_VJP
};

// in: q, k (B, T, Hk, Dk), v (B, T, Hv, Dv), gates (B, T, Hv) or (B, T, Hv, Dk), beta (B, T, Hv)
// and a state (B, Hv, Dv, Dk), of one dtype. out (B, Hv, T Dv + Dv Dk): the outputs, the last
// state.
struct GatedDelta {
  using Kind = Fused;
  static constexpr Spec spec{"gated_delta", Types::floating,
                             "A state led by the gated delta rule."};
  struct P {
    TARN_FIELDS()
  };
  TARN_INFER TARN_EXPANSION TARN_VMAP
};

// start + i * step for i < count.
struct Arange {
  using Kind = Source;
  static constexpr Spec spec{"arange", Types::real, "Evenly spaced numbers."};
  struct P {
    double start = 0, step = 1;
    int64_t count = 0;
    Dtype dtype{};
    TARN_FIELDS(start, step, count, dtype)
  };
  TARN_INFER
};
// How many elements axes of these sizes hold, less `less`, or one over that; 0-d. An op, and no
// plain number, so that recordings can follow when sizes change.
struct ElementCount {
  using Kind = Source;
  static constexpr Spec spec{"element_count", Types::number, "A product of sizes, or one over it."};
  struct P {
    Shape sizes{};
    bool inverted = false;
    int less = 0;
    Dtype dtype{};
    TARN_FIELDS(sizes, inverted, less, dtype)
    double value() const;
  };
  TARN_INFER
};
// in: key (..., 2).
struct RandomBits {
  using Kind = Source;
  static constexpr Spec spec{"random_bits", Types::integral, "Uniform bits from keys (threefry)."};
  struct P {
    Shape shape{};
    int width = 4;
    TARN_FIELDS(shape, width)
  };
  TARN_INFER TARN_VMAP
};

#undef TARN_INFER
#undef TARN_VMAP
#undef TARN_TRANSPOSE
#undef TARN_EXPANSION
#undef TARN_VJP

using ContractionOps = List<Matmul, QuantizedMatmul>;
using FusedOps = List<Dequantize, Softmax, LogSumExp, CrossEntropy, Sort, RmsNorm, LayerNorm, Rope,
                      Attention, GatedDelta>;
using SourceOps = List<Arange, ElementCount, RandomBits>;

// Of a's sizes on `axes`; `op` stands in errors, p.sizes is filled in.
array element_count(const char* op, const array& a, const std::vector<int>& axes, ElementCount::P p,
                    StreamOrDevice s);

}  // namespace tarn::ops
