// Attention, plainly: a block for each query and head. Its scores lie in shared memory, so that
// keys and values are read once; heads that share keys find them in the second cache. Sums are
// float.
#include "cuda/numbers.cuh"
#include "cuda/scores.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / 32;

__global__ void attention(const __grid_constant__ AttentionCall c) {
  extern __shared__ float scores[];  // capacity
  __shared__ float shared[32];
  int64_t at = blockIdx.x, row = at / c.queries;
  Place p = place_of(c, row / c.q_heads, row % c.q_heads, at % c.queries);
  const int64_t length = *c.number;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float top = c.sinks ? static_cast<const float*>(c.sinks)[p.head] : -__builtin_inff();
  float sink = top;
  for (int64_t key = warp; key < length; key += warps) {
    float sum = 0;
    for (int64_t i = lane; i < c.key_dim; i += 32)
      sum += read_number<float>(c.q, c.type, p.q + i) *
             read_number<float>(c.k, c.kv_type, p.k + key * c.k_at[2] + i);
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    float s = score_of(c, p, length, sum, key);
    if (lane == 0) scores[key] = s;
    top = s > top ? s : top;
  }
  top = of_block(top, shared, [](float a, float b) { return math::max(a, b); });
  float sum = 0;
  for (int64_t key = threadIdx.x; key < length; key += threads) {
    float e = math::exp(scores[key] - top);
    scores[key] = e;
    sum += e;
  }
  sum = of_block(sum, shared, [](float a, float b) { return a + b; });
  if (c.sinks) sum += math::exp(sink - top);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < c.value_dim; i += threads) {
    float acc = 0;
    for (int64_t key = 0; key < length; ++key)
      acc += scores[key] * read_number<float>(c.v, c.kv_type, p.v + key * c.v_at[2] + i);
    write_number(c.out, c.type, at * c.value_dim + i, acc / sum);
  }
}

}  // namespace

void launch_attention(const AttentionCall& c, cudaStream_t queue) {
  auto blocks = static_cast<unsigned>(c.batch * c.q_heads * c.queries);
  auto shared = static_cast<size_t>(c.capacity) * sizeof(float);
  static const cudaError_t allowed =
      cudaFuncSetAttribute(attention, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(most_keys * sizeof(float)));
  (void)allowed;  // a launch that needs it says so
  attention<<<blocks, threads, shared, queue>>>(c);
}

}  // namespace tarn::cuda
