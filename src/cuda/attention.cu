// Attention, plainly: a block for each query and head. Its scores lie in shared memory, so that
// keys and values are read once; heads that share keys find them in the second cache. Sums are
// float.
#include "cuda/numbers.cuh"
#include "cuda/rows.h"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / 32;
constexpr float lowest = -3.4028234663852886e38f;

struct Place {
  int64_t q = 0, k = 0, v = 0, mask = 0, out = 0;
  int64_t head = 0, query = 0;
};
__device__ Place place_of(const AttentionCall& c) {
  Place p;
  int64_t at = blockIdx.x;
  p.query = at % c.queries;
  p.head = at / c.queries % c.q_heads;
  int64_t b = at / c.queries / c.q_heads, kv = p.head / (c.q_heads / c.kv_heads);
  p.q = b * c.q_at[0] + p.head * c.q_at[1] + p.query * c.q_at[2];
  p.k = b * c.k_at[0] + kv * c.k_at[1];
  p.v = b * c.v_at[0] + kv * c.v_at[1];
  p.mask = b * c.mask_at[0] + p.head * c.mask_at[1] + p.query * c.mask_at[2];
  p.out = at * c.value_dim;
  return p;
}

// What softcap, causality, window and mask make of a product of query and key.
__device__ float score_of(const AttentionCall& c, const Place& p, float product, int64_t key) {
  float s = product * c.scale;
  if (c.softcap > 0) s = c.softcap * math::tanh(s / c.softcap);
  int64_t position = c.length - c.queries + p.query;
  if (c.causal && key > position) s = lowest;
  if (c.window > 0 && position - key >= c.window) s = lowest;
  int64_t at = p.mask + key * c.mask_at[3];
  if (c.masked == Mask::boolean && !static_cast<const bool*>(c.mask)[at]) s = lowest;
  if (c.masked == Mask::additive) s += read_number<float>(c.mask, c.mask_type, at);
  return s;
}

__global__ void attention(const __grid_constant__ AttentionCall c) {
  extern __shared__ float scores[];  // length
  __shared__ float shared[32];
  Place p = place_of(c);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float top = c.sinks ? static_cast<const float*>(c.sinks)[p.head] : -__builtin_inff();
  float sink = top;
  for (int64_t key = warp; key < c.length; key += warps) {
    float sum = 0;
    for (int64_t i = lane; i < c.key_dim; i += 32)
      sum += read_number<float>(c.q, c.type, p.q + i) *
             read_number<float>(c.k, c.kv_type, p.k + key * c.k_at[2] + i);
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    float s = score_of(c, p, sum, key);
    if (lane == 0) scores[key] = s;
    top = s > top ? s : top;
  }
  top = of_block(top, shared, [](float a, float b) { return math::max(a, b); });
  float sum = 0;
  for (int64_t key = threadIdx.x; key < c.length; key += threads) {
    float e = math::exp(scores[key] - top);
    scores[key] = e;
    sum += e;
  }
  sum = of_block(sum, shared, [](float a, float b) { return a + b; });
  if (c.sinks) sum += math::exp(sink - top);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < c.value_dim; i += threads) {
    float acc = 0;
    for (int64_t key = 0; key < c.length; ++key)
      acc += scores[key] * read_number<float>(c.v, c.kv_type, p.v + key * c.v_at[2] + i);
    write_number(c.out, c.type, p.out + i, acc / sum);
  }
}

}  // namespace

void launch_attention(const AttentionCall& c, cudaStream_t queue) {
  auto blocks = static_cast<unsigned>(c.batch * c.q_heads * c.queries);
  auto shared = static_cast<size_t>(c.length) * sizeof(float);
  static const cudaError_t allowed =
      cudaFuncSetAttribute(attention, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(most_keys * sizeof(float)));
  (void)allowed;  // a launch that needs it says so
  attention<<<blocks, threads, shared, queue>>>(c);
}

}  // namespace tarn::cuda
