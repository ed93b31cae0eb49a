// The kernels of convolutions that go line by line, one table per ISA. One thread at a time.
#pragma once

#include "cpu/heavy.h"

namespace tarn::cpu {

// to[c * to_step + i] = pixels[i][c] for c < channels, or 0 where pixels[i] is null. `count` is a
// multiple of 64 bytes of numbers.
template <class T>
struct TurnPixels {
  const T* const* pixels = nullptr;
  int64_t count = 0;
  int64_t channels = 0;
  T* to = nullptr;
  int64_t to_step = 0;
};

// `outputs` filters of `depth` numbers, row-contiguous, to what multiply_line reads: as many
// numbers as filters that are rounded up to `columns`, and kSlack more.
template <class T>
struct PackFilters {
  static constexpr int64_t kSlack = 16;
  const T* w = nullptr;
  int64_t outputs = 0, depth = 0;
  T* packed = nullptr;
};

// y[i * y_step + o] = sum over taps t and channels c of x[t][c * x_step + i] * w[o][t * channels +
// c] in that order, for i < pixels and o < outputs.
template <class T>
struct PixelLine {
  const T* const* x = nullptr;  // of each tap
  int64_t taps = 0, channels = 0, x_step = 0;
  int64_t pixels = 0;
  const T* filters = nullptr;  // packed
  int64_t outputs = 0;
  T* y = nullptr;
  int64_t y_step = 0;
  const T* ahead = nullptr;  // so many numbers are asked for meanwhile
  int64_t ahead_count = 0;
};

template <class T>
struct LineKernels {
  int64_t rows = 0, columns = 0;  // pixels and filters that are met at once, at most
  void (*turn_pixels)(const TurnPixels<T>&) = nullptr;
  void (*pack_filters)(const PackFilters<T>&) = nullptr;
  void (*multiply_line)(const PixelLine<T>&) = nullptr;
};
struct HeavyConv {
  LineKernels<float> of_float;
  LineKernels<double> of_double;
};

const HeavyConv& heavy_conv();
const HeavyConv& heavy_conv(Isa isa);

}  // namespace tarn::cpu
