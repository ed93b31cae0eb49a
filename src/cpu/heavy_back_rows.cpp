// Derivatives of rows, and the table of one level.

#include "cpu/heavy_back.h"
#include "cpu/heavy_row_loops.h"

namespace tarn::cpu::TARN_LEVEL {

void attention_back(const AttentionBack& b, int worker, int workers);
size_t attention_back_scratch(const AttentionBack& b, int workers);

namespace {

constexpr Store F = Store::f32;

// y = r x w with r = 1 / sqrt(mean(x x) + eps) has the cotangent r (g w - x r r mean(g w x)).
void rms_norm_row(const RowsBack& b, const float* x, const float* g, float* y) {
  const auto weighted = [&](int64_t i, int64_t n) {
    const Vf v = lanes_at<F>(g, i, n, 0.f);
    return b.weight == nullptr ? v : v * lanes_at<F>(b.weight, i, n, 0.f);
  };
  const auto n = static_cast<double>(b.cols);
  const double squares = sum_of<F>(x, b.cols, 0.f, [](Vf v) { return v * v; });
  const double dot = sum_over(b.cols, [&](int64_t i, int64_t part) {
    return weighted(i, part) * lanes_at<F>(x, i, part, 0.f);
  });
  const double r = 1 / __builtin_sqrt(squares / n + static_cast<double>(b.eps));
  const auto scale = static_cast<float>(r), share = static_cast<float>(r * r * r * dot / n);
  map_row<F>(x, y, b.cols,
             [&](Vf v, int64_t i, int64_t part) { return weighted(i, part) * scale - v * share; });
}

void softmax_row(const float* x, float g, float* y, int64_t n) {
  const float top = largest<F>(x, n, 1.f);
  map_row<F>(x, y, n, [&](Vf v, int64_t, int64_t) { return exp_of(v - top); });
  const double sum = sum_of<F>(y, n, 0.f, [](Vf v) { return v; });
  const auto factor = static_cast<float>(static_cast<double>(g) / sum);
  map_row<F>(y, y, n, [&](Vf v, int64_t, int64_t) { return v * factor; });
}

void rms_norm_back(const RowsBack& b, int worker, int workers) {
  const Range rows = share(b.rows, 1, worker, workers);
  for (int64_t i = rows.begin; i < rows.end; ++i)
    rms_norm_row(b, b.x + i * b.cols, b.g + i * b.cols, b.y + i * b.cols);
}

void softmax_back(const RowsBack& b, int worker, int workers) {
  const Range rows = share(b.rows, 1, worker, workers);
  for (int64_t i = rows.begin; i < rows.end; ++i)
    softmax_row(b.x + i * b.cols, b.g[i], b.y + i * b.cols, b.cols);
}

}  // namespace

extern const HeavyBack back_kernels;
constinit const HeavyBack back_kernels{
    .rms_norm = rms_norm_back,
    .softmax = softmax_back,
    .attention = attention_back,
    .attention_scratch = attention_back_scratch,
};

}  // namespace tarn::cpu::TARN_LEVEL
