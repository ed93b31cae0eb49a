// What partitions of short and long lines share: the kth key, found eight bits at a time from the
// top by how many keys have each, and the places of the numbers around it.
#pragma once

#include "cuda/sort_lines.cuh"

namespace tarn::cuda {

inline constexpr int digits = 256, of_thread = 4;

// How many keys there are of each digit, and which of those the kth has.
struct Chosen {
  unsigned counts[digits];
  unsigned digit, before;  // keys of smaller digits
};

// By one warp: eight digits a lane.
__device__ inline void choose(Chosen& s, unsigned rank) {
  constexpr int of_lane = digits / 32;
  unsigned mine = 0;
  for (int k = 0; k < of_lane; ++k) mine += s.counts[threadIdx.x * of_lane + k];
  unsigned upto = mine;
  for (int step = 1; step < 32; step *= 2) {
    unsigned before = __shfl_up_sync(~0u, upto, step);
    if (threadIdx.x >= step) upto += before;
  }
  unsigned before = upto - mine;
  if (rank < before || rank >= upto) return;
  int digit = static_cast<int>(threadIdx.x) * of_lane;
  for (; rank - before >= s.counts[digit]; ++digit) before += s.counts[digit];
  s.digit = static_cast<unsigned>(digit), s.before = before;
}

// The top of the kth key, as far as it is known, and the kth's place among the keys that have it.
template <class Key>
struct Known {
  Key top = 0;
  unsigned rank;

  // One digit more, once all have counted.
  __device__ void learn(Chosen& s) {
    __syncthreads();
    if (threadIdx.x < 32) choose(s, rank);
    __syncthreads();
    top = top << 8 | s.digit;
    rank -= s.before;
    __syncthreads();
  }
};
// Those of the numbers from..to of a line whose keys begin with `top`, by the next digit.
template <class Bits, class Key>
__device__ void count_digits(const SortCall& c, const Bits* x, int64_t from, int64_t to, Key top,
                             int shift, Chosen& s) {
  for (int i = threadIdx.x; i < digits; i += blockDim.x) s.counts[i] = 0;
  __syncthreads();
#pragma unroll 4
  for (int64_t i = from + threadIdx.x; i < to; i += blockDim.x) {
    Key key = key_of<Key>(x[i * c.from_step], c.order) >> shift;
    if (key >> 8 == top) atomicAdd(&s.counts[key & (digits - 1)], 1u);
  }
}

// Numbers with smaller keys than the kth's, and with its key.
struct Sides {
  unsigned less = 0, equal = 0;
};
// Those of the threads before this one, of which each has less than 2^16 of both together.
__device__ inline Sides sides_before(Sides mine, unsigned* shared, Sides& total) {
  unsigned both = mine.less | mine.equal << 16, upto = both;
  for (int step = 1; step < 32; step *= 2) {
    unsigned before = __shfl_up_sync(~0u, upto, step);
    if (threadIdx.x % 32 >= step) upto += before;
  }
  if (threadIdx.x % 32 == 31) shared[threadIdx.x / 32] = upto;
  __syncthreads();
  unsigned before = 0, all = 0;
  for (int w = 0; w < blockDim.x / 32; ++w) {
    if (w < threadIdx.x / 32) before += shared[w];
    all += shared[w];
  }
  __syncthreads();
  total = {all & 0xffffu, all >> 16};
  before += upto - both;
  return {before & 0xffffu, before >> 16};
}

// Puts the numbers from..to of a line where they belong, `before` them being those of the line's
// numbers in front. The first kth.rank of the equal ones come in front of the kth.
template <class Bits, class Key>
__device__ void put_around(const SortCall& c, int64_t line, const Bits* x, int64_t from, int64_t to,
                           Known<Key> kth, Sides before, unsigned* shared) {
  int64_t tile = blockDim.x * of_thread;
  for (int64_t at = from; at < to; at += tile) {
    Key keys[of_thread];
    Sides mine, total;
    int64_t first = at + threadIdx.x * of_thread;
#pragma unroll
    for (int k = 0; k < of_thread; ++k) {
      keys[k] = ~Key(0);
      if (first + k >= to) continue;
      keys[k] = key_of<Key>(x[(first + k) * c.from_step], c.order);
      mine.less += keys[k] < kth.top, mine.equal += keys[k] == kth.top;
    }
    Sides here = sides_before(mine, shared, total);
    here.less += before.less, here.equal += before.equal;
#pragma unroll
    for (int k = 0; k < of_thread; ++k) {
      if (first + k >= to) break;
      bool is_less = keys[k] < kth.top, is_equal = keys[k] == kth.top;
      unsigned front = here.less + (here.equal < kth.rank ? here.equal : kth.rank);
      // Behind the kth lie those that are neither in front nor it, in order.
      int64_t behind = c.kth + 1 + (first + k) - front - (here.equal > kth.rank ? 1 : 0);
      bool is_front = is_less || (is_equal && here.equal < kth.rank);
      bool is_kth = is_equal && here.equal == kth.rank;
      put(c, line, is_front ? front : is_kth ? c.kth : behind, static_cast<unsigned>(first + k));
      here.less += is_less, here.equal += is_equal;
    }
    before.less += total.less, before.equal += total.equal;
  }
}

}  // namespace tarn::cuda
