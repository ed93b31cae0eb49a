// Products of segments and blocks, and Hadamard's transform.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "error_of.h"
#include "ops/numbers.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;
using tarn_test::largest;
using tarn_test::normal;

TEST(SegmentedMm, IsAProductForEachSegment) {
  array a = normal({3, 9}, 1), b = normal({9, 4}, 2);
  array y = segmented_mm(a, b, array({0, 4, 4, 9, 2, 2, 7, 3}, {4, 2}));
  EXPECT_EQ(y.shape(), (Shape{4, 3, 4}));
  EXPECT_LT(largest(take(y, 0, 0) + take(y, 1, 0) - matmul(a, b)), 1e-5);
  EXPECT_EQ(largest(take(y, array({2, 3}), 0)), 0);
}
TEST(SegmentedMm, ABoundOutsideThrowsAtEvaluation) {
  array a = ones({3, 9}), b = ones({9, 4});
  array far = segmented_mm(a, b, array({0, 10}, {1, 2})),
        below = segmented_mm(a, b, array({-1, 4}));
  EXPECT_EQ(error_of([&] { far.eval(); }),
            "[segmented_mm] a segment's bound 10 is outside [0, 9].");
  EXPECT_THROW(below.eval(), std::out_of_range);
}
TEST(SegmentedMm, SaysWhatDoesNotFit) {
  array a = ones({3, 9}), b = ones({9, 4});
  EXPECT_EQ(error_of([&] {
              segmented_mm(a, a, array({0, 1}));
            }),
            "[segmented_mm] a has shape (3, 9) and b (3, 9); they must be (M, K) and (K, N).");
  EXPECT_EQ(error_of([&] {
              segmented_mm(a, b, array({0, 1, 2}));
            }),
            "[segmented_mm] segments have shape (3,); they must be (..., 2).");
  EXPECT_EQ(error_of([&] {
              segmented_mm(a, b, array({0.0f, 1.0f}));
            }),
            "[segmented_mm] segments are float32; they must be integers.");
}

TEST(BlockMaskedMm, SaysWhatDoesNotFit) {
  array a = ones({64, 64}), mask = ones({2, 2}, bool_);
  EXPECT_EQ(error_of([&] { block_masked_mm(a, a, 16, mask); }),
            "[block_masked_mm] block_size is 16; it must be 32 or 64.");
  EXPECT_EQ(error_of([&] { block_masked_mm(a, a, 64, {}, mask); }),
            "[block_masked_mm] mask_lhs has shape (2, 2); 64 by 64 blocks of 64 need (1, 1).");
}
TEST(BlockMaskedMm, HasDerivativesByEverything) {
  array a = normal({40, 33}, 1), b = normal({33, 8}, 2), m = normal({2, 2}, 3);
  auto f = [](const std::vector<array>& in) {
    return sum(square(block_masked_mm(in[0], in[1], 32, std::nullopt, in[2])));
  };
  auto slopes = grad(f, {0, 1, 2})({a, b, m});
  for (size_t i = 0; i < 3; ++i) {
    std::vector<array> in{astype(a, float64), astype(b, float64), astype(m, float64)};
    auto at = [&](double h) {
      auto moved = in;
      moved[i] = in[i] + ones_like(in[i]) * array(h, float64);
      return f(moved).item<double>();
    };
    double want = (at(1e-6) - at(-1e-6)) / 2e-6, got = sum(slopes[i]).item<float>();
    EXPECT_NEAR(got, want, 1e-3 * std::abs(want)) << i;
  }
}

TEST(Hadamard, IsOrthogonalAndItsOwnInverseTurned) {
  for (int n : {1, 2, 64, 2048, 12, 24, 20, 160, 28, 448}) {
    array h = hadamard_transform(eye(n, n, 0, float64));
    EXPECT_LT(largest(matmul(h, transpose(h)) - eye(n, n, 0, float64)), 1e-12) << n;
    EXPECT_LT(largest(abs(h) - full({n, n}, 1 / std::sqrt(n), float64)), 1e-12) << n;
  }
}
TEST(Hadamard, TakesEveryDtype) {
  for (Dtype t : {float32, float16, bfloat16, float64, complex64})
    EXPECT_EQ(hadamard_transform(ones({3, 24}, t)).dtype(), t);
  EXPECT_EQ(hadamard_transform(ones({3, 24}, int8)).dtype(), float32);
  EXPECT_EQ(hadamard_transform(zeros({0, 24})).shape(), (Shape{0, 24}));
  EXPECT_EQ(error_of([] {
              hadamard_transform(ones({3, 14}));
            }),
            "[hadamard_transform] a has shape (3, 14); its last size must be m * 2^k with m 1, 12, "
            "20 or 28.");
}

}  // namespace
}  // namespace tarn
