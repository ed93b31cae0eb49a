// What attention of one query works with: what is turned and appended on the way in, and softmaxes
// that are joined over warps and blocks.
#pragma once

#include "cuda/angle.cuh"
#include "cuda/numbers.cuh"
#include "cuda/rows.h"
#include "cuda/soft.cuh"
#include "cuda/terms.cuh"

namespace tarn::cuda::one_query {

using namespace soft;

constexpr int warps = 8, threads = 32 * warps;
constexpr int most_shares = 8;       // blocks of a cluster, which share the keys of a place
constexpr int most_registers = 144;  // what a lane's keys, values and sums take
constexpr int most_pairs = 64;       // of columns that are turned

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

// A thread's pair of columns of a row.
struct Pair {
  int first, second;
  float x, y;
};
__device__ inline Pair read_pair(const Turn& t, const float* row, int pair) {
  const int turned = t.dims / 2;
  Pair p{2 * pair, 2 * pair + 1, 0, 0};
  if (pair < turned && !t.traditional) p.first = pair, p.second = pair + turned;
  p.x = __ldcg(row + p.first), p.y = __ldcg(row + p.second);
  return p;
}
// Gives put(column, number) for both columns.
template <class Put>
__device__ void turn_pair(const Pair& p, Angle a, Put put) {
  put(p.first, p.x * a.cosine - p.y * a.sine);
  put(p.second, p.x * a.sine + p.y * a.cosine);
}

// Softmaxes of the heads so far: of a warp's keys, of a block's. Scores are in powers of two, and
// the top is none's where there are no keys.
constexpr float none_so_far = -1e30f;
template <int dim, int heads>
struct alignas(16) Totals {
  float of[heads][dim], top[heads], sum[heads];
};
__device__ inline float power(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The new key and value as the cache has them.
template <class T, int dim>
struct News {
  alignas(16) T key[dim], value[dim];
};
// What an attention begins with: queries and the new key are turned, and the new ones put into the
// cache.
template <class T, int dim>
class Opening {
 public:
  __device__ Opening(const OneQueryCall& o, const Heads& h) : o_(o), c_(o.call), h_(h) {
    first_key_ = h.batch * c_.k_at[0] + h.kv * c_.k_at[1];
    first_value_ = h.batch * c_.v_at[0] + h.kv * c_.v_at[1];
    length_ = static_cast<int>(c_.number[length]);
    if (!c_.new_key) return;
    fresh_ = static_cast<int>(c_.number[key_place]);
    fresh_value_ = static_cast<int>(c_.number[value_place]);
  }

 protected:
  static constexpr int pairs = dim / 2, rows = threads / pairs;
  static_assert(rows >= 2);  // the new key and value are read at once

  // Before the queue's turn.
  __device__ void find_angles() {
    const int pair = static_cast<int>(threadIdx.x) % pairs;
    if (2 * pair >= c_.turn.dims) return;
    const double rate =
        c_.turn.freqs ? __drcp_rn(c_.turn.freqs[pair]) * c_.turn.scale : o_.rates[pair];
    query_angle_ = angle_of(rate, c_.number[query_position]);
    key_angle_ = query_angle_;
    if (c_.new_key && c_.number[key_position] != c_.number[query_position])
      key_angle_ = angle_of(rate, c_.number[key_position]);
  }
  // Gives put(head, column, number) for what the queries are, times what scores are, in powers of
  // two; and the new ones to `news`. The block sees both after its next barrier.
  template <int heads, class Put>
  __device__ void read_new(News<T, dim>& news, Put put) const {
    constexpr float to_powers = 1.4426950408889634f;
    const int pair = static_cast<int>(threadIdx.x) % pairs,
              row = static_cast<int>(threadIdx.x) / pairs;
    const float scale = c_.scale * to_powers;
    const float* q =
        static_cast<const float*>(c_.q) + h_.batch * c_.q_at[0] + h_.first * c_.q_at[1];
    const bool takes_new = c_.new_key && row < 2;
    Pair fresh{};
    if (takes_new) fresh = read_pair(c_.turn, new_row(row), pair);
#pragma unroll 1
    for (int g = row; g < heads; g += rows) {
      const Pair p = read_pair(c_.turn, q + (g < h_.count ? g : 0) * c_.q_at[1], pair);
      turn_pair(p, query_angle_, [&](int column, float x) { put(g, column, x * scale); });
    }
    if (takes_new) put_new(news, row, fresh);
  }

  const OneQueryCall& o_;
  const AttentionCall& c_;
  const Heads& h_;
  int64_t first_key_ = 0, first_value_ = 0;
  int length_ = 0, fresh_ = -1, fresh_value_ = -1;

 private:
  // Of the key, and of the value.
  __device__ const float* new_row(int row) const {
    const int64_t* at = row == 0 ? c_.new_key_at : c_.new_value_at;
    return (row == 0 ? c_.new_key : c_.new_value) + h_.batch * at[0] + h_.kv * at[1];
  }
  __device__ void put_new(News<T, dim>& news, int row, const Pair& p) const {
    T* cache =
        row == 0
            ? static_cast<T*>(const_cast<void*>(c_.k)) + first_key_ + fresh_ * c_.k_at[2]
            : static_cast<T*>(const_cast<void*>(c_.v)) + first_value_ + fresh_value_ * c_.v_at[2];
    T* shared = row == 0 ? news.key : news.value;
    turn_pair(p, row == 0 ? key_angle_ : Angle{}, [&](int column, float x) {
      T rounded = narrow<T>(x);
      shared[column] = rounded;
      if (h_.appends) cache[column] = rounded;
    });
  }

  Angle query_angle_{}, key_angle_{};
};

}  // namespace tarn::cuda::one_query
