// Convolutions: what the law tests do not see.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "error_of.h"
#include "laws/compare.h"
#include "tarn/info.h"

namespace tarn {
namespace {

using tarn_test::error_of;

using laws::close;
using laws::numbers;

// Both overloads take three lists; with seven arguments only one fits.
array general(const array& x, const array& w, std::vector<int> stride, std::vector<int> spread) {
  std::vector<int> none{0}, one{1};
  return conv_general(x, w, stride, none, none, one, spread);
}

TEST(Conv, SaysWhatDoesNotFit) {
  array x = zeros({2, 5, 4}), w = zeros({6, 3, 4});
  EXPECT_EQ(error_of([&] { conv2d(x, w); }),
            "[conv2d] input has shape (2, 5, 4) and weight (6, 3, 4): 2 spatial axes need (N, ..., "
            "C_in) and (C_out, ..., C_in / groups), 4 axes each.");
  EXPECT_EQ(error_of([&] {
              general(zeros({2, 5}), w, {}, {});
            }),
            "[conv_general] input has shape (2, 5) and weight (6, 3, 4): 1 to 3 spatial axes need "
            "(N, ..., C_in) and (C_out, ..., C_in / groups), 3 to 5 axes each.");
  EXPECT_EQ(error_of([&] { conv1d(astype(x, int32), astype(w, int32)); }),
            "[conv1d] input is int32 and weight int32: only floats are convolved.");
  EXPECT_EQ(error_of([&] {
              general(x, w, {1, 2}, {});
            }),
            "[conv_general] stride has 2 numbers for 1 spatial axes.");
  EXPECT_EQ(error_of([&] { conv1d(x, w, 0); }),
            "[conv1d] stride is (0,): each number must be 1 or more.");
  EXPECT_EQ(error_of([&] { conv1d(x, w, 1, 0, -1); }),
            "[conv1d] kernel_dilation is (-1,): each number must be 1 or more.");
  EXPECT_EQ(error_of([&] { conv_transpose1d(x, w, 0); }),
            "[conv_transpose1d] stride is (0,): each number must be 1 or more.");
  EXPECT_EQ(error_of([&] { conv1d(x, w, 1, 0, 1, 0); }),
            "[conv1d] groups is 0: it must be 1 or more.");
  EXPECT_EQ(error_of([&] { conv1d(x, w, 1, 0, 1, 4); }),
            "[conv1d] weight has shape (6, 3, 4): 6 outputs do not divide into 4 groups.");
  EXPECT_EQ(error_of([&] { conv1d(x, w, 1, 0, 1, 2); }),
            "[conv1d] input has shape (2, 5, 4) and weight (6, 3, 4): 4 channels are not 2 groups "
            "of 4.");
  EXPECT_EQ(error_of([&] {
              conv1d(x, zeros({6, 0, 4}));
            }),
            "[conv1d] weight has shape (6, 0, 4): a kernel has no elements.");
}

TEST(Conv, AKernelLargerThanTheInputIsAShapeError) {
  array x = zeros({2, 5, 4}), w = zeros({6, 3, 4});
  EXPECT_EQ(error_of([&] { conv1d(x, w, 1, 0, 3); }),
            "[conv1d] input has shape (2, 5, 4) and weight (6, 3, 4): axis 1 spans 5 with its "
            "padding, the kernel 7.");
  EXPECT_THROW(conv1d(x, w, 1, 0, 3), ShapeError);
  EXPECT_EQ(conv1d(x, w, 1, 1, 3).shape(), (Shape{2, 1, 6}));
  EXPECT_EQ(error_of([&] { conv1d(x, w, 1, -2); }),
            "[conv1d] input has shape (2, 5, 4) and weight (6, 3, 4): axis 1 spans 1 with its "
            "padding, the kernel 3.");
}

TEST(Conv, SizesThatOverflowAreErrors) {
  array long_one = broadcast_to(zeros({1, 1, 1}), {1, int64_t{1} << 40, 1}), w = zeros({1, 3, 1});
  EXPECT_EQ(error_of([&] { general(long_one, w, {}, {INT32_MAX}); }),
            "[conv_general] an axis of size 1099511627776 spread by 2147483647 is too long.");
  EXPECT_EQ(error_of([&] {
              conv_transpose1d(zeros({1, 2, 1}), w, 1, 0, INT32_MAX);
            }),
            "[conv_transpose1d] a kernel that spans 4294967295 is too long.");
}

// In the order that sums are written down: float32 adds up to a few units in the last place.
TEST(Conv, LongRowsOfTapsAddUpInPieces) {
  array x = numbers({2, 90, 70}, float32, -1, 1), w = numbers({5, 80, 70}, float32, -1, 1, 1);
  array wide = conv1d(astype(x, float64), astype(w, float64));
  EXPECT_TRUE(close(conv1d(x, w), astype(wide, float32), 2e-6));
}

TEST(Conv, ManyOutputsOfFewRows) {
  array x = numbers({1, 5, 6, 9}, float32, -1, 1), w = numbers({300, 3, 3, 9}, float32, -1, 1, 1);
  array wide = conv2d(astype(x, float64), astype(w, float64));
  EXPECT_TRUE(close(conv2d(x, w), astype(wide, float32), 2e-6));
}

// One convolution over two axes.
struct Plane {
  Shape x{}, w{};
  std::vector<int> stride{1, 1}, lo{0, 0}, hi{0, 0}, dilation{1, 1}, spread{1, 1};
  int groups = 1;
  bool flip = false;
};
// Where a tap of output `at` lies in the input on axis d, or -1.
int64_t tap_at(const Plane& p, size_t d, int64_t at, int64_t tap) {
  int64_t k = p.flip ? p.w[d + 1] - 1 - tap : tap;
  int64_t v = at * p.stride[d] + k * p.dilation[d] - p.lo[d];
  return v < 0 || v % p.spread[d] != 0 || v / p.spread[d] >= p.x[d + 1] ? -1 : v / p.spread[d];
}
// The sums as they are defined, in float64.
std::vector<double> defined(const Plane& p, const array& x, const array& w, const Shape& out) {
  auto a = laws::values(x), b = laws::values(w);
  std::vector<double> y;
  int64_t channels = p.w[3], outputs = p.w[0] / p.groups;
  auto sum = [&](int64_t n, int64_t i, int64_t j, int64_t o) {
    double total = 0;
    for (int64_t s = 0; s < p.w[1]; ++s)
      for (int64_t t = 0; t < p.w[2]; ++t) {
        int64_t u = tap_at(p, 0, i, s), v = tap_at(p, 1, j, t);
        for (int64_t c = 0; c < channels && u >= 0 && v >= 0; ++c)
          total += a[static_cast<size_t>(((n * p.x[1] + u) * p.x[2] + v) * p.x[3] +
                                         o / outputs * channels + c)] *
                   b[static_cast<size_t>(((o * p.w[1] + s) * p.w[2] + t) * channels + c)];
      }
    return total;
  };
  for (int64_t n = 0; n < out[0]; ++n)
    for (int64_t i = 0; i < out[1]; ++i)
      for (int64_t j = 0; j < out[2]; ++j)
        for (int64_t o = 0; o < out[3]; ++o) y.push_back(sum(n, i, j, o));
  return y;
}
array convolved(const Plane& p, const array& x, const array& w) {
  return conv_general(x, w, p.stride, p.lo, p.hi, p.dilation, p.spread, p.groups, p.flip);
}

TEST(Conv, LinesAddUpWhatTheirTapsSay) {
  std::vector<Plane> planes = {
      {{2, 6, 30, 16}, {33, 3, 3, 16}, {1, 1}, {1, 1}, {1, 1}},
      {{1, 9, 23, 5}, {40, 3, 2, 5}, {2, 3}, {2, 0}, {1, 4}},
      {{2, 8, 17, 20}, {24, 2, 3, 10}, {1, 2}, {0, 3}, {2, 1}, {3, 2}, {1, 1}, 2},
      {{1, 4, 9, 18}, {12, 3, 3, 18}, {1, 1}, {2, 2}, {3, 1}, {1, 1}, {2, 3}, 1, true},
      {{1, 7, 13, 12}, {30, 3, 3, 4}, {2, 2}, {-1, 1}, {1, -2}, {1, 2}, {3, 1}, 3, true},
      {{2, 2, 400, 3}, {10, 1, 4, 3}, {1, 2}, {0, 1}, {0, 5}},     // lines of two pieces
      {{1, 3, 20, 300}, {96, 3, 3, 300}, {1, 1}, {1, 1}, {1, 1}},  // two blocks of filters or more
  };
  for (const Plane& p : planes)
    for (Dtype t : {float32, float64}) {
      array x = numbers(p.x, t, -1, 1), w = numbers(p.w, t, -1, 1, 1), y = convolved(p, x, w);
      EXPECT_NE(explain(convolved(p, x, w)).find("lines"), std::string::npos);
      auto right = defined(p, x, w, y.shape()), found = laws::values(y);
      auto terms = static_cast<double>(p.w[1] * p.w[2] * p.w[3]);
      ASSERT_EQ(right.size(), found.size());
      for (size_t i = 0; i < right.size(); ++i)
        ASSERT_NEAR(found[i], right[i], terms * (t == float32 ? 1e-6 : 2e-15)) << i;
    }
}

// Padding counts as zeros, which an infinite weight makes NaN, as in every other form.
TEST(Conv, PaddingIsZeros) {
  array x = ones({1, 1, 8, 16}), w = full({9, 1, 3, 16}, std::numeric_limits<float>::infinity());
  auto y = laws::values(conv2d(x, w, {1, 1}, {0, 1}));
  EXPECT_TRUE(std::isnan(y.front()) && std::isnan(y.back()));
  EXPECT_EQ(y[9], std::numeric_limits<double>::infinity());
}

TEST(Conv, HalvesAddUpInFloat32) {
  array x = ones({1, 5000, 1}, float16), w = ones({1, 4099, 1}, float16);
  array y = conv1d(x, w);
  EXPECT_EQ(y.dtype(), float16);
  EXPECT_EQ(astype(slice(y, {0, 0, 0}, {1, 1, 1}), float32).item<float>(), 4100.f);
}

TEST(Conv, ComplexNumbersAreTheirParts) {
  array x = numbers({2, 6, 4}, complex64, -1, 1), w = numbers({6, 3, 2}, complex64, -1, 1, 1);
  array i = array(complex64_t{0, 1});
  auto part = [](const array& a, const array& b) { return conv1d(a, b, 2, 1, 1, 2); };
  array re = part(real(x), real(w)) - part(imag(x), imag(w));
  array im = part(real(x), imag(w)) + part(imag(x), real(w));
  EXPECT_TRUE(close(part(x, w), astype(re, complex64) + i * im, 4e-6));
}

TEST(Conv, BackUndoesTheShape) {
  array y = conv2d(zeros({1, 9, 8, 3}), zeros({5, 3, 2, 3}), {2, 3}, {1, 0}, {1, 2});
  EXPECT_EQ(y.shape(), (Shape{1, 5, 2, 5}));
  array x = conv_transpose2d(y, zeros({3, 3, 2, 5}), {2, 3}, {1, 0}, {1, 2}, {0, 2});
  EXPECT_EQ(x.shape(), (Shape{1, 9, 8, 3}));
}

TEST(Conv, OfLinesSaysWhatDoesNotFit) {
  array x = zeros({4});
  EXPECT_EQ(error_of([&] {
              convolve(x, zeros({2, 2}));
            }),
            "[convolve] a has shape (4,) and v (2, 2): both need one axis with 1 element or more.");
  EXPECT_EQ(error_of([&] { convolve(zeros({0}), x); }),
            "[convolve] a has shape (0,) and v (4,): both need one axis with 1 element or more.");
  EXPECT_EQ(error_of([&] { convolve(x, x, "most"); }),
            "[convolve] mode is \"most\"; it must be \"full\", \"same\" or \"valid\".");
}

}  // namespace
}  // namespace tarn
