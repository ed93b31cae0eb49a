// How a row is summed, mapped and searched.
//
// Sums run in kLanes float32 lanes over at most kRun elements and go on in double, so that a sum of
// 2^25 ones is exact and no lane's error grows with the row.
#pragma once

#include "cpu/heavy_store.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kRun = 4096;
constexpr float kInfinity = __builtin_inff();

// Sum of f(i, n), the vector of elements i .. i + n, over a row; lanes past n hold 0.
template <class F>
TARN_INLINE double sum_over(int64_t n, F f) {
  double total = 0;
  for (int64_t run = 0; run < n; run += kRun) {
    const int64_t end = smaller(run + kRun, n);
    Vf sum[4] = {};
    int64_t i = run;
    for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
      TARN_UNROLL
      for (int j = 0; j < 4; ++j) sum[j] += f(i + j * kLanes, int64_t{kLanes});
    }
    for (; i + kLanes <= end; i += kLanes) sum[0] += f(i, int64_t{kLanes});
    if (i < end) sum[1] += f(i, end - i);
    total += static_cast<double>(sum_lanes<float>((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
  return total;
}

// Elements i .. i + n of a row, then `fill`.
template <Store S>
TARN_INLINE Vf lanes_at(const void* x, int64_t i, int64_t n, float fill) {
  return n >= kLanes ? get_vector<S>(x, i) : get_part<S>(x, i, n, fill);
}

// Sum of f(vector) over a row. Lanes past the end hold `fill`, which f must take to 0.
template <Store S, class F>
TARN_INLINE double sum_of(const void* x, int64_t n, float fill, F f) {
  return sum_over(n, [&](int64_t i, int64_t part) { return f(lanes_at<S>(x, i, part, fill)); });
}

// y = f(x) over a row.
template <Store S, class F>
TARN_INLINE void map_row(const void* x, void* y, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) put_vector<S>(y, i, f(get_vector<S>(x, i), i, kLanes));
  if (i < n) put_part<S>(y, i, n - i, f(get_part<S>(x, i, n - i, 0.f), i, n - i));
}

// The largest number, or NaN where there is one. max_of drops NaN, so NaNs are looked for beside.
template <Store S>
float largest(const void* x, int64_t n, float sign) {
  Vf best[2] = {splat(-kInfinity), splat(-kInfinity)};
  Vi odd{};
  const auto meet = [&](Vf v, int j) {
    odd |= v != v;
    best[j] = max_of(v * sign, best[j]);
  };
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    meet(get_vector<S>(x, i), 0);
    meet(get_vector<S>(x, i + kLanes), 1);
  }
  for (; i < n; i += kLanes)
    meet(n - i >= kLanes ? get_vector<S>(x, i) : get_part<S>(x, i, n - i, -kInfinity * sign), 0);
  int32_t any = 0;
  for (int l = 0; l < kLanes; ++l) any |= odd[l];
  return any != 0 ? __builtin_nanf("") : max_lanes(max_of(best[0], best[1])) * sign;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
