// The derivative of attention without the matrix of scores, in two kernels that walk the same way:
// a block keeps 128 rows, and tiles of 64 columns pass through its shared memory.
//
// With P the weights, dP = g vᵀ and dS = P (dP - rowsum(P dP)). Where rows are queries, they are
// walked over twice: for what a row's scores and slopes sum up to, then for dq = dS k. Where rows
// are keys, all queries of the heads that share them pass by: dk = dSᵀ q and dv = Pᵀ g. So every
// sum has one order. rowsum(P dP) is taken from the numbers that dS is, and not from g times the
// output: where one key has nearly all of a row's weight, little but their difference would be
// left.
#pragma once

#include "cuda/attention_back_tiles.cuh"

namespace tarn::cuda::back {

// 64 rows of a block: a warpgroup.
template <int dim, bool of_keys>
class Walker {
  using Scores = group::Product<T, columns>;
  using Sums = group::Product<T, dim, true>;

 public:
  __device__ Walker(const AttentionBackCall& c, const Walk& w, const Room<dim>& room, Turns& turns)
      : c_(c), w_(w), room_(room), turns_(turns), scale_(c.scale * log2_e) {
#pragma unroll
    for (int which = 0; which < 2; ++which)
      copy_rows<dim, block_rows, consumers * group::threads>(room.matrix(which), w.rows[which],
                                                             w.first_row, w.row_count, threadIdx.x);
    await_copies();
  }
  // Of queries: their numbers, and dq.
  __device__ void walk_twice(float2* told, void* dq, int64_t at) {
    int i = 0;
#pragma unroll 1
    for (; i + 1 < w_.tiles; i += 2) note_two(i);
    if (i < w_.tiles) note_one(i);
    settle(told);
    walk_from(w_.tiles);
    store(of_[0], dq, at, c_.scale);
  }
  // Of keys: dk and dv.
  __device__ void walk(void* dk, void* dv, int64_t at) {
    walk_from(0);
    store(of_[0], dk, at, c_.scale);
    store(of_[1], dv, at, 1);
  }

 private:
  static constexpr float log2_e = 1.4426950408889634f;

  // `at`: of the head's first row.
  __device__ void store(const float (&of)[dim / 2], void* to, int64_t at, float factor) const {
#pragma unroll
    for (int r = 0; r < 2; ++r)
      if (row(r) < w_.row_count)
        store_row<dim>(of, r, to, c_.type, at + static_cast<int64_t>(row(r)) * dim + 2 * t4_,
                       factor);
  }

  // The tile's scores and slopes, in one of two places.
  template <int place>
  __device__ void ask(int i) {
    group::await(&turns_.full[i % stages], i / stages % 2);
    group::show_to_products();
    group::begin_products();
    ask(scores_[place], 0, i);
    ask(slopes_[place], 1, i);
  }
  // Rows times columns.
  __device__ void ask(float (&d)[columns / 2], int which, int i) {
    const unsigned rows = room_.matrix(which) + mine_ * group::rows * group::row_bytes;
    const unsigned tile = room_.tile(which, i % stages);
#pragma unroll
    for (int step = 0; step < dim / 16; ++step) {
      const unsigned block = step / 4, inside = step % 4 * 32;
      Scores::add_to(d, group::place_of_rows(rows + block * block_rows * group::row_bytes + inside),
                     group::place_of_rows(tile + block * columns * group::row_bytes + inside),
                     step > 0);
    }
    group::end_products();
  }
  // Weights or slopes times columns.
  __device__ void ask_sums(int to, const unsigned (&factors)[columns / 4], int which, int i) {
    const unsigned tile = room_.tile(which, i % stages);
#pragma unroll
    for (int step = 0; step < columns / 16; ++step)
      Sums::add_to(
          of_[to], factors + 4 * step,
          group::place_of_columns(tile + step * 16 * group::row_bytes, columns * group::row_bytes),
          added_ || step > 0);
  }
  // The warp has no more use for the tile.
  __device__ void leave(int i) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) group::arrive(&turns_.empty[i % stages]);
  }

  __device__ int row(int r) const { return row_ + warp_ * 16 + g_ + 8 * r; }
  __device__ void hide(float (&scores)[columns / 2], int first) const {
    if (!w_.is_cut<of_keys>(row_, first)) return;
#pragma unroll
    for (int j = 0; j < columns / 8; ++j)
#pragma unroll
      for (int at = 0; at < 4; ++at)
        if (!w_.counts<of_keys>(row(at / 2), first + 8 * j + 2 * t4_ + at % 2))
          scores[4 * j + at] = none;
  }
  __device__ void note_one(int i) {
    ask<0>(i);
    group::await_products<0>();
    leave(i);
    note<0>(i);
  }
  // The second tile's scores and slopes are on their way while the first's are noted. (None are
  // from one round of a loop to the next, where the compiler would wait for each product.)
  __device__ void note_two(int i) {
    ask<0>(i);
    ask<1>(i + 1);
    group::await_products<2>();
    leave(i);
    note<0>(i);
    group::await_products<0>();
    leave(i + 1);
    note<1>(i + 1);
  }
  // Of a tile's scores and slopes: the largest score so far of a row has the weight 1.
  template <int place>
  __device__ void note(int i) {
    float scores[columns / 2];
    const float(&slopes)[columns / 2] = slopes_[place];
#pragma unroll
    for (int at = 0; at < columns / 2; ++at) scores[at] = scores_[place][at] * scale_;
    hide(scores, w_.column(i));
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float top = top_[r];
#pragma unroll
      for (int j = 0; j < columns / 8; ++j)
        top = fmaxf(top, fmaxf(scores[4 * j + 2 * r], scores[4 * j + 2 * r + 1]));
#pragma unroll
      for (int step = 1; step < 4; step *= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, step));
      const float before = power(top_[r] - top);
      top_[r] = top, sum_[r] *= before, dot_[r] *= before;
#pragma unroll
      for (int j = 0; j < columns / 8; ++j)
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          const int at = 4 * j + 2 * r + k;
          const float p = power(scores[at] - top);
          sum_[r] += p, dot_[r] += p * slopes[at];
        }
    }
  }
  // A row's numbers: what a weight's exponent is less, and the mean slope. Rows that are none have
  // zeros, with which nothing comes of them.
  __device__ void settle(float2* told) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
#pragma unroll
      for (int step = 1; step < 4; step *= 2) {
        sum_[r] += __shfl_xor_sync(~0u, sum_[r], step);
        dot_[r] += __shfl_xor_sync(~0u, dot_[r], step);
      }
      const bool there = row(r) < w_.row_count;
      less_[r] = there ? top_[r] + log2f(sum_[r]) : 0;
      means_[r] = there ? dot_[r] / sum_[r] : 0;
      if (t4_ == 0) told[row(r)] = {less_[r], means_[r]};
    }
  }

  __device__ void read_told(int i) {
    const float2* from = w_.told + w_.head(i) * w_.told_size + w_.column(i);
    const float4 two = reinterpret_cast<const float4*>(from)[threadIdx.x % 32];
    less_[0] = two.x, less_[1] = two.z, means_[0] = two.y, means_[1] = two.w;
  }
  // From a step to the last. Sums are on their way while the next tile's scores and slopes are,
  // unless registers do not suffice.
  __device__ void walk_from(int first) {
    constexpr bool overlap = !of_keys || dim == 64;
#pragma unroll 1
    for (int i = first; i < w_.steps; ++i) {
      if constexpr (of_keys) read_told(i);
      ask<0>(i);
      group::await_products<1>();
      if (overlap && i > first) leave(i - 1);
      hide(scores_[0], w_.column(i));
      weigh();
      group::await_products<0>();
      slope();
      group::begin_products();
      if constexpr (of_keys) ask_sums(1, weights_, 1, i);
      ask_sums(0, slants_, 0, i);
      group::end_products();
      added_ = true;
      if constexpr (!overlap) {
        group::await_products<0>();
        leave(i);
      }
    }
    group::await_products<0>();
  }
  // One of what is known of two queries: of the rows of elements 4 j to 4 j + 3, or their columns,
  // whose numbers lane 4 j + t4 has.
  __device__ float known(const float (&of)[2], int j, int which) const {
    return of_keys ? __shfl_sync(~0u, of[which], 4 * j + t4_) : of[which];
  }
  // f of each element and its query's number.
  template <class F>
  __device__ void with_known(const float (&of)[2], F f) const {
#pragma unroll
    for (int j = 0; j < columns / 8; ++j) {
      const float x[2] = {known(of, j, 0), known(of, j, 1)};
#pragma unroll
      for (int at = 0; at < 4; ++at) f(4 * j + at, x[of_keys ? at % 2 : at / 2]);
    }
  }
  __device__ void weigh() {
    float(&s)[columns / 2] = scores_[0];
    with_known(less_, [&](int at, float less) { s[at] = power(s[at] * scale_ - less); });
    if constexpr (of_keys) pack(weights_, s);
  }
  __device__ void slope() {
    float(&s)[columns / 2] = slopes_[0];
    with_known(means_, [&](int at, float mean) { s[at] = scores_[0][at] * (s[at] - mean); });
    pack(slants_, s);
  }

  static constexpr float none = -__builtin_inff();
  const AttentionBackCall& c_;
  const Walk& w_;
  const Room<dim>& room_;
  Turns& turns_;
  const float scale_;
  const int mine_ = static_cast<int>(threadIdx.x / group::threads);
  const int row_ = w_.first_row + mine_ * group::rows;  // the warpgroup's first
  const int warp_ = threadIdx.x % group::threads / 32, g_ = threadIdx.x % 32 / 4,
            t4_ = threadIdx.x % 4;
  bool added_ = false;
  float top_[2] = {none, none}, sum_[2] = {}, dot_[2] = {};
  float less_[2], means_[2];  // of queries: the thread's rows, or columns 2 lane and 2 lane + 1
  float scores_[of_keys ? 1 : 2][columns / 2], slopes_[of_keys ? 1 : 2][columns / 2];
  float of_[of_keys ? 2 : 1][dim / 2];
  unsigned weights_[columns / 4], slants_[columns / 4];
};

}  // namespace tarn::cuda::back
