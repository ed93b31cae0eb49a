// How the softmaxes of a cluster's blocks become one.
#pragma once

#include "cuda/attention_one.cuh"

namespace tarn::cuda::one_query {

// The blocks' parts of what this one writes: each has the columns of its share.
template <int dim, int heads>
struct Parts {
  float top[most_shares][heads], sum[most_shares][heads];
  float of[most_shares][heads * dim];  // as many of each as a share has
};

// Of a power of two.
__device__ inline int log_of(unsigned x) { return __ffs(static_cast<int>(x)) - 1; }

// Sends the block's totals, joined over warps, to the blocks that write them.
template <int dim, int heads>
__device__ void send(const Totals<dim, heads>* of_warps, Parts<dim, heads>& parts) {
  constexpr unsigned all = heads * dim;
  const unsigned rank = blockIdx.x, share = all >> log_of(gridDim.x);
#pragma unroll 1
  for (unsigned at = threadIdx.x; at < all; at += threads) {
    const unsigned g = at / dim, column = at % dim;
    float top = none_so_far, sum = 0, weights = 0;
#pragma unroll
    for (int w = 0; w < warps; ++w) top = fmaxf(top, of_warps[w].top[g]);
#pragma unroll
    for (int w = 0; w < warps; ++w) {
      const float weight = power(of_warps[w].top[g] - top);
      sum += weight * of_warps[w].of[g][column], weights += weight * of_warps[w].sum[g];
    }
    const unsigned to_rank = at * gridDim.x / all, place = at - to_rank * share;
    auto* to = of_block(parts, to_rank);
    to->of[rank][place] = sum;
    if (column == 0 || place == 0) to->top[rank][g] = top, to->sum[rank][g] = weights;
  }
}
template <int dim, int heads>
__device__ void finish(const AttentionCall& c, const Heads& h, const Parts<dim, heads>& parts) {
  const int blocks = static_cast<int>(gridDim.x), share = heads * dim >> log_of(gridDim.x);
  constexpr float to_powers = 1.4426950408889634f;
#pragma unroll 1
  for (int i = threadIdx.x; i < share; i += threads) {
    const int at = static_cast<int>(blockIdx.x) * share + i, g = at / dim;
    if (g >= h.count) return;
    float top = none_so_far, sum = 0, all = 0;
    if (c.sinks) top = static_cast<const float*>(c.sinks)[h.first + g] * to_powers, all = 1;
    const float sink = top;
#pragma unroll
    for (int b = 0; b < most_shares; ++b)
      if (b < blocks) top = fmaxf(top, parts.top[b][g]);
    all *= power(sink - top);
#pragma unroll
    for (int b = 0; b < most_shares; ++b) {
      if (b >= blocks) continue;
      const float weight = power(parts.top[b][g] - top);
      all += weight * parts.sum[b][g], sum += weight * parts.of[b][i];
    }
    int64_t head = static_cast<int64_t>(h.batch) * c.q_heads + h.first + g;
    static_cast<float*>(c.out)[head * dim + at % dim] = sum / all;
  }
}

}  // namespace tarn::cuda::one_query
