// What attention of many queries reads: keys and values, which one warpgroup of a block brings to
// shared memory for the others, and the queries of those.
#pragma once

#include "cuda/rows.h"
#include "cuda/terms.cuh"
#include "cuda/warpgroup.cuh"

namespace tarn::cuda::many_queries {

constexpr int consumers = 2;  // warpgroups
constexpr int block_rows = consumers * group::rows;
constexpr int threads = (consumers + 1) * group::threads;
constexpr float none = -__builtin_inff();

template <class T, int dim, int terms>
struct Sizes {
  static constexpr int keys = terms == 1 && dim <= 128 ? 128 : 64;  // of a tile
  static constexpr int stages = terms == 2 && dim == 256 ? 1 : dim == 256 ? 2 : 3;
  static constexpr int blocks = dim / group::block_columns;
  static constexpr int query_bytes = block_rows * dim * 2;  // of a term
  static constexpr int tile_bytes = keys * dim * 2;
  static constexpr int bytes = terms * query_bytes + 2 * stages * tile_bytes + 1024;
};
// Turns of the tiles' places: those of keys, then those of values.
template <int stages>
struct Turns {
  uint64_t full[2][stages], empty[2][stages];

  __device__ void set() {
    for (int which = 0; which < 2; ++which)
      for (int s = 0; s < stages; ++s) {
        group::set_barrier(&full[which][s], group::threads);
        group::set_barrier(&empty[which][s], consumers * group::threads / 32);
      }
  }
};

// What a block computes: rows of one head, over tiles of keys from the last to the first.
struct Task {
  int batch, head, kv_head, first_row, length, first_key, tiles;
};
// The place of a column's 16 bytes in a block of 64 columns, in bytes.
__device__ inline int place_in_row(int row, int piece) {
  return row * group::row_bytes + ((piece ^ row) % 8) * 16;
}

// Keys and values on their way: all threads of the last warpgroup.
template <class T, int dim, int terms>
class Bringer {
  using Size = Sizes<T, dim, terms>;
  using Ring = Turns<Size::stages>;

 public:
  __device__ Bringer(const AttentionCall& c, const Task& t, unsigned tiles, Ring& turns)
      : length_(t.length), tiles_(tiles), turns_(turns) {
    const T* from[2] = {
        static_cast<const T*>(c.k) + t.batch * c.k_at[0] + t.kv_head * c.k_at[1] + piece_ * 8,
        static_cast<const T*>(c.v) + t.batch * c.v_at[0] + t.kv_head * c.v_at[1] + piece_ * 8};
    step_[0] = c.k_at[2], step_[1] = c.v_at[2];
    for (int which = 0; which < 2; ++which) {
      from_[which] = from[which];
      in_lines_[which] =
          reinterpret_cast<uintptr_t>(from[which]) % 16 == 0 && step_[which] % 8 == 0;
    }
  }
  // Values are needed later than keys.
  __device__ void bring(const Task& t) {
#pragma unroll 1
    for (int i = 0; i <= t.tiles; ++i) {
      if (i < t.tiles) bring(t, 0, i);
      if (i > 0) bring(t, 1, i - 1);
    }
  }

 private:
  static constexpr int pieces = dim / 8, at_a_time = group::threads / pieces;

  __device__ void bring(const Task& t, int which, int i) {
    const int stage = i % Size::stages;
    group::await(&turns_.empty[which][stage], (i / Size::stages + 1) % 2);
    copy(which, t.first_key + (t.tiles - 1 - i) * Size::keys, stage);
    in_lines_[which] ? group::arrive_with_copies(&turns_.full[which][stage])
                     : group::arrive(&turns_.full[which][stage]);
  }
  __device__ void copy(int which, int first, int stage) const {
    const unsigned to = tiles_ + (which * Size::stages + stage) * Size::tile_bytes +
                        piece_ / 8 * Size::keys * group::row_bytes;
    const T* from = from_[which] + (first + row_) * step_[which];
    if (!in_lines_[which]) return copy_slowly(to, from, which, first);
    const int64_t step = at_a_time * step_[which];
    if (first + Size::keys <= length_) {
#pragma unroll
      for (int row = 0; row < Size::keys; row += at_a_time, from += step)
        copy_piece(to + place_in_row(row_ + row, piece_ % 8), from, 16);
    } else {
#pragma unroll 1
      for (int row = 0; row < Size::keys; row += at_a_time, from += step) {
        const bool there = first + row_ + row < length_;
        copy_piece(to + place_in_row(row_ + row, piece_ % 8), there ? from : from_[which],
                   there ? 16 : 0);
      }
    }
  }
  // Nothing but zeros behind the first `bytes`.
  static __device__ void copy_piece(unsigned to, const T* from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
  }
  __device__ void copy_slowly(unsigned to, const T* from, int which, int first) const {
#pragma unroll 1
    for (int row = 0; row < Size::keys; row += at_a_time, from += at_a_time * step_[which])
#pragma unroll 1
      for (int i = 0; i < 8; ++i) {
        const ops::u16 x = first + row_ + row < length_ ? from[i].bits : ops::u16{0};
        asm volatile(
            "st.shared.b16 [%0], %1;" ::"r"(to + place_in_row(row_ + row, piece_ % 8) + 2 * i),
            "h"(x)
            : "memory");
      }
  }

  const int piece_ = static_cast<int>(threadIdx.x) % pieces;
  const int row_ = static_cast<int>(threadIdx.x) % group::threads / pieces, length_;
  const T* from_[2];
  int64_t step_[2];
  bool in_lines_[2];
  const unsigned tiles_;
  Ring& turns_;
};

// What queries are: of two terms float32.
template <class T, int terms>
struct QueryType {
  using Type = T;
};
template <class T>
struct QueryType<T, 2> {
  using Type = float;
};
template <class Q>
__device__ void read_eight(const Q* q, float (&x)[8]) {
  if (reinterpret_cast<uintptr_t>(q) % 16 == 0) {
    union {
      uint4 lines[sizeof(Q) / 2];
      Q numbers[8];
    } u;
#pragma unroll
    for (unsigned i = 0; i < sizeof(Q) / 2; ++i) u.lines[i] = reinterpret_cast<const uint4*>(q)[i];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = wide(u.numbers[i]);
  } else {
    for (int i = 0; i < 8; ++i) x[i] = wide(q[i]);
  }
}
// The 64 queries of a warpgroup, eight columns at a time.
template <class T, int dim, int terms>
__device__ void read_queries(const AttentionCall& c, const Task& t, unsigned queries, int mine) {
  using Q = typename QueryType<T, terms>::Type;
  constexpr int pieces = dim / 8;
  const int64_t base = t.batch * c.q_at[0] + t.head * c.q_at[1];
#pragma unroll 1
  for (int at = threadIdx.x % group::threads; at < group::rows * pieces; at += group::threads) {
    const int row = mine * group::rows + at / pieces, piece = at % pieces;
    const int query = t.first_row + row;
    float x[8] = {};
    if (query < c.queries)
      read_eight<Q>(static_cast<const Q*>(c.q) + base + query * c.q_at[2] + piece * 8, x);
    const unsigned to =
        queries + piece / 8 * block_rows * group::row_bytes + place_in_row(row, piece % 8);
    T of[8][2];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if constexpr (terms == 2)
        split(x[i], of[i]);
      else
        of[i][0] = narrow<T>(x[i]);
    }
#pragma unroll
    for (int term = 0; term < terms; ++term) {
      unsigned w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) w[i] = of[2 * i][term].bits | of[2 * i + 1][term].bits << 16;
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(
                       to + term * Sizes<T, dim, terms>::query_bytes),
                   "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3])
                   : "memory");
    }
  }
  group::show_to_products();
  group::meet(1 + mine, group::threads);
}

}  // namespace tarn::cuda::many_queries
