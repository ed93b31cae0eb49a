#include "cpu/heavy_back.h"
#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kManyTokens = 16;  // from here on amx rounds to bfloat16 and not to int8

// Levels whose panels add in another order than the kernels of few rows.
bool sums_otherwise(Isa isa, int64_t m) {
  return (isa == Isa::vnni || isa == Isa::amx) && m >= kManyTokens;
}
bool rounds_to_bfloat(Isa isa, int64_t m) { return isa == Isa::amx && m >= kManyTokens; }

class QmmTest : public EveryIsa {
 protected:
  bool rounds_to_bfloat(int64_t m) const { return cpu::rounds_to_bfloat(GetParam(), m); }
};

// What the activations become: per group of at most 64, the nearest of 65025 steps.
std::vector<double> rounded(const std::vector<float>& x, int64_t k, int group) {
  constexpr float steps = 127 * 256;
  std::vector<double> a(x.size());
  const int64_t width = std::min(group, 64);
  for (int64_t g = 0; g < static_cast<int64_t>(x.size()); g += width) {
    float top = 0;
    for (int64_t i = g; i < g + width; ++i)
      top = std::max(top, std::fabs(x[static_cast<size_t>(i)]));
    const float inverse = top > 0 ? steps / top : 0.f;
    for (int64_t i = g; i < g + width; ++i) {
      const auto at = static_cast<size_t>(i);
      a[at] = static_cast<double>(top / steps) * std::nearbyint(x[at] * inverse);
    }
  }
  EXPECT_EQ(static_cast<int64_t>(x.size()) % k, 0);
  return a;
}

// In float64, of the numbers that the balanced product multiplies.
std::vector<double> rounded_product(const std::vector<float>& x, const Quantised& w, int64_t m,
                                    int64_t n, int64_t k, int group, bool bfloat) {
  if (!bfloat) return product(rounded(x, k, group), w, m, n, k, true);
  Quantised b;
  b.values = in_bfloat(w.values);
  return product(in_bfloat(x), b, m, n, k, true);
}

std::vector<float> balanced(const Heavy& h, const std::vector<float>& x, const QuantMatrix& w,
                            int64_t m, int workers) {
  std::vector<float> y(static_cast<size_t>(m * w.rows), NAN);
  Scratch64 packed(h.packed_bytes(m, w.cols, w.group));
  run_workers(h.pack_activations,
              PackActivations{x.data(), w.cols, m, w.cols, w.bits, w.group, packed.data()},
              workers);
  Qmm q{.packed = packed.data(), .y = y.data(), .y_stride = w.rows, .m = m, .w = w};
  run_workers(h.qmm_balanced, h.qmm_balanced_scratch, q, workers);
  return y;
}

std::vector<float> exact(const Heavy& h, const std::vector<float>& x, const QuantMatrix& w,
                         int64_t m, bool transpose, int workers) {
  const int64_t n = transpose ? w.rows : w.cols, k = transpose ? w.cols : w.rows;
  std::vector<float> y(static_cast<size_t>(m * n), NAN);
  Qmm q{.x = x.data(), .x_stride = k, .y = y.data(), .y_stride = n, .m = m, .w = w};
  q.transpose = transpose;
  run_workers(h.qmm_exact, h.qmm_exact_scratch, q, workers);
  return y;
}

struct Shape {
  int64_t n = 0;
  int groups = 0;
};

// Every width, group and scale type; N and K with and without tails.
void every_matrix(const std::function<void(Quantised&, const QuantMatrix&)>& check) {
  unsigned seed = 1;
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128})
      for (Store type : {Store::f32, Store::f16, Store::bf16})
        for (Shape s : {Shape{7, 3}, Shape{36, 18}}) {
          if (s.n == 36 && type == Store::f32 && bits != 4) continue;
          SCOPED_TRACE(::testing::Message() << bits << " bits, group " << group << ", N " << s.n
                                            << ", scales " << static_cast<int>(type));
          Quantised q = quantised(s.n, s.groups * group, bits, group, type, seed++);
          check(q, matrix_of(q, s.n, s.groups * group, bits, group));
        }
}

TEST_P(QmmTest, BalancedIsTheProductOfRoundedActivations) {
  every_matrix([&](Quantised& q, const QuantMatrix& w) {
    for (int64_t m : {1, 2, 3, 5, 9, 17}) {
      const auto x = normal(static_cast<size_t>(m * w.cols), 7);
      const auto y = balanced(kernels(), x, w, m, 1);
      const auto want = rounded_product(x, q, m, w.rows, w.cols, w.group, rounds_to_bfloat(m));
      EXPECT_LT(relative_error(y, want), 2e-6) << "M " << m;
    }
  });
}

TEST_P(QmmTest, BalancedIsNearTheExactProduct) {
  Quantised q = quantised(64, 576, 4, 32, Store::f16, 3);
  const QuantMatrix w = matrix_of(q, 64, 576, 4, 32);
  for (int64_t m : {1, 40}) {
    const auto x = normal(static_cast<size_t>(m * 576), 9);
    const auto want = product({x.begin(), x.end()}, q, m, 64, 576, true);
    EXPECT_LT(relative_error(balanced(kernels(), x, w, m, 1), want),
              rounds_to_bfloat(m) ? 0.004 : 5e-5)
        << "M " << m;
  }
}

TEST_P(QmmTest, BalancedWorkersAndRowsAreIndependent) {
  for (int bits : {3, 4, 8}) {
    Quantised q = quantised(75, 352, bits, 32, Store::f16, 5);
    const QuantMatrix w = matrix_of(q, 75, 352, bits, 32);
    for (int64_t m : {1, 2, 3, 4, 7, 8, 15, 16, 33, 200}) {
      const auto x = normal(static_cast<size_t>(m * w.cols), 11);
      const auto y = balanced(kernels(), x, w, m, 1);
      EXPECT_EQ(y, balanced(kernels(), x, w, m, 2)) << "M " << m;
      EXPECT_EQ(y, balanced(kernels(), x, w, m, 3)) << "M " << m;
      if (sums_otherwise(GetParam(), m)) continue;
      for (int64_t i = 0; i < m; ++i) {
        const std::vector<float> one(x.begin() + i * w.cols, x.begin() + (i + 1) * w.cols);
        const std::vector<float> row(y.begin() + i * w.rows, y.begin() + (i + 1) * w.rows);
        EXPECT_EQ(row, balanced(kernels(), one, w, 1, 1)) << "row " << i << " of " << m;
      }
    }
  }
}

TEST_P(QmmTest, BalancedMatchesTheLowestLevel) {
  for (int bits : {4, 8}) {
    Quantised q = quantised(49, 576, bits, 32, Store::f16, 6);
    const QuantMatrix w = matrix_of(q, 49, 576, bits, 32);
    for (int64_t m : {1, 16}) {
      const auto x = normal(static_cast<size_t>(m * w.cols), 12);
      EXPECT_LT(relative_error(balanced(kernels(), x, w, m, 1),
                               balanced(heavy(available_isas().front()), x, w, m, 1)),
                rounds_to_bfloat(m) ? 0.01 : 1e-6);
    }
  }
}

TEST_P(QmmTest, BalancedPassesBadActivationsOn) {
  Quantised q = quantised(5, 128, 4, 32, Store::f16, 8);
  const QuantMatrix w = matrix_of(q, 5, 128, 4, 32);
  for (int64_t m : {1, 20}) {
    const auto n = static_cast<size_t>(m * 128);
    for (float bad : {static_cast<float>(NAN), static_cast<float>(INFINITY)}) {
      auto x = normal(n, 13);
      x[77] = bad;
      const auto y = balanced(kernels(), x, w, m, 1);
      for (size_t i = 0; i < y.size(); ++i) {
        if (i >= 5)
          EXPECT_TRUE(std::isfinite(y[i])) << i;
        else if (rounds_to_bfloat(m))
          EXPECT_FALSE(std::isfinite(y[i])) << i;
        else
          EXPECT_TRUE(std::isnan(y[i])) << i;
      }
    }
    for (float y : balanced(kernels(), std::vector<float>(n, 1e-42f), w, m, 1)) EXPECT_EQ(y, 0.f);
  }
}

TEST_P(QmmTest, ExactIsTheProduct) {
  every_matrix([&](Quantised& q, const QuantMatrix& w) {
    for (int64_t m : {1, 8, 9, 33}) {
      const auto x = normal(static_cast<size_t>(m * w.cols), 7);
      const auto want = product({x.begin(), x.end()}, q, m, w.rows, w.cols, true);
      EXPECT_LT(relative_error(exact(kernels(), x, w, m, true, 1), want), 1e-6) << "M " << m;
    }
  });
}

TEST_P(QmmTest, ExactTakesUntransposedWeights) {
  every_matrix([&](Quantised& q, const QuantMatrix& w) {
    for (int64_t m : {1, 9}) {
      const auto x = normal(static_cast<size_t>(m * w.rows), 7);
      const auto want = product({x.begin(), x.end()}, q, m, w.cols, w.rows, false);
      EXPECT_LT(relative_error(exact(kernels(), x, w, m, false, 1), want), 1e-6) << "M " << m;
    }
  });
}

TEST_P(QmmTest, ExactWorkersAreIndependent) {
  Quantised q = quantised(300, 704, 4, 32, Store::bf16, 5);
  const QuantMatrix w = matrix_of(q, 300, 704, 4, 32);
  for (bool transpose : {true, false})
    for (int64_t m : {1, 4, 33}) {
      const auto x = normal(static_cast<size_t>(m * (transpose ? 704 : 300)), 11);
      const auto y = exact(kernels(), x, w, m, transpose, 1);
      EXPECT_EQ(y, exact(kernels(), x, w, m, transpose, 2)) << "M " << m;
      EXPECT_EQ(y, exact(kernels(), x, w, m, transpose, 3)) << "M " << m;
    }
}

// A worker's region that is large enough for some rows is so for fewer: runs of chosen pairs take
// what all of them together would.
TEST_P(QmmTest, ExactScratchGrowsWithRows) {
  Quantised weights = quantised(64, 704, 4, 32, Store::bf16, 5);
  for (bool transpose : {true, false}) {
    Qmm q{.w = matrix_of(weights, 64, 704, 4, 32), .transpose = transpose};
    size_t before = 0;
    for (q.m = 1; q.m < 4096; ++q.m) {
      const size_t bytes = kernels().qmm_exact_scratch(q, 1);
      EXPECT_GE(bytes, before) << "M " << q.m;
      before = bytes;
    }
  }
}

TEST_P(QmmTest, DequantizeWritesEveryType) {
  every_matrix([&](Quantised& q, const QuantMatrix& w) {
    for (Store type : {Store::f32, Store::f16, Store::bf16}) {
      Stored out = blank(q.values.size(), type);
      run_workers(kernels().dequantize, Dequantize{w, out.data(), type, w.cols}, 2);
      std::vector<float> want(q.values.begin(), q.values.end());
      const double tolerance = type == Store::f32 ? 1e-7 : type == Store::f16 ? 5e-4 : 4e-3;
      EXPECT_LT(relative_error(read_back(out), want), tolerance);
    }
  });
}

// The encoder's own definition, one group at a time.
struct Encoded {
  float scale = 0, bias = 0;
  std::vector<int> codes{};
};
Encoded encode(const float* x, int group, int bits) {
  const auto n = static_cast<float>((1 << bits) - 1);
  const float low = *std::min_element(x, x + group), high = *std::max_element(x, x + group);
  float s = std::max((high - low) / n, 1e-7f), edge = low;
  if (std::fabs(low) <= std::fabs(high)) s = -s, edge = high;
  const float q0 = std::rint(edge / s);
  Encoded e{s, 0.f};
  if (q0 != 0) e = {edge / q0, edge};
  for (int i = 0; i < group; ++i)
    e.codes.push_back(
        static_cast<int>(std::min(std::max(std::rint((x[i] - e.bias) / e.scale), 0.f), n)));
  return e;
}

TEST_P(QmmTest, QuantizeIsMlxEncoder) {
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128})
      for (Store type : {Store::f32, Store::f16, Store::bf16}) {
        const int64_t rows = 3, cols = 2 * group;
        auto numbers = normal(static_cast<size_t>(rows * cols), 20);
        std::fill(numbers.begin(), numbers.begin() + group, 0.f);  // a group of nothing
        const Stored x = stored(numbers, type);
        Stored scales = blank(static_cast<size_t>(rows * 2), type), biases = scales;
        std::vector<uint8_t> codes(static_cast<size_t>(rows * cols * bits / 8));
        run_workers(kernels().quantize,
                    Quantize{x.data(), type, cols, rows, cols, bits, group, codes.data(),
                             scales.data(), biases.data()},
                    2);
        const auto got_scales = read_back(scales), got_biases = read_back(biases);
        for (size_t g = 0; g < 6; ++g) {
          const Encoded want =
              encode(x.floats.data() + g * static_cast<size_t>(group), group, bits);
          const Stored as_stored = stored({want.scale, want.bias}, type);
          EXPECT_EQ(got_scales[g], as_stored.floats[0]);
          EXPECT_EQ(got_biases[g], as_stored.floats[1]);
          for (int i = 0; i < group; ++i) {
            unsigned code = 0;
            for (int b = 0; b < bits; ++b) {
              const size_t bit = (g * static_cast<size_t>(group) + static_cast<size_t>(i)) *
                                     static_cast<size_t>(bits) +
                                 static_cast<size_t>(b);
              code |= ((codes[bit / 8] >> (bit % 8)) & 1u) << b;
            }
            ASSERT_EQ(static_cast<int>(code), want.codes[static_cast<size_t>(i)]);
          }
        }
      }
}

// The tile kernel where it has edges: half and whole strips of tokens, blocks of 128 and 512 of
// them, panels of 32 rows in strips of 4, blocks of 320 columns that end inside a group.
struct TileShape {
  int64_t m = 0, n = 0, k = 0;
};
void every_tile_shape(const std::function<void(TileShape, int bits, int group)>& check) {
  const TileShape shapes[] = {{16, 1, 128},    {31, 33, 384},   {32, 64, 640},
                              {33, 15, 1408},  {47, 130, 256},  {129, 300, 512},
                              {200, 47, 1152}, {521, 161, 384}, {1030, 40, 768}};
  for (const TileShape& s : shapes)
    for (int bits : {3, 4, 8})
      for (int group : {32, 64, 128}) {
        if (s.m > 200 && (bits == 3 || group == 64)) continue;
        SCOPED_TRACE(::testing::Message() << "M " << s.m << ", N " << s.n << ", K " << s.k << ", "
                                          << bits << " bits, group " << group);
        check(s, bits, group);
      }
}

class AmxQmmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (available_isas().back() != Isa::amx) GTEST_SKIP() << "not run: no level amx here";
  }
};

TEST_F(AmxQmmTest, TilesAreTheProductOfRoundedNumbers) {
  every_tile_shape([](TileShape s, int bits, int group) {
    Quantised q = quantised(s.n, s.k, bits, group, Store::f16, 21);
    const QuantMatrix w = matrix_of(q, s.n, s.k, bits, group);
    const auto x = normal(static_cast<size_t>(s.m * s.k), 22);
    const auto y = balanced(heavy(Isa::amx), x, w, s.m, 1);
    EXPECT_LT(relative_error(y, rounded_product(x, q, s.m, s.n, s.k, group, true)), 2e-6);
    EXPECT_LT(relative_error(y, product({x.begin(), x.end()}, q, s.m, s.n, s.k, true)), 0.004);
  });
}

TEST_F(AmxQmmTest, TilesDoNotDependOnWorkersOrNeighbours) {
  every_tile_shape([](TileShape s, int bits, int group) {
    Quantised q = quantised(s.n, s.k, bits, group, Store::bf16, 23);
    const QuantMatrix w = matrix_of(q, s.n, s.k, bits, group);
    const auto x = normal(static_cast<size_t>(s.m * s.k), 24);
    const auto y = balanced(heavy(Isa::amx), x, w, s.m, 1);
    for (int workers : {2, 3, 7, 16}) EXPECT_EQ(y, balanced(heavy(Isa::amx), x, w, s.m, workers));
    const std::vector<float> first(x.begin(), x.begin() + kManyTokens * s.k);
    const std::vector<float> rows(y.begin(), y.begin() + kManyTokens * s.n);
    EXPECT_EQ(rows, balanced(heavy(Isa::amx), first, w, kManyTokens, 1));
  });
}

// The way back: x (M, N) by W (N, K).
std::vector<float> back(const std::vector<float>& x, const QuantMatrix& w, int64_t m, int workers) {
  const HeavyBack& h = heavy_back(Isa::amx);
  std::vector<float> y(static_cast<size_t>(m * w.cols), NAN);
  Scratch64 packed(h.packed_bytes(m, w.rows));
  run_workers(h.pack, PackActivations{x.data(), w.rows, m, w.rows, w.bits, w.group, packed.data()},
              workers);
  Qmm q{.packed = packed.data(), .y = y.data(), .y_stride = w.cols, .m = m, .w = w};
  q.transpose = false;
  run_workers(h.qmm, h.qmm_scratch, q, workers);
  return y;
}

// Rows of W in blocks of 640, with and without whole steps of 32.
TEST_F(AmxQmmTest, TheWayBackIsTheProductOfRoundedNumbers) {
  const TileShape shapes[] = {{16, 1, 128},   {31, 33, 384},   {32, 64, 128}, {33, 1300, 128},
                              {47, 130, 256}, {200, 641, 384}, {521, 40, 768}};
  for (const TileShape& s : shapes)
    for (int bits : {2, 3, 4, 5, 6, 8})
      for (int group : {32, 64, 128}) {
        if (s.m * s.n > 20000 && bits % 4 != 0) continue;
        SCOPED_TRACE(::testing::Message() << "M " << s.m << ", N " << s.n << ", K " << s.k << ", "
                                          << bits << " bits, group " << group);
        const Store type = bits % 2 == 0 ? Store::f16 : Store::bf16;
        Quantised q = quantised(s.n, s.k, bits, group, type, 25);
        const QuantMatrix w = matrix_of(q, s.n, s.k, bits, group);
        const auto x = normal(static_cast<size_t>(s.m * s.n), 26);
        const auto y = back(x, w, s.m, 1);
        Quantised b;
        b.values = in_bfloat(q.values);
        EXPECT_LT(relative_error(y, product(in_bfloat(x), b, s.m, s.k, s.n, false)), 2e-6);
        EXPECT_LT(relative_error(y, product({x.begin(), x.end()}, q, s.m, s.k, s.n, false)), 0.005);
        for (int workers : {2, 3, 16}) EXPECT_EQ(y, back(x, w, s.m, workers));
      }
}

// Sets of 8 tokens, blocks of 16 rows and quarters of units with and without tails.
TEST_F(AmxQmmTest, FewTokensAreTheLevelBelow) {
  for (int bits : {3, 4, 8})
    for (int group : {32, 64, 128})
      for (Store type : {Store::f32, Store::f16, Store::bf16})
        for (Shape s : {Shape{75, 11}, Shape{16, 1}, Shape{5, 18}}) {
          const int64_t k = s.groups * group;
          Quantised q = quantised(s.n, k, bits, group, type, 5);
          const QuantMatrix w = matrix_of(q, s.n, k, bits, group);
          for (int64_t m : {5, 8, 9, 15}) {
            const auto x = normal(static_cast<size_t>(m * k), 11);
            const auto want = balanced(heavy(Isa::vnni), x, w, m, 1);
            for (int workers : {1, 3})
              EXPECT_EQ(balanced(heavy(Isa::amx), x, w, m, workers), want)
                  << bits << " bits, group " << group << ", N " << s.n << ", K " << k << ", M "
                  << m;
          }
        }
}

TARN_EVERY_ISA(QmmTest);

}  // namespace
}  // namespace tarn::cpu
