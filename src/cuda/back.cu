// Losses and derivatives of rows: a block a row. A row of logits is read once for its largest
// number and its sum together, and again where each number is wanted; so the loss of 256 rows of
// 128,256 classes takes one pass over them, and its derivative two and the result's.
#include "cuda/back.h"
#include "cuda/fault.cuh"
#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

constexpr int norm_threads = 256, entropy_threads = 512;

// f of each four columns, which begin at a multiple of 16 bytes.
template <class F>
__device__ void each_four(int64_t cols, F f) {
  for (int64_t i = threadIdx.x; i < cols / 4; i += blockDim.x) f(i);
}

__global__ void rms_norm_back(const __grid_constant__ NormBackCall c) {
  __shared__ float shared[32];
  int64_t base = static_cast<int64_t>(blockIdx.x) * c.cols;
  auto x = reinterpret_cast<const float4*>(c.x + base);
  auto g = reinterpret_cast<const float4*>(c.g + base);
  auto w = reinterpret_cast<const float4*>(c.weight);
  auto weighted = [&](int64_t i) {
    float4 v = g[i];
    if (w) v.x *= w[i].x, v.y *= w[i].y, v.z *= w[i].z, v.w *= w[i].w;
    return v;
  };
  float squares = 0, dot = 0;
  each_four(c.cols, [&](int64_t i) {
    float4 a = x[i], b = weighted(i);
    squares += a.x * a.x + a.y * a.y + (a.z * a.z + a.w * a.w);
    dot += a.x * b.x + a.y * b.y + (a.z * b.z + a.w * b.w);
  });
  auto n = static_cast<float>(c.cols);
  float r = 1.f / math::sqrt(of_block(squares, shared, Plus()) / n + c.eps);
  float share = r * r * r * (of_block(dot, shared, Plus()) / n);
  each_four(c.cols, [&](int64_t i) {
    float4 a = x[i], b = weighted(i);
    reinterpret_cast<float4*>(c.y + base)[i] = {b.x * r - a.x * share, b.y * r - a.y * share,
                                                b.z * r - a.z * share, b.w * r - a.w * share};
  });
}

struct Higher {
  __device__ float operator()(float a, float b) const { return a > b ? a : b; }
};
struct Lower {
  __device__ float operator()(float a, float b) const { return a < b ? a : b; }
};
// The sum of exp(x - top). `top` stays finite, so that infinite numbers give an infinite sum.
constexpr float most = 3.4028235e38f;
struct Exponentials {
  float top = -most, sum = 0;
  template <int n>
  __device__ void add(const float (&x)[n]) {
    float highest = x[0];
#pragma unroll
    for (int j = 1; j < n; ++j) highest = Higher()(highest, x[j]);
    if (highest > top) {
      float higher = Lower()(highest, most);
      sum *= math::exp(top - higher), top = higher;
    }
#pragma unroll
    for (int j = 0; j < n; ++j) sum += math::exp(x[j] - top);
  }
};
__device__ Exponentials of_row(const EntropyCall& c, float* shared) {
  const float* x = c.x + static_cast<int64_t>(blockIdx.x) * c.classes;
  Exponentials mine;
  constexpr int ahead = 8;  // loads on their way
  int64_t i = threadIdx.x;
  for (; i + (ahead - 1) * blockDim.x < c.classes; i += ahead * blockDim.x) {
    float next[ahead];
#pragma unroll
    for (int j = 0; j < ahead; ++j) next[j] = x[i + j * blockDim.x];
    mine.add(next);
  }
  for (; i < c.classes; i += blockDim.x) {
    float one[1] = {x[i]};
    mine.add(one);
  }
  float top = of_block(mine.top, shared, Higher());
  return {top, of_block(mine.sum * math::exp(mine.top - top), shared, Plus())};
}
__device__ int64_t target_of(const EntropyCall& c) {
  auto index = read_number<int64_t>(c.target, c.target_type, blockIdx.x);
  return checked(index, c.classes, 1, c.axis, c.fault);
}

__global__ void cross_entropy(const __grid_constant__ EntropyCall c) {
  __shared__ float shared[32];
  Exponentials e = of_row(c, shared);
  if (threadIdx.x == 0)
    c.y[blockIdx.x] =
        math::log(e.sum) + e.top - c.x[static_cast<int64_t>(blockIdx.x) * c.classes + target_of(c)];
}
__global__ void cross_entropy_back(const __grid_constant__ EntropyCall c) {
  __shared__ float shared[32];
  Exponentials e = of_row(c, shared);
  int64_t base = static_cast<int64_t>(blockIdx.x) * c.classes, target = target_of(c);
  float g = c.g[blockIdx.x], factor = g / e.sum;
  // As softmax: where a number is infinite none is known.
  if (math::isinf(e.sum)) factor = __builtin_nanf("");
  for (int64_t i = threadIdx.x; i < c.classes; i += blockDim.x) {
    float y = math::exp(c.x[base + i] - e.top) * factor;
    c.y[base + i] = i == target ? y - g : y;
  }
}

unsigned blocks_of(int64_t n) { return static_cast<unsigned>(n); }

}  // namespace

void launch_rms_norm_back(const NormBackCall& c, cudaStream_t queue) {
  rms_norm_back<<<blocks_of(c.rows), norm_threads, 0, queue>>>(c);
}
void launch_cross_entropy(const EntropyCall& c, cudaStream_t queue) {
  cross_entropy<<<blocks_of(c.rows), entropy_threads, 0, queue>>>(c);
}
void launch_cross_entropy_back(const EntropyCall& c, cudaStream_t queue) {
  cross_entropy_back<<<blocks_of(c.rows), entropy_threads, 0, queue>>>(c);
}

}  // namespace tarn::cuda
