// Discrete Fourier transforms along one axis.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

#define TARN_RULES                                                                         \
  static ArraySpec infer(const Params& params, std::span<const array> in);                 \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch); \
  static std::vector<Maybe> transpose(const Call& call, const array& g);

// out[k] = scale * sum over j of x[j] e^(-2 pi i j k / n), or + under `inverse`. in: x, complex64,
// float32 or float64; the result is complex64.
struct Fft {
  using Kind = Contraction;
  static constexpr Spec spec{"fft", Types::inexact, "The Fourier transform along an axis."};
  struct P {
    int axis = 0;
    bool inverse = false;
    double scale = 1;
    TARN_FIELDS(axis, inverse, scale)
  };
  TARN_RULES
};
// The first n / 2 + 1 numbers of that. in: x, float32 or float64.
struct Rfft {
  using Kind = Contraction;
  static constexpr Spec spec{"rfft", Types::floating, "The half of a real line's transform."};
  struct P {
    int axis = 0;
    double scale = 1;
    TARN_FIELDS(axis, scale)
  };
  TARN_RULES
};
// The real line of n numbers, in float32, whose transform begins with x, complex64 (n / 2 + 1); the
// imaginary parts of the first number and, for even n, the last do not count.
struct Irfft {
  using Kind = Contraction;
  static constexpr Spec spec{"irfft", Types::complex, "The real line of half a transform."};
  struct P {
    int axis = 0;
    int64_t n = 0;
    double scale = 1;
    TARN_FIELDS(axis, n, scale)
  };
  TARN_RULES
};

#undef TARN_RULES

using TransformOps = List<Fft, Rfft, Irfft>;

}  // namespace tarn::ops
