// Convolutions, channels last: an input is (N, spatial..., C_in), a weight (C_out, kernel...,
// C_in / groups), the result (N, spatial..., C_out), over 1 to 3 spatial axes.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// out[o] = sum over k of input[o * stride + k * kernel_dilation - padding_lo] * weight[k], where
// the input is first spread by input_dilation and zero outside; `flip` turns the weight round,
// which is a convolution in the sense of signal processing. Vectors are empty (1, padding 0), one
// number for all axes, or one for each. A padding below 0 cuts.
//
// Floats and complex64, in float32 at least. Throws ShapeError when axes, channels or groups do not
// fit or the kernel is larger than the padded input, ValueError for a stride or dilation below 1.
array conv_general(array input, array weight, std::vector<int> stride = {},
                   std::vector<int> padding_lo = {}, std::vector<int> padding_hi = {},
                   std::vector<int> kernel_dilation = {}, std::vector<int> input_dilation = {},
                   int groups = 1, bool flip = false, StreamOrDevice s = {});
// The same padding on both sides.
inline array conv_general(const array& input, const array& weight, std::vector<int> stride = {},
                          std::vector<int> padding = {}, std::vector<int> kernel_dilation = {},
                          std::vector<int> input_dilation = {}, int groups = 1, bool flip = false,
                          StreamOrDevice s = {}) {
  return conv_general(input, weight, std::move(stride), padding, padding,
                      std::move(kernel_dilation), std::move(input_dilation), groups, flip, s);
}

// The convolution of two lines in the sense of signal processing, as NumPy has it: mode "full" of
// all n + m - 1 places where they overlap, "same" of the max(n, m) in the middle, "valid" of those
// where the shorter lies within the longer. Dtypes and sizes as in conv_general.
array convolve(const array& a, const array& v, const std::string& mode = "full",
               StreamOrDevice s = {});

array conv1d(const array& input, const array& weight, int stride = 1, int padding = 0,
             int dilation = 1, int groups = 1, StreamOrDevice s = {});
array conv2d(const array& input, const array& weight, const std::pair<int, int>& stride = {1, 1},
             const std::pair<int, int>& padding = {0, 0},
             const std::pair<int, int>& dilation = {1, 1}, int groups = 1, StreamOrDevice s = {});
array conv3d(const array& input, const array& weight,
             const std::tuple<int, int, int>& stride = {1, 1, 1},
             const std::tuple<int, int, int>& padding = {0, 0, 0},
             const std::tuple<int, int, int>& dilation = {1, 1, 1}, int groups = 1,
             StreamOrDevice s = {});

// What takes a convolution's result back to the shape of its input: the input spread by `stride`
// meets the turned weight (C_out, kernel..., C_in / groups). An axis of size n becomes
// (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding.
array conv_transpose1d(const array& input, const array& weight, int stride = 1, int padding = 0,
                       int dilation = 1, int output_padding = 0, int groups = 1,
                       StreamOrDevice s = {});
array conv_transpose2d(const array& input, const array& weight,
                       const std::pair<int, int>& stride = {1, 1},
                       const std::pair<int, int>& padding = {0, 0},
                       const std::pair<int, int>& dilation = {1, 1},
                       const std::pair<int, int>& output_padding = {0, 0}, int groups = 1,
                       StreamOrDevice s = {});
array conv_transpose3d(const array& input, const array& weight,
                       const std::tuple<int, int, int>& stride = {1, 1, 1},
                       const std::tuple<int, int, int>& padding = {0, 0, 0},
                       const std::tuple<int, int, int>& dilation = {1, 1, 1},
                       const std::tuple<int, int, int>& output_padding = {0, 0, 0}, int groups = 1,
                       StreamOrDevice s = {});

}  // namespace tarn
