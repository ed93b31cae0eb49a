// Sums of products, element by element, over a few rows: convolutions of single channels.

#include "cpu/heavy_levels.h"
#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Vectors i, i + 1, ... of the result: enough independent sums to hide a multiplication.
template <class T, int Vectors>
TARN_INLINE void sum_taps(const Taps<T>& t, int64_t i) {
  constexpr int kStep = kLanesOf<T>;
  Vec<T> sum[Vectors] = {};
  for (int64_t k = 0; k < t.count; ++k) {
    TARN_UNROLL
    for (int v = 0; v < Vectors; ++v)
      sum[v] += load(t.x[k] + i + v * kStep) * load(t.w[k] + i + v * kStep);
  }
  TARN_UNROLL
  for (int v = 0; v < Vectors; ++v) store(t.y + i + v * kStep, sum[v]);
}

template <class T>
void sum_all(const Taps<T>& t) {
  constexpr int kStep = kLanesOf<T>;
  int64_t i = 0;
  for (; i + 4 * kStep <= t.n; i += 4 * kStep) sum_taps<T, 4>(t, i);
  for (; i + kStep <= t.n; i += kStep) sum_taps<T, 1>(t, i);
  for (; i < t.n; ++i) {
    T sum = 0;
    for (int64_t k = 0; k < t.count; ++k) sum += t.x[k][i] * t.w[k][i];
    t.y[i] = sum;
  }
}

}  // namespace

void multiply_taps(const Taps<float>& t) { sum_all(t); }
void multiply_taps64(const Taps<double>& t) { sum_all(t); }

}  // namespace tarn::cpu::TARN_LEVEL
