// Products with quantised weights that add a low-rank term, beside the same in float64.
#include <array>

#include "cpu/heavy_back.h"
#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

// x (m, depth) by W (n, k) of 4 or 5 bits, and u (m, rank) by b (rank, outputs).
struct Case {
  int64_t m = 0, n = 0, k = 0, rank = 0;
  bool transpose = true;
  int bits = 4;
  Quantised q{};
  QuantMatrix w{};
  std::vector<float> x{}, u{}, b{};
  int64_t depth() const { return transpose ? k : n; }
  int64_t outputs() const { return transpose ? n : k; }

  void draw() {
    q = quantised(n, k, bits, 32, Store::f16, 31);
    w = matrix_of(q, n, k, bits, 32);
    x = normal(static_cast<size_t>(m * depth()), 32);
    const auto spread = static_cast<float>(std::sqrt(static_cast<double>(depth())));
    u = normal(static_cast<size_t>(m * rank), 33, spread);  // as large as the product
    b = normal(static_cast<size_t>(rank * outputs()), 34);
  }
  std::vector<double> term() const {
    Quantised dense;
    dense.values.assign(b.begin(), b.end());
    return product({u.begin(), u.end()}, dense, m, outputs(), rank, false);
  }
  // With x and W as they are, or rounded to bfloat16; the term never is.
  std::vector<double> want(bool rounded) const {
    Quantised weights;
    weights.values = rounded ? in_bfloat(q.values) : q.values;
    auto y = product(rounded ? in_bfloat(x) : std::vector<double>(x.begin(), x.end()), weights, m,
                     outputs(), depth(), transpose);
    const auto more = term();
    for (size_t i = 0; i < y.size(); ++i) y[i] += more[i];
    return y;
  }
  Qmm call(std::vector<float>& y) {
    y.assign(static_cast<size_t>(m * outputs()), NAN);
    Qmm q{.x = x.data(), .x_stride = depth(), .y = y.data(), .y_stride = outputs(), .m = m};
    q.w = w, q.transpose = transpose;
    q.u = u.data(), q.b = b.data(), q.rank = rank;
    return q;
  }
};

// Depths of one block and of several, with and without tails.
void every_case(const std::function<void(Case&)>& check) {
  for (auto [m, n, k] : {std::array<int64_t, 3>{16, 64, 96},
                         {17, 33, 704},
                         {45, 700, 128},
                         {130, 40, 1408},
                         {1030, 7, 64}})
    for (int64_t rank : {1, 8, 20, 64})
      for (bool transpose : {true, false}) {
        SCOPED_TRACE(::testing::Message() << m << " rows, W " << n << " x " << k << ", rank "
                                          << rank << (transpose ? "" : ", as it lies"));
        Case c{m, n, k, rank, transpose, rank == 8 ? 4 : 5};
        c.draw();
        check(c);
      }
}

class TermQmmTest : public EveryIsa {};

TEST_P(TermQmmTest, FloatsAddTheTerm) {
  every_case([&](Case& c) {
    std::vector<float> y, again;
    run_workers(kernels().qmm_exact, kernels().qmm_exact_scratch, c.call(y), 1);
    EXPECT_LT(relative_error(y, c.want(false)), 1e-6);
    run_workers(kernels().qmm_exact, kernels().qmm_exact_scratch, c.call(again), 3);
    EXPECT_EQ(y, again);
  });
}

// Whatever is rounded of x: the sum is that of the product alone and the term.
TEST_P(TermQmmTest, RoundedActivationsAddTheTerm) {
  const Heavy& h = kernels();
  for (auto [n, k] : {std::array<int64_t, 2>{70, 96}, {33, 704}})
    for (int64_t m : {1, 3, 7, 15, 16, 45, 130})
      for (int64_t rank : {1, 8}) {
        SCOPED_TRACE(::testing::Message()
                     << m << " rows, W " << n << " x " << k << ", rank " << rank);
        Case c{m, n, k, rank, true, rank == 8 ? 4 : 5};
        c.draw();
        Scratch64 packed(h.packed_bytes(m, k, 32));
        run_workers(h.pack_activations,
                    PackActivations{c.x.data(), k, m, k, c.bits, 32, packed.data()}, 1);
        const auto computed = [&](int64_t of_rank, int workers) {
          std::vector<float> y;
          Qmm q = c.call(y);
          q.packed = packed.data(), q.rank = of_rank;
          run_workers(h.qmm_balanced, h.qmm_balanced_scratch, q, workers);
          return y;
        };
        const auto plain = computed(0, 1), y = computed(rank, 1);
        std::vector<double> want = c.term();
        for (size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(plain[i]);
        // Tiles add it in three parts.
        EXPECT_LT(relative_error(y, want), GetParam() == Isa::amx ? 1e-5 : 1e-6);
        for (int workers : {2, 5}) EXPECT_EQ(y, computed(rank, workers));
      }
}

// Both ways: a term that was rounded to bfloat16 as the rest is would be 2e-3 off.
std::vector<float> in_tiles(Case& c, int workers) {
  const Heavy& h = heavy(Isa::amx);
  const HeavyBack& back = heavy_back(Isa::amx);
  std::vector<float> y;
  Qmm q = c.call(y);
  Scratch64 packed(c.transpose ? h.packed_bytes(c.m, c.k, 32) : back.packed_bytes(c.m, c.n));
  run_workers(c.transpose ? h.pack_activations : back.pack,
              PackActivations{q.x, q.x_stride, c.m, c.depth(), c.bits, 32, packed.data()}, workers);
  q.packed = packed.data();
  run_workers(c.transpose ? h.qmm_balanced : back.qmm,
              c.transpose ? h.qmm_balanced_scratch : back.qmm_scratch, q, workers);
  return y;
}

TEST(AmxTermQmmTest, TilesAddTheTermUnrounded) {
  if (available_isas().back() != Isa::amx) GTEST_SKIP() << "not run: no level amx here";
  every_case([&](Case& c) {
    const auto y = in_tiles(c, 1);
    EXPECT_LT(relative_error(y, c.want(true)), 1e-5);
    for (int workers : {2, 5}) EXPECT_EQ(y, in_tiles(c, workers));
  });
}

TARN_EVERY_ISA(TermQmmTest);

}  // namespace
}  // namespace tarn::cpu
