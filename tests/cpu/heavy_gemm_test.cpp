#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

using Doubles = std::vector<double>;

class GemmTest : public EveryIsa {};

// One product's shape and how its operands lie.
struct Product {
  int64_t m = 0, n = 0, k = 0, batch = 1;
  bool a_turned = false, b_turned = false;
  double alpha = 1, beta = 0;
};

std::vector<Product> cases() {
  std::vector<Product> all;
  for (bool a : {false, true})
    for (bool b : {false, true}) {
      for (int64_t m : {1, 2, 8, 9, 15, 33})
        for (int64_t n : {1, 7, 32, 61})
          for (int64_t k : {1, 16, 39}) all.push_back({m, n, k, 1, a, b, 1, 0});
      all.push_back({65, 131, 341, 2, a, b, 0.5, 0});
      all.push_back({300, 70, 20, 1, a, b, 1, 1});
      all.push_back({5, 40, 20, 3, a, b, 2, 0.25});
      all.push_back({40, 5, 20, 3, a, b, 2, 0.25});
      all.push_back({4, 9, 0, 1, a, b, 1, 0});
    }
  return all;
}

template <class G>
G strided(const Product& c) {
  G g{.m = c.m, .n = c.n, .k = c.k};
  g.a_row = c.a_turned ? 1 : c.k;
  g.a_col = c.a_turned ? c.m : 1;
  g.b_row = c.b_turned ? 1 : c.n;
  g.b_col = c.b_turned ? c.k : 1;
  g.a_batch = c.m * c.k;  // b repeats
  g.c_row = c.n + 3;      // c has gaps
  g.c_batch = c.m * g.c_row;
  g.batch = c.batch;
  g.alpha = static_cast<decltype(g.alpha)>(c.alpha);
  g.beta = static_cast<decltype(g.beta)>(c.beta);
  return g;
}

template <class G, class A, class C>
Doubles product(const G& g, const A& a, const A& b, const C& c) {
  Doubles y(c.begin(), c.end());
  for (int64_t t = 0; t < g.batch; ++t)
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < g.k; ++p)
          sum += double{a[static_cast<size_t>(t * g.a_batch + i * g.a_row + p * g.a_col)]} *
                 double{b[static_cast<size_t>(p * g.b_row + j * g.b_col)]};
        double& to = y[static_cast<size_t>(t * g.c_batch + i * g.c_row + j)];
        to = double{g.alpha} * sum + (g.beta == 0 ? 0 : double{g.beta} * to);
      }
  return y;
}

std::string text(const Product& c) {
  return ::testing::PrintToString(
      std::vector<int64_t>{c.m, c.n, c.k, c.batch, c.a_turned, c.b_turned});
}

TEST_P(GemmTest, FloatTypesWithAnyStrides) {
  for (Store type : {Store::f32, Store::f16, Store::bf16})
    for (const Product& one : cases()) {
      SCOPED_TRACE(text(one));
      Gemm g = strided<Gemm>(one);
      g.type = type;
      const Stored a = stored(normal(static_cast<size_t>(one.batch * one.m * one.k), 1), type);
      const Stored b = stored(normal(static_cast<size_t>(one.n * one.k), 2), type);
      const Stored c = stored(normal(static_cast<size_t>(g.c_batch * one.batch), 3), type);
      const Doubles want = product(g, a.floats, b.floats, c.floats);
      std::vector<float> first;
      for (int workers : {1, 2, 3}) {
        Stored y = c;
        g.a = a.data(), g.b = b.data(), g.c = y.data();
        run_workers(kernels().gemm, kernels().gemm_scratch, g, workers);
        const auto got = read_back(y);
        if (workers == 1) first = got;
        EXPECT_EQ(got, first);
        const double tolerance = type == Store::f32 ? 1e-6 : type == Store::f16 ? 5e-4 : 4e-3;
        ASSERT_LT(relative_error(got, want), tolerance);
      }
    }
}

TEST_P(GemmTest, DoubleWithAnyStrides) {
  for (const Product& one : cases()) {
    SCOPED_TRACE(text(one));
    const auto wide = [](const std::vector<float>& x) { return Doubles(x.begin(), x.end()); };
    Gemm64 g = strided<Gemm64>(one);
    const Doubles a = wide(normal(static_cast<size_t>(one.batch * one.m * one.k), 1));
    const Doubles b = wide(normal(static_cast<size_t>(one.n * one.k), 2));
    const Doubles c = wide(normal(static_cast<size_t>(g.c_batch * one.batch), 3));
    const Doubles want = product(g, a, b, c);
    Doubles first;
    for (int workers : {1, 2, 3}) {
      Doubles y = c;
      g.a = a.data(), g.b = b.data(), g.c = y.data();
      run_workers(kernels().gemm64, kernels().gemm64_scratch, g, workers);
      if (workers == 1) first = y;
      EXPECT_EQ(y, first);
      ASSERT_LT(relative_error(y, want), 1e-14);
    }
  }
}

// Whole numbers, whose sums are exact in any order.
struct WholeNumbers {
  Product one{};
  Stored a{}, b{}, c{};
  std::vector<uint16_t> want{};
};

WholeNumbers whole_numbers(const Product& one, Store type) {
  const auto whole = [&](int64_t count, unsigned seed) {
    std::vector<float> x = normal(static_cast<size_t>(count), seed, 1.5f);
    for (float& v : x) v = std::round(v);
    return stored(std::move(x), type);
  };
  const auto g = strided<Gemm>(one);
  WholeNumbers w{one, whole(one.m * one.k, 1), whole(one.n * one.k, 2), whole(g.c_batch, 3), {}};
  for (double x : product(g, w.a.floats, w.b.floats, w.c.floats))
    w.want.push_back(type == Store::f16 ? half_bits(static_cast<float>(x))
                                        : bfloat_bits(static_cast<float>(x)));
  return w;
}

// Shapes with several blocks of rows, columns and depth in the kernels of tiles, and ragged ends.
const std::vector<WholeNumbers>& large_products() {
  static const auto all = [] {
    const int64_t shapes[][3] = {{810, 33, 610}, {20, 750, 700}, {40, 40, 2085}, {17, 33, 4128}};
    std::vector<WholeNumbers> w;
    for (const auto& [m, n, k] : shapes)
      for (int turned = 0; turned < 4; ++turned)
        w.push_back(whole_numbers({m, n, k, 1, (turned & 1) != 0, (turned & 2) != 0, 0.25, 2},
                                  Store::bf16));
    w.push_back(whole_numbers({60, 70, 400, 1, false, false, 0.25, 2}, Store::f16));
    return w;
  }();
  return all;
}

TEST_P(GemmTest, ExactSumsAreRoundedOnce) {
  for (const WholeNumbers& w : large_products()) {
    SCOPED_TRACE(text(w.one));
    auto g = strided<Gemm>(w.one);
    Stored y = w.c;
    g.type = y.type, g.a = w.a.data(), g.b = w.b.data(), g.c = y.data();
    run_workers(kernels().gemm, kernels().gemm_scratch, g, 2);
    size_t wrong = 0;
    for (size_t i = 0; i < w.want.size(); ++i) wrong += y.halves[i] != w.want[i];
    EXPECT_EQ(wrong, 0u);
  }
}

TEST_P(GemmTest, OldNumbersOfCDoNotMatterWithoutBeta) {
  const auto a = normal(400, 1), b = normal(400, 2);
  std::vector<float> c(400, NAN);
  Gemm g{.m = 20,
         .n = 20,
         .k = 20,
         .a = a.data(),
         .a_row = 20,
         .b = b.data(),
         .b_row = 20,
         .c = c.data(),
         .c_row = 20};
  run_workers(kernels().gemm, kernels().gemm_scratch, g, 1);
  for (float v : c) EXPECT_FALSE(std::isnan(v));
}

TARN_EVERY_ISA(GemmTest);

}  // namespace
}  // namespace tarn::cpu
