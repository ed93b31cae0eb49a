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

#include "cuda/attention_back.h"
#include "cuda/numbers.cuh"
#include "cuda/terms.cuh"
#include "cuda/warpgroup.cuh"

namespace tarn::cuda::back {

using T = ops::Bfloat;
constexpr int consumers = 2;  // warpgroups
constexpr int block_rows = consumers * group::rows;
constexpr int threads = (consumers + 1) * group::threads;
constexpr int columns = 64, stages = 3;

template <int dim>
struct Sizes {
  static constexpr int row_bytes = block_rows * dim * 2;  // of each of a block's two matrices
  static constexpr int tile_bytes = columns * dim * 2;    // of each of a tile's two
  static constexpr int told_bytes = columns * int{sizeof(float2)};
  static constexpr int bytes = 2 * row_bytes + stages * (2 * tile_bytes + told_bytes) + 1024;
};
struct Turns {
  uint64_t full[stages], empty[stages];

  __device__ void set() {
    for (int s = 0; s < stages; ++s) {
      group::set_barrier(&full[s], group::threads);
      group::set_barrier(&empty[s], consumers * group::threads / 32);
    }
  }
};
// Where a block's parts are in shared memory.
template <int dim>
struct Room {
  using Size = Sizes<dim>;
  unsigned rows = 0;
  __device__ unsigned matrix(int which) const { return rows + which * Size::row_bytes; }
  __device__ unsigned tile(int which, int stage) const {
    return rows + 2 * Size::row_bytes + (2 * stage + which) * Size::tile_bytes;
  }
  __device__ unsigned told(int stage) const { return tile(0, stages) + stage * Size::told_bytes; }
};

// What a block walks over: its rows, and the columns of each step.
struct Walk {
  const T *rows[2], *columns[2];  // of the head; those that rows share lie behind each other
  const float2* told;             // of the columns, where those are queries
  int row_count, column_count, first_row, first_tile, tiles, steps;
  int shift;  // keys in front of the first query's own

  __device__ int column(int step) const { return (first_tile + step % tiles) * columns_each; }
  __device__ int head(int step) const { return step / tiles; }

 private:
  static constexpr int columns_each = back::columns;
};

// Nothing but zeros behind the first `bytes`.
__device__ inline void copy_piece(unsigned to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
// Rows first, first + 1, ... of `count` rows at `from`, to a matrix of `rows`, by `team` threads.
template <int dim, int rows, int team>
__device__ void copy_rows(unsigned to, const T* from, int first, int count, int thread) {
  constexpr int pieces = dim / 8, at_a_time = team / pieces;
  const int piece = thread % pieces;
  to += piece / 8 * rows * group::row_bytes;
  from += static_cast<int64_t>(first) * dim + piece * 8;
#pragma unroll
  for (int i = 0; i < rows; i += at_a_time) {
    const int row = i + thread / pieces;
    const bool there = first + row < count;
    copy_piece(to + row * group::row_bytes + ((piece ^ row) % 8) * 16,
               there ? from + row * dim : from, there ? 16 : 0);
  }
}

// Columns on their way: all threads of the last warpgroup.
template <int dim, bool of_keys>
__device__ void bring(const Walk& w, const Room<dim>& room, Turns& turns) {
  const int thread = threadIdx.x % group::threads;
  const int64_t head_size = static_cast<int64_t>(w.column_count) * dim;
  const int64_t told_size = (w.column_count + block_rows - 1) / block_rows * block_rows;
#pragma unroll 1
  for (int i = 0; i < w.steps; ++i) {
    const int stage = i % stages, first = w.column(i), head = of_keys ? w.head(i) : 0;
    group::await(&turns.empty[stage], (i / stages + 1) % 2);
#pragma unroll
    for (int which = 0; which < 2; ++which)
      copy_rows<dim, columns, group::threads>(room.tile(which, stage),
                                              w.columns[which] + head * head_size, first,
                                              w.column_count, thread);
    if (of_keys && thread < columns / 2)
      copy_piece(room.told(stage) + thread * 16, w.told + head * told_size + first + 2 * thread,
                 16);
    group::arrive_with_copies(&turns.full[stage]);
  }
}

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
    asm volatile("cp.async.wait_all;" ::: "memory");
    group::show_to_products();
    group::meet(1, consumers * group::threads);
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

  __device__ int row(int r) const {
    return w_.first_row + mine_ * group::rows + warp_ * 16 + g_ + 8 * r;
  }
  // Whether some score of the tile does not count.
  __device__ bool is_cut(int first) const {
    const int first_row = w_.first_row + mine_ * group::rows;
    if (of_keys) return c_.causal && first_row + group::rows - 1 > first + w_.shift;
    return first + columns > w_.column_count ||
           (c_.causal && first + columns - 1 > first_row + w_.shift);
  }
  __device__ bool counts(int row, int column) const {
    if (of_keys) return !c_.causal || row <= column + w_.shift;
    return column < w_.column_count && (!c_.causal || column <= row + w_.shift);
  }
  __device__ void hide(float (&scores)[columns / 2], int first) const {
    if (!is_cut(first)) return;
#pragma unroll
    for (int j = 0; j < columns / 8; ++j)
#pragma unroll
      for (int at = 0; at < 4; ++at)
        if (!counts(row(at / 2), first + 8 * j + 2 * t4_ + at % 2)) scores[4 * j + at] = none;
  }
  static __device__ float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
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
  // As the left operand of a product.
  static __device__ void pack(unsigned (&to)[columns / 4], const float (&from)[columns / 2]) {
#pragma unroll
    for (int i = 0; i < columns / 4; ++i) to[i] = pair_of<T>(from[2 * i], from[2 * i + 1]);
  }
  // `at`: of the head's first row.
  __device__ void store(const float (&of)[dim / 2], void* to, int64_t at, float factor) const {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (row(r) >= w_.row_count) continue;
      const int64_t first = at + static_cast<int64_t>(row(r)) * dim + 2 * t4_;
#pragma unroll
      for (int j = 0; j < dim / 8; ++j) {
        const float x = of[4 * j + 2 * r] * factor, y = of[4 * j + 2 * r + 1] * factor;
        if (c_.type == float_column)
          *reinterpret_cast<float2*>(static_cast<float*>(to) + first + 8 * j) = {x, y};
        else
          *reinterpret_cast<unsigned*>(static_cast<T*>(to) + first + 8 * j) = pair_of<T>(x, y);
      }
    }
  }

  static constexpr float none = -__builtin_inff();
  const AttentionBackCall& c_;
  const Walk& w_;
  const Room<dim>& room_;
  Turns& turns_;
  const float scale_;
  const int mine_ = static_cast<int>(threadIdx.x / group::threads);
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
