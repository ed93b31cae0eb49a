// low_rank_matmul beside the product with the changed dense weights, in float64.
#include "tarn/ops/low_rank.h"

#include <gtest/gtest.h>

#include "error_of.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;

array drawn(const Shape& shape, uint64_t seed) { return random::normal(shape, random::key(seed)); }
double apart(const array& a, const array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  array size = max(abs(astype(b, float64)));
  return max(abs(astype(a, float64) - astype(b, float64)) / size).item<double>();
}

struct Term {
  array x{}, a = drawn({128, 5}, 2), b = drawn({5, 96}, 3);
  std::vector<array> q{};
  std::string mode = "affine";
  std::optional<array> biases() const { return q.size() > 2 ? std::optional(q[2]) : std::nullopt; }
  array value(const array& x_, const array& a_, const array& b_) const {
    return low_rank_matmul(x_, q[0], q[1], biases(), a_, b_, {}, {}, mode);
  }
  // With W + a b as one matrix.
  array plain(const array& x_, const array& a_, const array& b_) const {
    array w = dequantize(q[0], q[1], biases(), {}, {}, mode, {}, float64);
    return matmul(x_, transpose(w) + matmul(a_, b_));
  }
};

std::vector<Term> terms(const Shape& rows) {
  std::vector<Term> all;
  for (const char* mode : {"affine", "mxfp4", "mxfp8", "nvfp4"}) {
    Term t{.x = drawn(rows, 1)};
    t.mode = mode, t.q = quantize(drawn({96, 128}, 4), {}, {}, mode);
    all.push_back(std::move(t));
  }
  return all;
}

// Few rows are computed by the expansion, many by a kernel of their own.
TEST(LowRankMatmul, IsTheProductWithTheChangedWeights) {
  for (const Shape& rows : {Shape{3, 128}, Shape{2, 20, 128}})
    for (const Term& t : terms(rows)) {
      array x = astype(t.x, float64), a = astype(t.a, float64), b = astype(t.b, float64);
      EXPECT_LT(apart(t.value(t.x, t.a, t.b), t.plain(x, a, b)), 2e-6) << t.mode;
      EXPECT_LT(apart(t.value(x, a, b), t.plain(x, a, b)), 1e-14) << t.mode;
    }
}

TEST(LowRankMatmul, DerivativesAreThoseOfTheChangedWeights) {
  for (const Shape& rows : {Shape{3, 128}, Shape{2, 20, 128}})
    for (const Term& t : terms(rows)) {
      array g = drawn({96}, 5);
      auto slopes = [&](auto value, Dtype in) {
        auto f = [&](const std::vector<array>& v) {
          return sum(value(v[0], v[1], v[2]) * astype(g, in));
        };
        return grad(f, {0, 1, 2})({astype(t.x, in), astype(t.a, in), astype(t.b, in)});
      };
      auto own = slopes([&](auto&... v) { return t.value(v...); }, float32);
      auto want = slopes([&](auto&... v) { return t.plain(v...); }, float64);
      for (size_t i = 0; i < 3; ++i) EXPECT_LT(apart(own[i], want[i]), 5e-6) << t.mode << i;
    }
}

// With AMX the product is rounded to bfloat16, the term is not: where W is nothing, all is exact.
TEST(LowRankMatmul, TheTermIsNotRoundedWithTheProduct) {
  auto q = quantize(zeros({96, 128}));
  array x = drawn({40, 128}, 1), a = drawn({128, 5}, 2), b = drawn({5, 96}, 3);
  PrecisionScope balanced(Precision::balanced);
  array y = low_rank_matmul(x, q[0], q[1], q[2], a, b);
  array want = matmul(matmul(astype(x, float64), astype(a, float64)), astype(b, float64));
  EXPECT_LT(apart(y, want), 2e-5);
}

TEST(LowRankMatmul, SaysWhatDoesNotFit) {
  auto q = quantize(zeros({96, 128}));
  auto fails = [&](const array& x, const array& a, const array& b) {
    return error_of([&] { low_rank_matmul(x, q[0], q[1], q[2], a, b); });
  };
  array x = zeros({2, 128}), a = zeros({128, 5}), b = zeros({5, 96});
  EXPECT_EQ(
      fails(zeros({128}), a, b),
      "[low_rank_matmul] x has shape (128,) and w (96, 16), in codes of 4 bits: (..., K) with "
      "two axes or more and K codes a row are needed.");
  EXPECT_EQ(fails(x, transpose(a), b),
            "[low_rank_matmul] a has shape (5, 128) and b (5, 96): (128, rank) and (rank, 96) are "
            "needed.");
  EXPECT_EQ(fails(x, a, zeros({4, 96})),
            "[low_rank_matmul] a has shape (128, 5) and b (4, 96): (128, rank) and (rank, 96) are "
            "needed.");
  auto mx = quantize(zeros({96, 128}), {}, {}, "mxfp8");
  EXPECT_EQ(error_of([&] {
              low_rank_matmul(zeros({2, 128}, int32), mx[0], mx[1], {}, a, b, {}, {}, "mxfp8");
            }),
            "[low_rank_matmul] x is int32; it must be a float.");
}

}  // namespace
}  // namespace tarn
