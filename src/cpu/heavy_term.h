// The low-rank term beside a product, for forms that keep no room for it in their sums.
#pragma once

#include "cpu/heavy_store.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// T tokens and the n rows of W from `row` on, all of a vector or some.
template <int T, bool Whole>
TARN_INLINE void add_term_lanes(const Qmm& q, int64_t row, int64_t n, int64_t token) {
  Vf sum[T];
  each<T>([&]<int t>() __attribute__((always_inline)) { sum[t] = Vf{}; });
  const auto get = [&](const float* from) __attribute__((always_inline)) {
    return Whole ? load(from) : get_part<Store::f32>(from, 0, n, 0.f);
  };
  for (int64_t r = 0; r < q.rank; ++r) {
    const Vf b = get(q.b + r * q.w.rows + row);
    each<T>([&]<int t>()
                __attribute__((always_inline)) { sum[t] += q.u[(token + t) * q.rank + r] * b; });
  }
  each<T>([&]<int t>() __attribute__((always_inline)) {
    float* to = q.y + (token + t) * q.y_stride + row;
    const Vf y = get(to) + sum[t];
    std::memcpy(to, &y, Whole ? sizeof y : static_cast<size_t>(n) * sizeof(float));
  });
}

template <bool Whole>
void add_term_column(const Qmm& q, int64_t row, int64_t n, Range tokens) {
  int64_t k = tokens.begin;
  for (; k + 4 <= tokens.end; k += 4) add_term_lanes<4, Whole>(q, row, n, k);
  for (; k < tokens.end; ++k) add_term_lanes<1, Whole>(q, row, n, k);
}

// y += u · b for some rows of W and some tokens, where there is a rank; q.transpose only. A
// number's sum is in the order of the rank, whatever is beside it.
void add_term(const Qmm& q, Range rows, Range tokens) {
  if (q.rank == 0) return;
  int64_t row = rows.begin;
  for (; row + kLanes <= rows.end; row += kLanes) add_term_column<true>(q, row, kLanes, tokens);
  if (row < rows.end) add_term_column<false>(q, row, rows.end - row, tokens);
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
