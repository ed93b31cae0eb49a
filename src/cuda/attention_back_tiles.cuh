// What the derivative of attention reads and writes: a block's rows, and tiles of 64 columns, which
// one of its warpgroups brings to shared memory for the others.
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
  static constexpr int bytes = 2 * row_bytes + 2 * stages * tile_bytes + 1024;
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
};

// What a block walks over: its rows, and the columns of each step.
struct Walk {
  const T *rows[2], *columns[2];  // of the head; those that rows share lie behind each other
  const float2* told;             // of the columns, where those are queries: the first head's
  int64_t told_size;              // of a head
  int row_count, column_count, first_row, first_tile, tiles, steps;
  int shift;  // keys in front of the first query's own
  bool causal;

  __device__ int column(int step) const { return (first_tile + step % tiles) * columns_each; }
  __device__ int head(int step) const { return step / tiles; }
  // Whether some score of a warpgroup's rows and a tile, from the first of each on, does not count.
  template <bool of_keys>
  __device__ bool is_cut(int row, int column) const {
    if (of_keys) return causal && row + group::rows - 1 > column + shift;
    const int last = column + columns_each - 1;
    return last >= column_count || (causal && last > row + shift);
  }
  template <bool of_keys>
  __device__ bool counts(int row, int column) const {
    if (of_keys) return !causal || row <= column + shift;
    return column < column_count && (!causal || column <= row + shift);
  }

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

// Until what the warpgroups that multiply have asked for is there, for all of them.
__device__ inline void await_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
  group::show_to_products();
  group::meet(1, consumers * group::threads);
}

// Columns on their way: all threads of the last warpgroup.
template <int dim, bool of_keys>
__device__ void bring(const Walk& w, const Room<dim>& room, Turns& turns) {
  const int thread = threadIdx.x % group::threads;
  const int64_t head_size = static_cast<int64_t>(w.column_count) * dim;
#pragma unroll 1
  for (int i = 0; i < w.steps; ++i) {
    const int stage = i % stages, first = w.column(i), head = of_keys ? w.head(i) : 0;
    group::await(&turns.empty[stage], (i / stages + 1) % 2);
#pragma unroll
    for (int which = 0; which < 2; ++which)
      copy_rows<dim, columns, group::threads>(room.tile(which, stage),
                                              w.columns[which] + head * head_size, first,
                                              w.column_count, thread);
    group::arrive_with_copies(&turns.full[stage]);
  }
}

__device__ inline float power(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// As the left operand of a product.
__device__ inline void pack(unsigned (&to)[columns / 4], const float (&from)[columns / 2]) {
#pragma unroll
  for (int i = 0; i < columns / 4; ++i) to[i] = pair_of<T>(from[2 * i], from[2 * i + 1]);
}
// The thread's part of one of its two rows, from number `at` of `to` on.
template <int dim>
__device__ void store_row(const float (&of)[dim / 2], int r, void* to, int type, int64_t at,
                          float factor) {
#pragma unroll
  for (int j = 0; j < dim / 8; ++j) {
    const float x = of[4 * j + 2 * r] * factor, y = of[4 * j + 2 * r + 1] * factor;
    if (type == float_column)
      *reinterpret_cast<float2*>(static_cast<float*>(to) + at + 8 * j) = {x, y};
    else
      *reinterpret_cast<unsigned*>(static_cast<T*>(to) + at + 8 * j) = pair_of<T>(x, y);
  }
}

}  // namespace tarn::cuda::back
