// Convolutions as layers: x (N, positions..., C_in) to (N, positions..., C_out).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/nn/per_axis.h"

namespace tarn::nn {

template <size_t N>
struct ConvOptions {
  PerAxis<N> stride{1}, padding{0}, dilation{1};
  int groups = 1;
  bool bias = true;
};
template <size_t N>
struct ConvTransposeOptions {
  PerAxis<N> stride{1}, padding{0}, dilation{1}, output_padding{0};
  bool bias = true;
};

// conv_general over N axes of positions, plus a bias; the weight is (C_out, kernel..., C_in /
// groups).
template <size_t N>
struct Conv {
  array weight{};
  std::optional<array> bias{};
  PerAxis<N> stride{1}, padding{0}, dilation{1};
  int groups = 1;
  TARN_FIELDS(weight, bias)
  // Uniform numbers within 1 / sqrt(C_in / groups * kernel...); the bias is zero. Throws ValueError
  // unless groups divide both counts of channels and the kernel's sizes are positive.
  static Conv init(int64_t in_channels, int64_t out_channels, PerAxis<N> kernel_size,
                   const array& key, const ConvOptions<N>& options = {});
  array operator()(const array& x) const;
};
using Conv1d = Conv<1>;
using Conv2d = Conv<2>;
using Conv3d = Conv<3>;

// conv_transpose1d and its like, plus a bias; the weight is (C_out, kernel..., C_in).
template <size_t N>
struct ConvTranspose {
  array weight{};
  std::optional<array> bias{};
  PerAxis<N> stride{1}, padding{0}, dilation{1}, output_padding{0};
  TARN_FIELDS(weight, bias)
  static ConvTranspose init(int64_t in_channels, int64_t out_channels, PerAxis<N> kernel_size,
                            const array& key, const ConvTransposeOptions<N>& options = {});
  array operator()(const array& x) const;
};
using ConvTranspose1d = ConvTranspose<1>;
using ConvTranspose2d = ConvTranspose<2>;
using ConvTranspose3d = ConvTranspose<3>;

}  // namespace tarn::nn
