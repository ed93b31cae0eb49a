// The convolution: one op, whose transposes are convolutions again.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

// in: x (N, spatial..., C), w (C_out, kernel..., C / groups), both float32, float64 or complex64.
// out[o] = sum over k of x[o * stride + k * kernel_dilation - lo] * w[k], where x is spread by
// input_dilation; w is read backwards under `flip`. hi says where the last o lies.
struct Convolution {
  using Kind = Contraction;
  static constexpr Spec spec{"conv_general", Types::inexact, "Kernels moved over an input."};
  struct P {
    Shape stride{}, lo{}, hi{}, kernel_dilation{}, input_dilation{};
    int64_t groups = 1;
    bool flip = false;
    TARN_FIELDS(stride, lo, hi, kernel_dilation, input_dilation, groups, flip)
  };
  static ArraySpec infer(const Params& params, std::span<const array> in);
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
  static std::vector<Maybe> transpose(const Call& call, const array& g);
};

// How far n elements reach when they lie `dilation` apart.
inline int64_t reach(int64_t n, int64_t dilation) { return n == 0 ? 0 : (n - 1) * dilation + 1; }

using ConvolutionOps = List<Convolution>;

}  // namespace tarn::ops
