// One row of x on its way into products: what stands in front of them, and its terms.
#pragma once

#include "cuda/few_rows.cuh"
#include "ops/unary.h"

namespace tarn::cuda::few {

// x of one row as terms in shared memory: normed or gated where that is asked for.
template <int terms, int words, int threads>
class RowPacker {
 public:
  __device__ RowPacker(const QuantizedCall& c, const Neighbours& beside, const Packed<terms, 1>& to)
      : numbers_(static_cast<const float*>(c.x)),
        beside_(beside),
        to_(to),
        all_(static_cast<int>(c.k / 8)),
        groups_(static_cast<int>(c.k / (32 * words))) {}

  __device__ void pack() {
    if (beside_.normed) find_factor();
    const int last = (all_ + 31) / 32 * 32;
    for (int word = threadIdx.x, j = 0; word < last; word += threads, ++j) {
      float x[8] = {};
      if (word < all_) read(word, j, x), change(word, x);
      pack_word<terms, words>(x, word < all_, word, to_.word(word, 0),
                              to_.sum(word / (4 * words), 0));
    }
    if (threadIdx.x < 4 * terms)
      to_.sums[(groups_ + 3) / 4 * 4 + static_cast<int>(threadIdx.x)] = 0;
    __syncthreads();
  }

 private:
  __device__ void find_factor() {
    __shared__ float shared[32];
    float squares = 0;
    for (int word = threadIdx.x; word < all_; word += threads) {
      float x[8];
      load(word, x);
      if (word < threads)
        for (int i = 0; i < 8; ++i) first_[i] = x[i];
      for (int i = 0; i < 8; ++i) squares += x[i] * x[i];
    }
    squares = of_block(squares, shared, [](float a, float b) { return a + b; });
    factor_ = 1.f / math::sqrt(squares / static_cast<float>(8 * all_) + beside_.eps);
  }
  __device__ void load(int word, float (&x)[8]) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = numbers_[word * 8 + i];
  }
  // The thread's j-th word. A norm has seen all, and the first is still there.
  __device__ void read(int word, int j, float (&x)[8]) const {
    if (!beside_.normed || j > 0) return load(word, x);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = first_[i];
  }
  __device__ void change(int word, float (&x)[8]) const {
    if (beside_.times)
#pragma unroll
      for (int i = 0; i < 8; ++i)
        x[i] = x[i] * ops::Sigmoid::value(x[i]) * beside_.times[word * 8 + i];
    if (!beside_.normed) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] *= factor_;
    if (!beside_.weight) return;
    if (beside_.weight_type == float_column)
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] *= static_cast<const float*>(beside_.weight)[word * 8 + i];
    else
      for (int i = 0; i < 8; ++i)
        x[i] *= read_number<float>(beside_.weight, beside_.weight_type, word * 8 + i);
  }

  const float* numbers_;
  const Neighbours& beside_;
  Packed<terms, 1> to_;
  int all_, groups_;
  float first_[8] = {}, factor_ = 1;
};

}  // namespace tarn::cuda::few
