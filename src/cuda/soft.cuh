// A softmax that is taken a key at a time, with the values that it weighs.
#pragma once

#include "cuda/rows.h"
#include "ops/columns.h"

namespace tarn::cuda::soft {

constexpr int part = 8;  // columns of the values that a lane holds
constexpr float none = -__builtin_inff();
constexpr int most_heads = 8;  // of a block, which share keys

// Calls f.operator()<n>() with the fewest heads of a block that a kernel is made for.
template <class F>
void with_heads(const AttentionCall& c, F f) {
  int64_t group = c.q_heads / c.kv_heads;
  if (group == 1) return f.template operator()<1>();
  if (group <= 4) return f.template operator()<4>();
  f.template operator()<most_heads>();
}
// Whether a lane's columns of keys and values lie side by side from a multiple of them on.
inline bool in_parts(const AttentionCall& c) {
  auto whole = [](const int64_t* at) {
    return at[0] % part == 0 && at[1] % part == 0 && at[2] % part == 0;
  };
  return whole(c.k_at) && whole(c.v_at);
}

// A softmax over some keys, of eight of the values' columns.
struct Softmax {
  float top = none, sum = 0;
  float of[part] = {};

  __device__ void add(float score, const float (&value)[part]) {
    if (score == none) return;
    float higher = score > top ? score : top;
    float before = math::exp(top - higher), weight = math::exp(score - higher);
    top = higher;
    sum = sum * before + weight;
#pragma unroll
    for (int i = 0; i < part; ++i) of[i] = of[i] * before + weight * value[i];
  }
};
// What the numbers of a softmax count when the largest score is `top`.
__device__ inline float factor_of(float own, float top) {
  return own == none ? 0 : math::exp(own - top);
}

template <int lanes>
__device__ float over_lanes(float x) {
#pragma unroll
  for (int step = 1; step < lanes; step *= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}
// Joins the keys that a warp took at a time.
template <int lanes>
__device__ void join_lanes(Softmax& s) {
#pragma unroll
  for (int step = lanes; step < 32; step *= 2) {
    float other = __shfl_xor_sync(~0u, s.top, step), top = math::max(s.top, other);
    float mine = factor_of(s.top, top), theirs = factor_of(other, top);
    s.sum = s.sum * mine + __shfl_xor_sync(~0u, s.sum, step) * theirs;
#pragma unroll
    for (int i = 0; i < part; ++i)
      s.of[i] = s.of[i] * mine + __shfl_xor_sync(~0u, s.of[i], step) * theirs;
    s.top = top;
  }
}

}  // namespace tarn::cuda::soft
