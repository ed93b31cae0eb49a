// The kernels of convolutions that go line by line, at every level.
#include "cpu/heavy_conv.h"

#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

class ConvTest : public EveryIsa {
 protected:
  const LineKernels<float>& line_kernels(float) const { return heavy_conv(GetParam()).of_float; }
  const LineKernels<double>& line_kernels(double) const { return heavy_conv(GetParam()).of_double; }
};

template <class T>
std::vector<T> random_numbers(int64_t n, unsigned seed) {
  auto x = normal(static_cast<size_t>(n), seed);
  return {x.begin(), x.end()};
}

template <class T>
void expect_turned(const LineKernels<T>& kernels, int64_t channels) {
  constexpr int64_t count = 3 * 64 / static_cast<int64_t>(sizeof(T)), step = count + 5;
  auto x = random_numbers<T>(count * channels, 1);
  std::vector<const T*> pixels;
  for (int64_t i = 0; i < count; ++i)
    pixels.push_back(i % 7 == 3 ? nullptr : x.data() + i * channels);
  std::vector<T> turned(static_cast<size_t>(channels * step), T(-7));
  kernels.turn_pixels({pixels.data(), count, channels, turned.data(), step});
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < step; ++i) {
      const T* from = i < count ? pixels[static_cast<size_t>(i)] : nullptr;
      T right = i >= count ? T(-7) : from ? from[c] : T(0);
      ASSERT_EQ(turned[static_cast<size_t>(c * step + i)], right) << "pixel " << i << " of " << c;
    }
}
TEST_P(ConvTest, PixelsAreTurnedAndNothingElseIsTouched) {
  for (int64_t channels : {1, 3, 4, 16, 21, 37}) {
    expect_turned(line_kernels(0.f), channels);
    expect_turned(line_kernels(0.0), channels);
  }
}

struct Line {
  int64_t taps = 0, channels = 0, pixels = 0, outputs = 0;
};

// Taps read places that overlap, as neighbouring taps of a filter do.
template <class T>
void expect_sums(const LineKernels<T>& kernels, const Line& of, double tolerance) {
  const int64_t x_step = of.pixels + of.taps, y_step = of.outputs + 3;
  auto x = random_numbers<T>(of.channels * x_step, 2);
  auto w = random_numbers<T>(of.outputs * of.taps * of.channels, 3);
  const int64_t rounded = (of.outputs + kernels.columns - 1) / kernels.columns * kernels.columns;
  const auto numbers = static_cast<size_t>(rounded * of.taps * of.channels);
  Scratch64 packed((numbers + PackFilters<T>::kSlack) * sizeof(T));
  auto* filters = reinterpret_cast<T*>(packed.data());
  kernels.pack_filters({w.data(), of.outputs, of.taps * of.channels, filters});
  std::vector<const T*> taps;
  for (int64_t t = 0; t < of.taps; ++t) taps.push_back(x.data() + t);
  std::vector<T> y(static_cast<size_t>(of.pixels * y_step), T(-7));
  kernels.multiply_line({taps.data(), of.taps, of.channels, x_step, of.pixels, filters, of.outputs,
                         y.data(), y_step, x.data(), of.channels * x_step});
  for (int64_t i = 0; i < of.pixels; ++i)
    for (int64_t o = 0; o < y_step; ++o) {
      double right = o < of.outputs ? 0 : -7, size = 1;
      for (int64_t t = 0; t < of.taps && o < of.outputs; ++t)
        for (int64_t c = 0; c < of.channels; ++c) {
          double term = double{taps[static_cast<size_t>(t)][c * x_step + i]} *
                        double{w[static_cast<size_t>((o * of.taps + t) * of.channels + c)]};
          right += term, size += std::fabs(term);
        }
      ASSERT_NEAR(static_cast<double>(y[static_cast<size_t>(i * y_step + o)]), right,
                  tolerance * size)
          << "pixel " << i << " of " << of.pixels << ", output " << o << " of " << of.outputs;
    }
}
TEST_P(ConvTest, SumsOverTapsAndChannels) {
  for (int64_t pixels : {1, 4, 6, 13, 14, 15, 29, 56})
    for (int64_t outputs : {1, 9, 32, 47})
      for (int64_t channels : {1, 3, 18}) {
        expect_sums(line_kernels(0.f), {3, channels, pixels, outputs}, 4e-7);
        expect_sums(line_kernels(0.0), {3, channels, pixels, outputs}, 1e-15);
      }
  expect_sums(line_kernels(0.f), {9, 64, 20, 64}, 4e-6);
  expect_sums(line_kernels(0.0), {9, 64, 20, 64}, 1e-14);
}

TARN_EVERY_ISA(ConvTest);

}  // namespace
}  // namespace tarn::cpu
