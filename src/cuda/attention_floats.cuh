// Attention of one query over keys and values of float32.
//
// A lane holds eight columns of a key, and asks for several keys at once. The kernel's code is read
// from afar each time, since products stand between two attentions: what is not a loop over
// registers is not unrolled.
#pragma once

#include "cuda/attention_one.cuh"

namespace tarn::cuda::one_query {

template <int dim, int heads>
class AttenderOfFloats : public Opening<float, dim> {
 public:
  static constexpr int lanes = dim / part, at_a_time = 32 / lanes;
  static constexpr int unrolled = 2;
  // Shared by the block.
  struct Room {
    alignas(16) float query[heads][dim];
    News<float, dim> news;
    Totals<dim, heads> of_warps[warps];
  };

  __device__ AttenderOfFloats(const OneQueryCall& o, const Heads& h, Room& room)
      : Opening<float, dim>(o, h), room_(room) {
    const int column = lane_ % lanes * part;
    keys_ = static_cast<const float*>(c_.k) + first_key_ + column;
    values_ = static_cast<const float*>(c_.v) + first_value_ + column;
#pragma unroll
    for (float& top : top_) top = none_so_far;
  }

  // Before the queue's turn: what does not wait for it.
  __device__ void prepare() {
    this->find_angles();
#pragma unroll 1
    for (int u = 0; u < unrolled; ++u) {
      int key = key_of(0, u);
      if (key >= length_) break;
      asm volatile("prefetch.global.L2 [%0];" ::"l"(keys_ + key * c_.k_at[2]));
      asm volatile("prefetch.global.L2 [%0];" ::"l"(values_ + key * c_.v_at[2]));
    }
  }
  __device__ void take_in() {
    this->template read_new<heads>(
        room_.news, [&](int head, int column, float x) { room_.query[head][column] = x; });
    __syncthreads();
  }
  __device__ void attend() {
    const int at_once = key_of(0, unrolled) - key_of(0, 0);
#pragma unroll 1
    for (int first = 0; first < length_; first += at_once) look(first);
    join_lanes();
    Totals<dim, heads>& mine = room_.of_warps[threadIdx.x / 32];
    if (lane_ < lanes)
#pragma unroll
      for (int g = 0; g < heads; ++g) {
        for (int i = 0; i < part; ++i) mine.of[g][lane_ * part + i] = of_[g][i];
        if (lane_ == 0) mine.top[g] = top_[g], mine.sum[g] = sum_[g];
      }
    __syncthreads();
  }

 private:
  using Base = Opening<float, dim>;
  using Base::c_, Base::length_, Base::fresh_, Base::fresh_value_, Base::first_key_,
      Base::first_value_;

  __device__ int key_of(int first, int u) const {
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int warp = static_cast<int>(threadIdx.x / 32);
    return first + ((u * warps + warp) * blocks + block) * at_a_time + lane_ / lanes;
  }
  // The next keys of the lane, from `first` on.
  __device__ void look(int first) {
    if (key_of(first, 0) - lane_ / lanes >= length_) return;
    Part<float> keys[unrolled], values[unrolled];
#pragma unroll
    for (int u = 0; u < unrolled; ++u) {
      const int key = key_of(first, u), at = key < length_ ? key : 0;
      keys[u] = load(keys_ + at * c_.k_at[2]), values[u] = load(values_ + at * c_.v_at[2]);
    }
    // The new ones are not in memory yet.
#pragma unroll
    for (int u = 0; u < unrolled; ++u) {
      const int key = key_of(first, u), column = lane_ % lanes * part;
      if (key == fresh_) keys[u] = load(room_.news.key + column);
      if (key == fresh_value_) values[u] = load(room_.news.value + column);
    }
#pragma unroll
    for (int g = 0; g < heads; ++g) {
      const Part<float> query = load(room_.query[g] + lane_ % lanes * part);
      float scores[unrolled], higher = top_[g];
#pragma unroll
      for (int u = 0; u < unrolled; ++u) {
        const float sum = score(query, keys[u]);  // by all lanes, also for keys past the end
        scores[u] = key_of(first, u) < length_ ? sum : 2 * none_so_far;
        higher = scores[u] > higher ? scores[u] : higher;
      }
      const float before = power(top_[g] - higher);
      top_[g] = higher;
      sum_[g] *= before;
#pragma unroll
      for (int i = 0; i < part; ++i) of_[g][i] *= before;
#pragma unroll
      for (int u = 0; u < unrolled; ++u) {
        const float weight = power(scores[u] - higher);
        sum_[g] += weight;
#pragma unroll
        for (int i = 0; i < part; ++i) of_[g][i] += weight * values[u].of[i];
      }
    }
  }
  static __device__ float score(const Part<float>& query, const Part<float>& key) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < part; ++i) sum += query.of[i] * key.of[i];
    return over_lanes<lanes>(sum);
  }
  // Joins the keys that a warp took at a time.
  __device__ void join_lanes() {
#pragma unroll
    for (int g = 0; g < heads; ++g)
#pragma unroll
      for (int step = lanes; step < 32; step *= 2) {
        const float other = __shfl_xor_sync(~0u, top_[g], step);
        const float top = other > top_[g] ? other : top_[g];
        const float mine = power(top_[g] - top), theirs = power(other - top);
        sum_[g] = sum_[g] * mine + __shfl_xor_sync(~0u, sum_[g], step) * theirs;
#pragma unroll
        for (int i = 0; i < part; ++i)
          of_[g][i] = of_[g][i] * mine + __shfl_xor_sync(~0u, of_[g][i], step) * theirs;
        top_[g] = top;
      }
  }

  Room& room_;
  const int lane_ = threadIdx.x % 32;
  const float *keys_ = nullptr, *values_ = nullptr;
  float top_[heads], sum_[heads] = {}, of_[heads][part] = {};
};

}  // namespace tarn::cuda::one_query
