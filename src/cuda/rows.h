// Softmax, norms, rope and attention as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/strided.h"

namespace tarn::cuda {

// Contiguous rows of float32, float16 or bfloat16, computed in float.
struct RowsCall {
  const void *x = nullptr, *weight = nullptr, *bias = nullptr;
  void* y = nullptr;
  int64_t rows = 0, cols = 0;
  float eps = 0;
  int type = 0, weight_type = 0, bias_type = 0;  // dtypes, as columns
};
void launch_softmax(const RowsCall& call, cudaStream_t queue);
void launch_logsumexp(const RowsCall& call, cudaStream_t queue);  // y: a number a row
void launch_rms_norm(const RowsCall& call, cudaStream_t queue);
void launch_layer_norm(const RowsCall& call, cudaStream_t queue);

// x (..., length, width) turned by the angles of positions offset, offset + 1, ...
struct RopeCall {
  const void* x = nullptr;
  void* y = nullptr;
  const float* freqs = nullptr;  // null: powers of base
  Strided lead{};                // where the axes before the last two lie
  int64_t outer = 1, length = 1, width = 1, row_stride = 1;
  int64_t rows = 1;                 // of a thread, which share their angle
  const int64_t* number = nullptr;  // the first position
  int dims = 0, type = 0;
  bool traditional = false;
  float base = 0, scale = 1;
};
struct RopeCalls {
  RopeCall of[most_calls];
  int count = 0;
};
void launch_rope(const RopeCalls& calls, cudaStream_t queue);

// A rotation of queries or keys: that of RopeCall.
struct Turn {
  const float* freqs = nullptr;
  float base = 0, scale = 1;
  int dims = 0;  // 0: none
  bool traditional = false;
};
enum class Mask : uint8_t { none, boolean, additive };
// q (batch, q_heads, queries, key_dim), k and v (batch, kv_heads, capacity, ...), of which the
// first *number keys count. Strides are those of the first three axes.
struct AttentionCall {
  const void *q = nullptr, *k = nullptr, *v = nullptr, *mask = nullptr, *sinks = nullptr;
  void *out = nullptr, *scratch = nullptr;
  const int64_t* number = nullptr;
  int64_t q_at[3] = {}, k_at[3] = {}, v_at[3] = {}, mask_at[4] = {};
  int64_t batch = 1, q_heads = 1, kv_heads = 1, queries = 1, key_dim = 1, value_dim = 1;
  int64_t capacity = 0, window = 0;
  float scale = 1, softcap = 0;
  int type = 0, kv_type = 0, mask_type = 0;
  Mask masked = Mask::none;
  bool causal = false;
  // Of launch_one_query: queries and the new key are turned, and the new key (batch, kv_heads, 1,
  // key_dim) and value are put into k and v, which hold them only afterwards. More numbers then
  // lie behind the first: where each is put, and the positions of the queries and of the key.
  Turn turn{};
  bool early = false;  // caches and the turn's periods are, when the launch in front of this begins
  const float *new_key = nullptr, *new_value = nullptr;
  int64_t new_key_at[2] = {}, new_value_at[2] = {};
};
void launch_attention(const AttentionCall& call, cudaStream_t queue);
// The most keys whose scores a block holds.
inline constexpr int64_t most_keys = 24 << 10;
// The same for few queries over any number of keys, which several blocks share.
bool few_queries_fit(const AttentionCall& call);
size_t few_queries_scratch(const AttentionCall& call, int processors);  // bytes
void launch_few_queries(const AttentionCall& call, int processors, cudaStream_t queue);
// The same for one float32 query a sequence, on cards whose blocks form clusters.
bool one_query_fits(const AttentionCall& call, int major);
void launch_one_query(const AttentionCall& call, int processors, cudaStream_t queue);
// The same for any number of queries over keys of 16 bits, on tensor cores: capability 9.0.
bool many_queries_fit(const AttentionCall& call, int major);
void launch_many_queries(const AttentionCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
