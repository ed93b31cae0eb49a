// Products with low-rank terms beside those with the changed dense weights, in float64.
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

// Rounded as the product is, and each row nearly what it is alone: only x a may differ.
TEST(LowRankMatmul, FewRowsAddTheirTerm) {
  auto q = quantize(drawn({96, 128}, 4));
  array x = drawn({9, 128}, 1), a = drawn({128, 5}, 2), b = drawn({5, 96}, 3);
  PrecisionScope balanced(Precision::balanced);
  array together = low_rank_matmul(x, q[0], q[1], q[2], a, b);
  array product = quantized_matmul(x, q[0], q[1], q[2]), term = matmul(matmul(x, a), b);
  EXPECT_LT(apart(together, product + term), 1e-6);
  for (int64_t i = 0; i < 9; ++i) {
    array row = array({i}, {1}, int64);
    array alone = low_rank_matmul(take(x, row, 0), q[0], q[1], q[2], a, b);
    EXPECT_LT(apart(alone, take(together, row, 0)), 1e-6) << i;
  }
}

struct Rows {
  array y, x, a = drawn({3, 128, 5}, 2), b = drawn({3, 5, 192}, 3), index;
};
// Of the smaller sizes a kernel does each; the largest is expanded.
std::vector<Rows> rows_with_terms() {
  std::vector<Rows> all;
  auto add = [&](Shape rows, const array& index) {
    Shape y = rows, x = rows;
    y.push_back(192), x.push_back(128);
    all.push_back({.y = drawn(y, 5), .x = drawn(x, 1), .index = index});
  };
  add({5}, array({0, 0, 2, -1, 1}, {5}, int32));
  add({2, 1}, array({1, 1}, {2}, uint8));
  add({9, 2}, array({2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 1, 0, 1, 1, 1, 0, 0}, {18}, int64));
  add({70}, remainder(arange(0.0, 70.0, int32), array(int32_t{3})));
  return all;
}

TEST(LowRankRows, EachRowHasItsOwnTerm) {
  for (const Rows& r : rows_with_terms()) {
    array y = astype(r.y, float64), x = reshape(astype(r.x, float64), {-1, 1, 128});
    array a = take(astype(r.a, float64), r.index, 0), b = take(astype(r.b, float64), r.index, 0);
    array want = y + reshape(matmul(matmul(x, a), b), y.shape());
    EXPECT_LT(apart(low_rank_rows(r.y, r.x, r.a, r.b, r.index), want), 1e-6);
    EXPECT_LT(apart(low_rank_rows(y, r.x, r.a, r.b, r.index), want), 1e-14);
  }
}

// Whether others take part, and how the work is cut among threads, makes no difference.
TEST(LowRankRows, EachIsWhatItIsAlone) {
  for (const Rows& r : rows_with_terms()) {
    if (r.index.shape(0) > 5) continue;
    array together = reshape(low_rank_rows(r.y, r.x, r.a, r.b, r.index), {-1, 192});
    for (int64_t i = 0; i < r.index.shape(0); ++i) {
      auto row = [&](const array& v) { return take(v, array({i}, {1}, int64), 0); };
      array y = row(reshape(r.y, {-1, 192})), x = row(reshape(r.x, {-1, 128}));
      array alone = low_rank_rows(y, x, r.a, r.b, row(r.index));
      EXPECT_TRUE(array_equal(alone, row(together)).item<bool>()) << i;
    }
  }
}

// The sum may take y's place only where nobody else has y.
TEST(LowRankRows, YStaysAsItIs) {
  Rows r = rows_with_terms()[0];
  array twice = r.y * array(2.0f), sum = low_rank_rows(twice, r.x, r.a, r.b, r.index);
  eval({twice, sum});
  EXPECT_TRUE(array_equal(twice, r.y + r.y).item<bool>());
  array taken = low_rank_rows(r.y * array(2.0f), r.x, r.a, r.b, r.index);
  EXPECT_TRUE(array_equal(taken, sum).item<bool>());
}

TEST(LowRankRows, SaysWhatDoesNotFit) {
  Rows r = rows_with_terms()[0];
  auto fails = [](const Rows& v) {
    return error_of([&] { eval({low_rank_rows(v.y, v.x, v.a, v.b, v.index)}); });
  };
  auto with = [&](array Rows::*part, const array& other) {
    Rows changed = r;
    changed.*part = other;
    return fails(changed);
  };
  EXPECT_EQ(with(&Rows::x, zeros({5, 128}, int32)),
            "[low_rank_rows] x is int32; it must be a float.");
  EXPECT_EQ(with(&Rows::index, zeros({5})),
            "[low_rank_rows] index is float32; it must be an integer.");
  EXPECT_EQ(with(&Rows::x, zeros({4, 128})),
            "[low_rank_rows] y has shape (5, 192) and x (4, 128): they must have as many rows.");
  EXPECT_EQ(with(&Rows::b, zeros({3, 4, 192})),
            "[low_rank_rows] a has shape (3, 128, 5) and b (3, 4, 192): (terms, 128, rank) and "
            "(terms, rank, 192) are needed.");
  EXPECT_EQ(with(&Rows::index, zeros({4}, int32)),
            "[low_rank_rows] index has shape (4,) and x (5, 128): 5 numbers are needed.");
  EXPECT_EQ(with(&Rows::index, array({0, 1, 3, 0, 0}, {5}, int32)),
            "[low_rank_rows] index 3 is outside axis 0, which has size 3.");
}

}  // namespace
}  // namespace tarn
