// Attention of one query over keys and values of 16 bits, on tensor cores.
//
// A warp takes 16 keys at a time. Scores are m16n8k16 with keys as the left operand, as they lie in
// memory, and as the columns of the right one queries in two terms, which hold 16 bits and more of
// a float: four heads. Columns of keys are dealt to lanes in eights, and so are those of queries.
// Weights are the left operand of the second product, in two terms likewise, a row each; pairs of
// values' rows are put together for the right one.
#pragma once

#include "cuda/attention_one.cuh"

namespace tarn::cuda::one_query {

constexpr int most_heads_of_halves = 4;  // of a block, which share keys

// The product's rows g and g + 8 of columns 2 t and 2 t + 1 are added to c.
template <class T>
__device__ void multiply_add(float (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                             unsigned b0, unsigned b1) {
  if constexpr (__is_same(T, ops::Half))
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
template <class T, int dim, int heads>
class AttenderOfHalves : public Opening<T, dim> {
 public:
  static_assert(heads <= most_heads_of_halves);
  static constexpr int terms = 2;
  static constexpr int padded = dim + 32;  // so that neighbouring rows lie in other banks
  // Shared by the block.
  struct Room {
    alignas(16) T query[heads * terms][padded];
    News<T, dim> news;
    Totals<dim, heads> of_warps[warps];
  };

  __device__ AttenderOfHalves(const OneQueryCall& o, const Heads& h, Room& room)
      : Opening<T, dim>(o, h), room_(room) {
    keys_ = static_cast<const T*>(c_.k) + first_key_ + t_ * part;
    values_ = static_cast<const T*>(c_.v) + first_value_ + g_ * part;
  }
  // Before the queue's turn: what does not wait for it, keys among that.
  __device__ void prepare() {
    if (first_of_warp() < length_) read(first_of_warp());
    this->find_angles();
  }
  __device__ void take_in() {
    this->template read_new<heads>(room_.news, [&](int head, int column, float x) {
      T of[terms];
      split(x, of);
      for (int i = 0; i < terms; ++i) room_.query[head * terms + i][column] = of[i];
    });
    __syncthreads();
  }
  __device__ void attend() {
    const int mine = first_of_warp(), stride = keys_at_a_time * warps * static_cast<int>(gridDim.x);
#pragma unroll 1
    for (int first = mine; first < length_; first += stride) {
      if (first > mine) read(first);
      look(first);
    }
    hand_over();
    __syncthreads();
  }

 private:
  using Base = Opening<T, dim>;
  using Base::c_, Base::length_, Base::fresh_, Base::fresh_value_, Base::first_key_,
      Base::first_value_;
  static constexpr int keys_at_a_time = 16;
  static constexpr int key_lines = dim / 32, value_lines = dim / 64;  // of a lane, in a row

  static __device__ int first_of_warp() {
    const int blocks = static_cast<int>(gridDim.x), warp = static_cast<int>(threadIdx.x / 32);
    return (warp * blocks + static_cast<int>(blockIdx.x)) * keys_at_a_time;
  }
  // Past the end: the first one.
  __device__ int present(int key) const { return key < length_ ? key : 0; }
  static __device__ int value_row(int r) { return r / 2 * 8 + r % 2; }

  // Asks for the keys from `first` on, of which the lane has rows g and g + 8, and for their
  // values, of which it has rows 2 t, 2 t + 1, 2 t + 8 and 2 t + 9.
  __device__ void read(int first) {
#pragma unroll
    for (int r = 0; r < 2; ++r)
#pragma unroll
      for (int i = 0; i < key_lines; ++i)
        k_[r][i] = line(keys_ + present(first + g_ + 8 * r) * c_.k_at[2] + 32 * i);
#pragma unroll
    for (int r = 0; r < 4; ++r)
#pragma unroll
      for (int i = 0; i < value_lines; ++i)
        v_[r][i] = line(values_ + present(first + 2 * t_ + value_row(r)) * c_.v_at[2] + 64 * i);
  }
  static __device__ uint4 line(const T* from) { return *reinterpret_cast<const uint4*>(from); }
  // The new ones are not in memory yet.
  __device__ void renew(int first) {
#pragma unroll
    for (int r = 0; r < 2; ++r)
      if (present(first + g_ + 8 * r) == fresh_)
#pragma unroll
        for (int i = 0; i < key_lines; ++i) k_[r][i] = line(room_.news.key + 32 * i + t_ * part);
#pragma unroll
    for (int r = 0; r < 4; ++r)
      if (present(first + 2 * t_ + value_row(r)) == fresh_value_)
#pragma unroll
        for (int i = 0; i < value_lines; ++i)
          v_[r][i] = line(room_.news.value + 64 * i + g_ * part);
  }

  __device__ void look(int first) {
    renew(first);
    float scores[2];  // of keys g and g + 8, for head t
    find_scores(scores);
    float higher = top_;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (first + g_ + 8 * r >= length_) scores[r] = 2 * none_so_far;
      higher = fmaxf(higher, scores[r]);
    }
#pragma unroll
    for (int step = 4; step < 32; step *= 2)
      higher = fmaxf(higher, __shfl_xor_sync(~0u, higher, step));
    const float before = power(top_ - higher);
    top_ = higher;
    float weights[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) weights[r] = power(scores[r] - higher);
    sum_ = sum_ * before + weights[0] + weights[1];
    const float of_row = __shfl_sync(~0u, before, g_ % 4);
#pragma unroll
    for (auto& of_line : of_)
#pragma unroll
      for (auto& of : of_line) of[0] *= of_row, of[1] *= of_row;
    add_values(weights);
  }
  __device__ void find_scores(float (&scores)[2]) const {
    float sums[2][4] = {};
    const T* query = room_.query[g_ % (heads * terms)] + t_ * part;
#pragma unroll
    for (int i = 0; i < key_lines; ++i) {
      const uint4 q = line(query + 32 * i), a = k_[0][i], b = k_[1][i];
      multiply_add<T>(sums[0], a.x, b.x, a.y, b.y, q.x, q.y);
      multiply_add<T>(sums[1], a.z, b.z, a.w, b.w, q.z, q.w);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r)
      scores[r] = sums[0][2 * r] + sums[0][2 * r + 1] + (sums[1][2 * r] + sums[1][2 * r + 1]);
  }
  // Row g has term g / 4 of head g % 4, and the rows behind it nothing.
  __device__ void add_values(const float (&weights)[2]) {
    unsigned rows[2];  // of keys 2 t and 2 t + 1, and of those eight further on
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      unsigned pair[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        T of[terms];
        split(__shfl_sync(~0u, weights[r], (2 * t_ + i) * 4 + g_ % 4), of);
        pair[i] = (g_ < 4 ? of[0] : of[1]).bits;
      }
      rows[r] = pair[0] | pair[1] << 16;
    }
#pragma unroll
    for (int i = 0; i < value_lines; ++i)
#pragma unroll
      for (int j = 0; j < part; ++j) {
        const unsigned which = j % 2 == 0 ? 0x5410 : 0x7632;
        unsigned pairs[2];
#pragma unroll
        for (int r = 0; r < 2; ++r)
          pairs[r] = __byte_perm(word(v_[2 * r][i], j / 2), word(v_[2 * r + 1][i], j / 2), which);
        float c[4] = {of_[i][j][0], of_[i][j][1], 0, 0};
        multiply_add<T>(c, rows[0], 0, rows[1], 0, pairs[0], pairs[1]);
        of_[i][j][0] = c[0], of_[i][j][1] = c[1];
      }
  }
  static __device__ unsigned word(const uint4& line, int i) {
    return i == 0 ? line.x : i == 1 ? line.y : i == 2 ? line.z : line.w;
  }

  // What the warp's keys come to.
  __device__ void hand_over() {
#pragma unroll
    for (int step = 4; step < 32; step *= 2) sum_ += __shfl_xor_sync(~0u, sum_, step);
    Totals<dim, heads>& mine = room_.of_warps[threadIdx.x / 32];
    if (g_ == 0 && t_ < heads) mine.top[t_] = top_, mine.sum[t_] = sum_;
#pragma unroll
    for (int i = 0; i < value_lines; ++i)
#pragma unroll
      for (int column = 0; column < 2; ++column) {
        Part<float> sums;
#pragma unroll
        for (int j = 0; j < part; ++j) {
          const float x = of_[i][j][column];
          sums.of[j] = x + __shfl_xor_sync(~0u, x, 16);
        }
        if (g_ < heads)
          *reinterpret_cast<Part<float>*>(&mine.of[g_][64 * i + (2 * t_ + column) * part]) = sums;
      }
  }

  Room& room_;
  const int g_ = threadIdx.x % 32 / 4, t_ = threadIdx.x % 4;
  const T *keys_ = nullptr, *values_ = nullptr;
  uint4 k_[2][key_lines], v_[4][value_lines];
  float top_ = none_so_far, sum_ = 0;    // of head t
  float of_[value_lines][part][2] = {};  // of row g of the second product
};

}  // namespace tarn::cuda::one_query
