// What attention of one query works with: what is turned and appended on the way in, and softmaxes
// that are joined over warps and blocks.
#pragma once

#include "cuda/numbers.cuh"
#include "cuda/rows.h"
#include "cuda/soft.cuh"

namespace tarn::cuda::one_query {

using namespace soft;

constexpr int warps = 8, threads = 32 * warps;
constexpr int most_shares = 8;  // blocks of a cluster, which share the keys of a place
constexpr int most_pairs = 64;  // of columns that are turned

// Places in AttentionCall::number.
enum Number { length, key_place, value_place, query_position, key_position };

// A launch: the grid has shares, places of a sequence, and sequences.
struct OneQueryCall {
  AttentionCall call;
  int group = 1, pieces = 1;   // heads that share keys, and blocks' shares of them
  double rates[most_pairs]{};  // by which angles grow with the position
};

// Between the blocks of a cluster, which are those of a row of the grid. For other cards than those
// that have clusters the kernel is compiled, but not launched.
__device__ inline void arrive_at_cluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive;" ::: "memory");
#endif
}
__device__ inline void wait_for_cluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait;" ::: "memory");
#endif
}
// What is at `mine` in the shared memory of another block.
template <class T>
__device__ T* of_block(T& mine, unsigned block) {
  T* other = &mine;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm("mapa.u64 %0, %1, %2;" : "=l"(other) : "l"(&mine), "r"(block));
#endif
  return other;
}

// Heads that share keys, of one sequence.
struct Heads {
  int batch, kv, first, count;
  bool appends;
};
template <int heads>
__device__ Heads heads_of(const OneQueryCall& c) {
  Heads h;
  h.batch = static_cast<int>(blockIdx.z);
  h.kv = static_cast<int>(blockIdx.y), h.first = 0;
  if (c.pieces > 1) h.first = h.kv % c.pieces * heads, h.kv /= c.pieces;
  h.count = c.group - h.first < heads ? c.group - h.first : heads;
  h.appends = h.first == 0 && blockIdx.x == 0;
  h.first += h.kv * c.group;
  return h;
}

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(ops::Bfloat x) { return ops::widened(x); }
__device__ inline float wide(ops::Half x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
template <class T>
__device__ T narrow(float x) {
  if constexpr (__is_same(T, float)) {
    return x;
  } else {
    T y;
    if constexpr (__is_same(T, ops::Half))
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    else
      asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
  }
}

// Eight columns of a key or a value.
template <class T>
struct alignas(16) Part {
  T of[part];
};
template <class T>
__device__ Part<T> load(const T* from) {
  Part<T> p;
  auto* to = reinterpret_cast<uint4*>(&p);
#pragma unroll
  for (unsigned i = 0; i < sizeof p / 16; ++i) to[i] = reinterpret_cast<const uint4*>(from)[i];
  return p;
}

// The rotation of a thread's pair of columns: pair threadIdx.x % (dim / 2) of each row.
struct Angle {
  float cosine = 1, sine = 0;
};
__device__ inline Angle angle_of(double rate, int64_t position) {
  constexpr double turns = 0.15915494309189535;  // 1 / (2 pi)
  double turn = static_cast<double>(position) * rate * turns;
  Angle a;
  sincospif(static_cast<float>(2 * (turn - rint(turn))), &a.sine, &a.cosine);
  return a;
}
// Gives put(column, number) for the pair's two columns of a row.
template <class Put>
__device__ void turn_pair(const Turn& t, const float* row, int pair, Angle a, Put put) {
  const int turned = t.dims / 2;
  int first = 2 * pair, second = first + 1;
  if (pair < turned && !t.traditional) first = pair, second = pair + turned;
  float x = __ldcg(row + first), y = __ldcg(row + second);
  put(first, x * a.cosine - y * a.sine);
  put(second, x * a.sine + y * a.cosine);
}

// Softmaxes of the heads so far: of a warp's keys, of a block's. Scores are in powers of two, and
// the top is none's where there are no keys.
constexpr float none_so_far = -1e30f;
template <int dim, int heads>
struct Totals {
  float top[heads], sum[heads], of[heads][dim];
};
__device__ inline float power(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace tarn::cuda::one_query
