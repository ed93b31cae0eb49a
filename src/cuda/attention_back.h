// Attention whose float32 factors are rounded to bfloat16, there and back, as kernels are told of
// it: cards of compute capability 9.0.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace tarn::cuda {

// (batch, heads, rows, dim) of float32 or bfloat16, rows contiguous, to contiguous bfloat16. dim is
// a multiple of 8.
struct HeadsToRound {
  const void* from = nullptr;
  void* to = nullptr;
  int64_t batch = 1, heads = 1, rows = 1, dim = 1;
  int64_t at[3] = {};  // strides of the first three axes of `from`
  int type = 0;        // of `from`, as a column
};
inline constexpr int most_rounded = 4;
struct RoundCall {
  HeadsToRound of[most_rounded];
  int count = 0;
};
size_t rounded_bytes(const HeadsToRound& heads);
void launch_round(const RoundCall& call, cudaStream_t queue);

// The cotangents of attention's inputs. q and g (batch, q_heads, queries, dim), k and v (batch,
// kv_heads, keys, dim) in bfloat16, contiguous; queries are at most as many as keys. Those of a
// batch item are contiguous, `batch_step` numbers behind those of the one before.
struct AttentionBackCall {
  const void *q = nullptr, *k = nullptr, *v = nullptr, *g = nullptr;
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;
  float2* rows = nullptr;  // what the first kernel tells the second of each query
  int64_t batch = 1, q_heads = 1, kv_heads = 1, queries = 1, keys = 1, dim = 1, batch_step = 0;
  float scale = 1;
  int type = 0;  // of the cotangents, as a column: float32 or bfloat16
  bool causal = false;
};
bool attention_back_fits(const AttentionBackCall& call, int major);
size_t attention_back_rows(const AttentionBackCall& call);  // how many of `rows`
void launch_attention_back(const AttentionBackCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
