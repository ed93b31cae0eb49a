// Samples of Fourier transforms. Included by samples.h. Their derivatives are tested in
// tests/ops/fft_test.cpp: results are complex64, whose differences have too few digits.
#pragma once

#include "ops/fft.h"

namespace tarn::laws {

// Lengths for each way through the kernels: one number, small factors, large primes, four steps.
struct LinesToTransform {
  Shape shape{};
  int axis = 0;
};
inline std::vector<LinesToTransform> lines_to_transform() {
  return {{{3, 1}, 1},   {{2, 2}, 1},    {{3, 8}, 1},     {{20, 6}, 1}, {{5, 3}, 0},
          {{2, 30}, 1},  {{1, 17}, 1},   {{2, 7, 3}, 1},  {{34, 3}, 0}, {{18, 16, 2}, 1},
          {{1, 143}, 1}, {{2, 1200}, 1}, {{1, 78, 2}, 1}, {{0, 4}, 1},  {{1, 1155}, 1},
          {{2, 38}, 1},  {{1, 5, 4}, 0}, {{1, 20, 20}, 1}};
}

inline std::vector<Sample> ffts(Dtype t) {
  std::vector<Sample> out;
  for (auto [shape, axis] : lines_to_transform())
    for (bool inverse : {false, true}) {
      out.push_back({fmt::format("({}) {}", joined(shape, ","), inverse),
                     ops::Fft::P{axis, inverse, 0.5},
                     {numbers(shape, t, -1, 1)}});
    }
  return out;
}
inline std::vector<Sample> rffts(Dtype t) {
  std::vector<Sample> out;
  for (auto [shape, axis] : lines_to_transform()) {
    out.push_back({fmt::format("({})", joined(shape, ",")),
                   ops::Rfft::P{axis, 0.5},
                   {numbers(shape, t, -1, 1)}});
  }
  return out;
}
inline std::vector<Sample> irffts(Dtype t) {
  std::vector<Sample> out;
  for (auto [shape, axis] : lines_to_transform()) {
    int64_t n = shape[static_cast<size_t>(axis)];
    shape[static_cast<size_t>(axis)] = n / 2 + 1;
    out.push_back({fmt::format("({}) to {}", joined(shape, ","), n),
                   ops::Irfft::P{axis, n, 0.5},
                   {numbers(shape, t, -1, 1)}});
  }
  return out;
}

inline void add_transforms(Table& t) {
  t["fft"] = {{complex64, float32, float64}, ffts};
  t["rfft"] = {{float32, float64}, rffts};
  t["irfft"] = {{complex64}, irffts};
}

}  // namespace tarn::laws
