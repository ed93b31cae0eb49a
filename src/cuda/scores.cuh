// What the kernels of attention have in common: where a query's numbers lie, and its scores.
#pragma once

#include "cuda/numbers.cuh"
#include "cuda/rows.h"

namespace tarn::cuda {

struct Place {
  int64_t q = 0, k = 0, v = 0, mask = 0;
  int64_t head = 0, query = 0;
};
__device__ inline Place place_of(const AttentionCall& c, int64_t batch, int64_t head,
                                 int64_t query) {
  Place p;
  p.head = head, p.query = query;
  int64_t kv = head / (c.q_heads / c.kv_heads);
  p.q = batch * c.q_at[0] + head * c.q_at[1] + query * c.q_at[2];
  p.k = batch * c.k_at[0] + kv * c.k_at[1];
  p.v = batch * c.v_at[0] + kv * c.v_at[1];
  p.mask = batch * c.mask_at[0] + head * c.mask_at[1] + query * c.mask_at[2];
  return p;
}

// What softcap, causality, window and mask make of a product of query and key, of `length` keys.
__device__ inline float score_of(const AttentionCall& c, const Place& p, int64_t length,
                                 float product, int64_t key) {
  constexpr float lowest = -3.4028234663852886e38f;
  float s = product * c.scale;
  if (c.softcap > 0) s = c.softcap * math::tanh(s / c.softcap);
  int64_t position = length - c.queries + p.query;
  if (c.causal && key > position) s = lowest;
  if (c.window > 0 && position - key >= c.window) s = lowest;
  int64_t at = p.mask + key * c.mask_at[3];
  if (c.masked == Mask::boolean && !static_cast<const bool*>(c.mask)[at]) s = lowest;
  if (c.masked == Mask::additive) s += read_number<float>(c.mask, c.mask_type, at);
  return s;
}

}  // namespace tarn::cuda
