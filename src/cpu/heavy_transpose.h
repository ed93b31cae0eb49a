// A square of numbers, one vector a row, turned in registers.
#pragma once

#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Swaps the off-diagonal squares of side S of the rows a and b (which lie S apart).
template <int S, class V, int... I>
TARN_INLINE void swap_squares(V& a, V& b, Lanes<I...>) {
  constexpr int n = sizeof...(I);
  const V top = __builtin_shufflevector(a, b, ((I & S) != 0 ? n + I - S : I)...);
  b = __builtin_shufflevector(a, b, ((I & S) != 0 ? n + I : I + S)...);
  a = top;
}

template <int S, class V, int N>
TARN_INLINE void transpose_step(V (&row)[N]) {
  TARN_UNROLL
  for (int i = 0; i < N; ++i)
    if ((i & S) == 0) swap_squares<S>(row[i], row[i | S], typename LanesTo<N>::type{});
  if constexpr (2 * S < N) transpose_step<2 * S>(row);
}

template <class V, int N>
TARN_INLINE void transpose(V (&row)[N]) {
  static_assert(sizeof(V) / sizeof(row[0][0]) == N);
  transpose_step<1>(row);
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
