#include "tarn/nn/conv.h"

#include <tuple>
#include <utility>

#include "base/require.h"
#include "nn/draw.h"
#include "tarn/ops.h"

namespace tarn::nn {
namespace {

template <size_t N>
array drawn_weight(const char* layer, int64_t in, int64_t out, const PerAxis<N>& kernel, int groups,
                   const array& key) {
  require(groups > 0 && in > 0 && out > 0 && in % groups == 0 && out % groups == 0,
          "[{}] {} channels to {} do not make {} equal groups.", layer, in, out, groups);
  Shape shape{out};
  int64_t fan = in / groups;
  for (int k : kernel.of) {
    require(k > 0, "[{}] the kernel has size {}; it must be positive.", layer, k);
    shape.push_back(k);
    fan *= k;
  }
  shape.push_back(in / groups);
  return within_root(layer, shape, fan, key);
}

// As conv_transpose2d and conv_transpose3d take one number an axis.
auto axes_of(const PerAxis<1>& p) { return p.of[0]; }
auto axes_of(const PerAxis<2>& p) { return std::pair(p.of[0], p.of[1]); }
auto axes_of(const PerAxis<3>& p) { return std::tuple(p.of[0], p.of[1], p.of[2]); }

}  // namespace

template <size_t N>
Conv<N> Conv<N>::init(int64_t in_channels, int64_t out_channels, PerAxis<N> kernel_size,
                      const array& key, const ConvOptions<N>& o) {
  Conv c;
  c.weight = drawn_weight("Conv", in_channels, out_channels, kernel_size, o.groups, key);
  if (o.bias) c.bias = zeros({out_channels});
  c.stride = o.stride, c.padding = o.padding, c.dilation = o.dilation, c.groups = o.groups;
  return c;
}
template <size_t N>
array Conv<N>::operator()(const array& x) const {
  array y = conv_general(x, weight, stride.list(), padding.list(), dilation.list(), {}, groups);
  return bias ? y + *bias : y;
}

template <size_t N>
ConvTranspose<N> ConvTranspose<N>::init(int64_t in_channels, int64_t out_channels,
                                        PerAxis<N> kernel_size, const array& key,
                                        const ConvTransposeOptions<N>& o) {
  ConvTranspose c;
  c.weight = drawn_weight("ConvTranspose", in_channels, out_channels, kernel_size, 1, key);
  if (o.bias) c.bias = zeros({out_channels});
  c.stride = o.stride, c.padding = o.padding, c.dilation = o.dilation;
  c.output_padding = o.output_padding;
  return c;
}
template <size_t N>
array ConvTranspose<N>::operator()(const array& x) const {
  auto transposed = [&](auto f) {
    return f(x, weight, axes_of(stride), axes_of(padding), axes_of(dilation),
             axes_of(output_padding), 1, StreamOrDevice{});
  };
  array y = x;
  if constexpr (N == 1)
    y = transposed(conv_transpose1d);
  else if constexpr (N == 2)
    y = transposed(conv_transpose2d);
  else
    y = transposed(conv_transpose3d);
  return bias ? y + *bias : y;
}

template struct Conv<1>;
template struct Conv<2>;
template struct Conv<3>;
template struct ConvTranspose<1>;
template struct ConvTranspose<2>;
template struct ConvTranspose<3>;

}  // namespace tarn::nn
