// Kernels of derivatives beside the same in float64.
#include "cpu/heavy_back.h"
#include "heavy_cases.h"

namespace tarn::cpu {
namespace {

using Doubles = std::vector<double>;

class BackTest : public EveryIsa {
 protected:
  const HeavyBack& back() const { return heavy_back(GetParam()); }
};

double norm_back(const RowsBack& b, int64_t row, int64_t col) {
  double squares = 0, dot = 0;
  auto x = [&](int64_t j) { return double{b.x[row * b.cols + j]}; };
  auto g = [&](int64_t j) {
    return double{b.g[row * b.cols + j]} * (b.weight ? double{b.weight[j]} : 1.0);
  };
  for (int64_t j = 0; j < b.cols; ++j) squares += x(j) * x(j), dot += g(j) * x(j);
  double n = static_cast<double>(b.cols), r = 1 / std::sqrt(squares / n + double{b.eps});
  return r * g(col) - x(col) * r * r * r * dot / n;
}

TEST_P(BackTest, NormsOfRows) {
  for (int64_t cols : {1, 15, 64, 577})
    for (bool weighted : {false, true}) {
      const auto x = normal(static_cast<size_t>(5 * cols), 1), g = normal(x.size(), 2);
      const auto weight = normal(static_cast<size_t>(cols), 3);
      std::vector<float> y(x.size(), NAN), again = y;
      RowsBack b{x.data(), g.data(), weighted ? weight.data() : nullptr, y.data(), 5, cols, 1e-5f};
      run_workers(back().rms_norm, b, 1);
      Doubles want;
      for (int64_t i = 0; i < 5 * cols; ++i) want.push_back(norm_back(b, i / cols, i % cols));
      EXPECT_LT(relative_error(y, want), cols == 1 ? 1e-2 : 1e-6) << cols;  // 0 up to eps
      b.y = again.data();
      run_workers(back().rms_norm, b, 3);
      EXPECT_EQ(y, again);
    }
}

TEST_P(BackTest, SoftmaxTimesANumberARow) {
  for (int64_t cols : {1, 31, 4099}) {
    const auto x = normal(static_cast<size_t>(4 * cols), 4, 5.f), g = normal(4, 5);
    std::vector<float> y(x.size(), NAN);
    run_workers(back().softmax, RowsBack{x.data(), g.data(), nullptr, y.data(), 4, cols}, 2);
    Doubles want;
    for (int64_t i = 0; i < 4; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < cols; ++j)
        sum += std::exp(double{x[static_cast<size_t>(i * cols + j)]});
      for (int64_t j = 0; j < cols; ++j)
        want.push_back(double{g[static_cast<size_t>(i)]} *
                       std::exp(double{x[static_cast<size_t>(i * cols + j)]}) / sum);
    }
    EXPECT_LT(relative_error(y, want), 2e-6) << cols;
  }
}

// Attention of two batches, its numbers in (batch, head, row, dim) order.
struct Case {
  int64_t q_heads = 4, kv_heads = 2, queries = 0, length = 0, dim = 0, value_dim = 0;
  bool causal = true;
  static constexpr int64_t batch = 2;
  float scale = 0.3f;
  int64_t size(int64_t heads, int64_t rows, int64_t d) const { return batch * heads * rows * d; }
};

// dq, dk and dv of each batch one behind the other, in float64.
struct Reference {
  Case c{};
  const std::vector<float>&q, &k, &v, &g;
  Doubles dq = Doubles(q.size()), dk = Doubles(k.size()), dv = Doubles(v.size());

  int64_t at_q(int64_t b, int64_t h, int64_t i) const {
    return ((b * c.q_heads + h) * c.queries + i);
  }
  int64_t at_k(int64_t b, int64_t h, int64_t j) const {
    return ((b * c.kv_heads + h * c.kv_heads / c.q_heads) * c.length + j);
  }
  static double dot(const std::vector<float>& a, int64_t i, const std::vector<float>& b, int64_t j,
                    int64_t n) {
    double sum = 0;
    for (int64_t d = 0; d < n; ++d)
      sum += double{a[static_cast<size_t>(i * n + d)]} * double{b[static_cast<size_t>(j * n + d)]};
    return sum;
  }
  void row(int64_t b, int64_t h, int64_t i) {
    const int64_t seen = c.causal ? i + c.length - c.queries + 1 : c.length, at = at_q(b, h, i);
    Doubles p(static_cast<size_t>(seen)), slope(p.size());
    double total = 0, mean = 0;
    for (int64_t j = 0; j < seen; ++j)
      total += p[static_cast<size_t>(j)] =
          std::exp(double{c.scale} * dot(q, at, k, at_k(b, h, j), c.dim));
    for (int64_t j = 0; j < seen; ++j) {
      p[static_cast<size_t>(j)] /= total;
      slope[static_cast<size_t>(j)] = dot(g, at, v, at_k(b, h, j), c.value_dim);
      mean += p[static_cast<size_t>(j)] * slope[static_cast<size_t>(j)];
    }
    for (int64_t j = 0; j < seen; ++j)
      add(at, at_k(b, h, j), p[static_cast<size_t>(j)],
          (slope[static_cast<size_t>(j)] - mean) * double{c.scale});
  }
  void add(int64_t at, int64_t key, double weight, double slope) {
    for (int64_t d = 0; d < c.dim; ++d) {
      const auto x = static_cast<size_t>(at * c.dim + d), y = static_cast<size_t>(key * c.dim + d);
      dq[x] += weight * slope * double{k[y]};
      dk[y] += weight * slope * double{q[x]};
    }
    for (int64_t d = 0; d < c.value_dim; ++d) {
      const auto x = static_cast<size_t>(at * c.value_dim + d);
      const auto y = static_cast<size_t>(key * c.value_dim + d);
      dv[y] += weight * double{g[x]};
    }
  }
  void run() {
    for (int64_t b = 0; b < Case::batch; ++b)
      for (int64_t h = 0; h < c.q_heads; ++h)
        for (int64_t i = 0; i < c.queries; ++i) row(b, h, i);
  }
  Doubles joined() const {
    Doubles all;
    for (int64_t b = 0; b < Case::batch; ++b)
      for (const Doubles* part : {&dq, &dk, &dv}) {
        const auto n = static_cast<int64_t>(part->size()) / Case::batch;
        all.insert(all.end(), part->begin() + b * n, part->begin() + (b + 1) * n);
      }
    return all;
  }
};

HeadStrides strides(int64_t heads, int64_t rows, int64_t dim) {
  return {heads * rows * dim, rows * dim, dim};
}

std::vector<float> attention_back(const HeavyBack& table, const Reference& r, int workers) {
  const Case& c = r.c;
  std::vector<float> made(r.q.size() + r.k.size() + r.v.size(), NAN);
  AttentionBack b;
  Attention& a = b.a;
  a.batch = Case::batch, a.q_heads = c.q_heads, a.kv_heads = c.kv_heads;
  a.queries = c.queries, a.length = c.length, a.key_dim = c.dim, a.value_dim = c.value_dim;
  a.q = r.q.data(), a.q_at = strides(c.q_heads, c.queries, c.dim);
  a.k = r.k.data(), a.k_at = strides(c.kv_heads, c.length, c.dim);
  a.v = r.v.data(), a.v_at = strides(c.kv_heads, c.length, c.value_dim);
  a.scale = c.scale, a.causal = c.causal;
  b.g = r.g.data(), b.g_at = strides(c.q_heads, c.queries, c.value_dim);
  b.dq = made.data(), b.dk = b.dq + a.q_at.batch, b.dv = b.dk + a.k_at.batch;
  b.batch_step = static_cast<int64_t>(made.size()) / Case::batch;
  Scratch64 scratch(table.attention_scratch(b, workers));
  a.scratch = scratch.data();
  run_workers(table.attention, b, workers);
  return made;
}

// Blocks of queries with and without a rest, keys before the first query, one head and shared ones.
TEST_P(BackTest, Attention) {
  const Case cases[] = {{4, 2, 7, 7, 8, 8},     {3, 1, 70, 70, 16, 5},
                        {2, 2, 33, 90, 20, 12}, {4, 4, 130, 130, 64, 64, false},
                        {2, 1, 1, 40, 8, 8},    {1, 1, 64, 64, 32, 32}};
  for (const Case& c : cases) {
    SCOPED_TRACE(::testing::Message() << c.queries << " queries of " << c.length << " keys");
    const auto q = normal(static_cast<size_t>(c.size(c.q_heads, c.queries, c.dim)), 6);
    const auto k = normal(static_cast<size_t>(c.size(c.kv_heads, c.length, c.dim)), 7);
    const auto v = normal(static_cast<size_t>(c.size(c.kv_heads, c.length, c.value_dim)), 8);
    const auto g = normal(static_cast<size_t>(c.size(c.q_heads, c.queries, c.value_dim)), 9);
    Reference reference{c, q, k, v, g};
    reference.run();
    const auto made = attention_back(back(), reference, 1);
    EXPECT_LT(relative_error(made, reference.joined()), 3e-6);
    EXPECT_EQ(made, attention_back(back(), reference, 3));
  }
}

TARN_EVERY_ISA(BackTest);

}  // namespace
}  // namespace tarn::cpu
