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
      told_[r] = there ? float2{top_[r] + log2f(sum_[r]), dot_[r] / sum_[r]} : float2{};
      if (t4_ == 0) told[row(r)] = told_[r];
    }
  }

  // From a step to the last. Sums are on their way while the next tile's scores and slopes are,
  // unless registers do not suffice.
  __device__ void walk_from(int first) {
    constexpr bool overlap = !of_keys || dim == 64;
#pragma unroll 1
    for (int i = first; i < w_.steps; ++i) {
      ask<0>(i);
      group::await_products<1>();
      if (overlap && i > first) leave(i - 1);
      hide(scores_[0], w_.column(i));
      weigh(i);
      group::await_products<0>();
      slope(i);
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
  // What is known of the queries of elements 4 j to 4 j + 3: of their columns, or rows.
  struct Told {
    float2 of[2];
    __device__ float2 operator[](int at) const { return of[of_keys ? at % 2 : at / 2]; }
  };
  __device__ Told told(int i, int j) const {
    if constexpr (!of_keys) return {told_[0], told_[1]};
    Told t;
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(t.of[0].x), "=f"(t.of[0].y), "=f"(t.of[1].x), "=f"(t.of[1].y)
                 : "r"(room_.told(i % stages) + (8 * j + 2 * t4_) * unsigned{sizeof(float2)}));
    return t;
  }
  __device__ void weigh(int i) {
#pragma unroll
    for (int j = 0; j < columns / 8; ++j) {
      const Told t = told(i, j);
#pragma unroll
      for (int at = 0; at < 4; ++at) {
        float& s = scores_[0][4 * j + at];
        s = power(s * scale_ - t[at].x);
      }
    }
    if constexpr (of_keys) pack(weights_, scores_[0]);
  }
  __device__ void slope(int i) {
#pragma unroll
    for (int j = 0; j < columns / 8; ++j) {
      const Told t = told(i, j);
#pragma unroll
      for (int at = 0; at < 4; ++at) {
        float& s = slopes_[0][4 * j + at];
        s = scores_[0][4 * j + at] * (s - t[at].y);
      }
    }
    pack(slants_, slopes_[0]);
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
  float2 told_[2];
  float scores_[of_keys ? 1 : 2][columns / 2], slopes_[of_keys ? 1 : 2][columns / 2];
  float of_[of_keys ? 2 : 1][dim / 2];
  unsigned weights_[columns / 4], slants_[columns / 4];
};

}  // namespace tarn::cuda::back
