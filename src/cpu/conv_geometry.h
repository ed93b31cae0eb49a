// What a convolution's kernels know of it: its axes, and where a tap lies.
#pragma once

#include "ops/conv.h"
#include "runtime/backend.h"

namespace tarn::cpu {

// A convolution over three axes; those that are missing have one element. Complex numbers are pairs
// of real ones: twice the channels and the outputs.
struct Geometry {
  int64_t n = 1, groups = 1, channels = 1, outputs = 1;  // channels and outputs of one group
  int64_t in[3] = {1, 1, 1}, kernel[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, lo[3] = {0, 0, 0};
  int64_t kernel_dilation[3] = {1, 1, 1}, input_dilation[3] = {1, 1, 1};
  bool flip = false;

  int64_t rows() const { return n * out[0] * out[1] * out[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t depth() const { return taps() * channels; }
  int64_t pixel() const { return groups * channels; }
  // How far the kernel reaches on axis d of the spread and padded input.
  int64_t span(int d) const { return (kernel[d] - 1) * kernel_dilation[d] + 1; }
  // A row of taps is the pixel itself.
  bool plain() const {
    for (int d = 0; d < 3; ++d)
      if (kernel[d] * stride[d] * input_dilation[d] != 1 || lo[d] != 0 || out[d] != in[d])
        return false;
    return true;
  }
};
inline Geometry geometry_of(const Step& s) {
  const auto& p = s.params->as<ops::Convolution::P>();
  Geometry g;
  int64_t parts = s.out.dtype == complex64 ? 2 : 1;
  g.n = s.in[0].shape[0], g.groups = p.groups, g.flip = p.flip;
  g.channels = s.in[1].shape.back() * parts, g.outputs = s.in[1].shape[0] / p.groups * parts;
  size_t axes = p.stride.size();
  for (size_t i = 0; i < axes; ++i) {
    size_t d = 3 - axes + i;
    g.in[d] = s.in[0].shape[i + 1], g.kernel[d] = s.in[1].shape[i + 1];
    g.out[d] = s.out.shape[i + 1];
    g.stride[d] = p.stride[i], g.lo[d] = p.lo[i];
    g.kernel_dilation[d] = p.kernel_dilation[i], g.input_dilation[d] = p.input_dilation[i];
  }
  return g;
}

// Where tap `tap` lies among those that an output reads on axis d, before the padding is taken off.
inline int64_t reach(const Geometry& g, int d, int64_t tap) {
  return (g.flip ? g.kernel[d] - 1 - tap : tap) * g.kernel_dilation[d];
}
// Where place `at` of the spread and padded input lies on axis d of the input, or -1.
inline int64_t inside(const Geometry& g, int d, int64_t at) {
  at -= g.lo[d];
  if (at < 0) return -1;
  if (g.input_dilation[d] != 1) {
    if (at % g.input_dilation[d] != 0) return -1;
    at /= g.input_dilation[d];
  }
  return at < g.in[d] ? at : -1;
}
// Where a tap of an output position lies on axis d of the input, or -1.
inline int64_t place(const Geometry& g, int d, int64_t out, int64_t tap) {
  return inside(g, d, out * g.stride[d] + reach(g, d, tap));
}

// One output position and the input it reads.
struct Row {
  int64_t image = 0, at[3] = {0, 0, 0};
};
inline Row row_of(const Geometry& g, int64_t i) {
  Row r;
  for (int d = 2; d >= 0; --d) r.at[d] = i % g.out[d], i /= g.out[d];
  r.image = i;
  return r;
}
template <class T>
const T* pixel_at(const Geometry& g, const T* x, int64_t image, int64_t a, int64_t b, int64_t c) {
  return x + (((image * g.in[0] + a) * g.in[1] + b) * g.in[2] + c) * g.pixel();
}

// Bytes of scratch, so that what follows is aligned.
inline size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Nanoseconds of one core, roughly.
inline double conv_cost(const Step& s) {
  Geometry g = geometry_of(s);
  return 0.02 * static_cast<double>(g.rows() * g.groups * g.outputs) *
         static_cast<double>(g.depth());
}

// The rows of conv_depthwise.cpp and of conv_lines.cpp.
void add_depthwise_convolutions(KernelTable& t);
void add_line_convolutions(KernelTable& t);

}  // namespace tarn::cpu
