// What attention of many queries works with: keys and values that one warpgroup of a block brings
// to shared memory, and the queries of the two others, 64 each.
//
// Scores are products of queries and keys in shared memory; weights are taken from them in
// registers, where the second product reads them. Of 16-bit queries that is one term, of float32
// two of the keys' type, and two of the weights.
#pragma once

#include "cuda/scores.cuh"
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

// 64 queries of one head: a warpgroup.
template <class T, int dim, int terms, bool general>
class Attender {
  using Size = Sizes<T, dim, terms>;
  using Ring = Turns<Size::stages>;
  static constexpr int keys = Size::keys;
  using Scores = group::Product<T, keys>;
  using Sums = group::Product<T, dim, true>;
  template <int of, class = void>
  struct QueryType {
    using Type = T;
  };
  template <class Same>
  struct QueryType<2, Same> {
    using Type = float;
  };
  using Q = typename QueryType<terms>::Type;

 public:
  __device__ Attender(const AttentionCall& c, const Task& t, unsigned queries, unsigned tiles,
                      Ring& turns)
      : c_(c), t_(t), queries_(queries), tiles_(tiles), turns_(turns) {
    for (int r = 0; r < 2; ++r) {
      row_[r] = t.first_row + mine_ * group::rows + warp_ * 16 + g_ + 8 * r;
      const int position = t.length - static_cast<int>(c.queries) + row_[r];
      last_[r] = c.causal && position < t.length ? position : t.length - 1;
      first_[r] = c.window > 0 ? position - static_cast<int>(c.window) + 1 : 0;
      if (c.sinks) {
        const float sink = static_cast<const float*>(c.sinks)[t.head];
        top_[r] = general ? sink : sink * log2_e;
        sum_[r] = t4_ == 0;
      }
    }
    read_queries();
  }
  __device__ void attend() {
    ask_scores(0);
    group::await_products<0>();
    leave(0, 0);
    weigh(0);
    pack();
#pragma unroll 1
    for (int i = 1; i < t_.tiles; ++i) {
      ask_scores(i);
      ask_sums(i - 1);
      group::await_products<1>();
      leave(0, i);
      weigh(i);
      find_weights_first();
      group::await_products<0>();
      leave(1, i - 1);
      rescale();
      pack();
    }
    ask_sums(t_.tiles - 1);
    group::await_products<0>();
    store();
  }

 private:
  static constexpr float log2_e = 1.4426950408889634f;

  // Eight columns of a query at a time.
  __device__ void read_queries() {
    constexpr int pieces = dim / 8;
    const int64_t base = t_.batch * c_.q_at[0] + t_.head * c_.q_at[1];
#pragma unroll 1
    for (int at = threadIdx.x % group::threads; at < group::rows * pieces; at += group::threads) {
      const int row = mine_ * group::rows + at / pieces, piece = at % pieces;
      const int query = t_.first_row + row;
      float x[8] = {};
      if (query < c_.queries) read_eight(base + query * c_.q_at[2] + piece * 8, x);
      const unsigned to =
          queries_ + piece / 8 * block_rows * group::row_bytes + place_in_row(row, piece % 8);
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
        asm volatile(
            "st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to + term * Size::query_bytes),
            "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3])
            : "memory");
      }
    }
    group::show_to_products();
    group::meet(1 + mine_, group::threads);
  }
  __device__ void read_eight(int64_t from, float (&x)[8]) const {
    const auto* q = static_cast<const Q*>(c_.q) + from;
    if (reinterpret_cast<uintptr_t>(q) % 16 == 0) {
      union {
        uint4 lines[sizeof(Q) / 2];
        Q numbers[8];
      } u;
#pragma unroll
      for (unsigned i = 0; i < sizeof(Q) / 2; ++i)
        u.lines[i] = reinterpret_cast<const uint4*>(q)[i];
#pragma unroll
      for (int i = 0; i < 8; ++i) x[i] = wide(u.numbers[i]);
    } else {
      for (int i = 0; i < 8; ++i) x[i] = wide(q[i]);
    }
  }

  // Until a tile's keys or values are there, for products, too.
  __device__ void await_tile(int which, int i) {
    group::await(&turns_.full[which][i % Size::stages], i / Size::stages % 2);
    group::show_to_products();
  }
  __device__ void ask_scores(int i) {
    await_tile(0, i);
    const unsigned tile = tiles_ + i % Size::stages * Size::tile_bytes;
    const unsigned query = queries_ + mine_ * group::rows * group::row_bytes;
    group::begin_products();
#pragma unroll
    for (int step = 0; step < dim / 16; ++step)
#pragma unroll
      for (int term = 0; term < terms; ++term) {
        const unsigned block = step / 4, inside = step % 4 * 32;
        Scores::add_to(scores_,
                       group::place_of_rows(query + term * Size::query_bytes +
                                            block * block_rows * group::row_bytes + inside),
                       group::place_of_rows(tile + block * keys * group::row_bytes + inside),
                       step + term > 0);
      }
    group::end_products();
  }
  __device__ void ask_sums(int i) {
    await_tile(1, i);
    const unsigned tile = tiles_ + (Size::stages + i % Size::stages) * Size::tile_bytes;
    group::begin_products();
#pragma unroll
    for (int step = 0; step < keys / 16; ++step)
#pragma unroll
      for (int term = 0; term < terms; ++term)
        Sums::add_to(
            of_, weights_[term] + 4 * step,
            group::place_of_columns(tile + step * 16 * group::row_bytes, keys * group::row_bytes),
            i > 0 || step + term > 0);
    group::end_products();
  }
  // The warp has no more use for the tile's keys or values.
  __device__ void leave(int which, int i) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) group::arrive(&turns_.empty[which][i % Size::stages]);
  }

  // Weights of scores, of which the largest so far of a row becomes 1.
  __device__ void weigh(int i) {
    const int first = t_.first_key + (t_.tiles - 1 - i) * keys;
    hide(first);
    const float scale = general ? log2_e : c_.scale * log2_e;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float top = none;
#pragma unroll
      for (int j = 0; j < keys / 8; ++j)
        top = fmaxf(top, fmaxf(scores_[4 * j + 2 * r], scores_[4 * j + 2 * r + 1]));
#pragma unroll
      for (int step = 1; step < 4; step *= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, step));
      // In general a score times log2 e may be too large for a float.
      if (!general) top *= scale;
      top = fmaxf(top, top_[r]);
      const float safe = top == none ? 0 : top;
      before_[r] = power(general ? (top_[r] - safe) * log2_e : top_[r] - safe);
      top_[r] = top;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < keys / 8; ++j)
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          float& s = scores_[4 * j + 2 * r + k];
          s = power(general ? (s - safe) * scale : s * scale - safe);
          sum += s;
        }
      sum_[r] = sum_[r] * before_[r] + sum;
    }
  }
  // The compiler would wait for the values' sums before it takes powers, so that the tensor cores
  // idle meanwhile, but not before a branch that needs them. No sum of powers is negative.
  __device__ void find_weights_first() const {
    if (sum_[0] < 0 || sum_[1] < 0) asm volatile("nanosleep.u32 1;");
  }
  // Scores that do not count, and whatever else is done to scores.
  __device__ void hide(int first) {
    const int last_row = t_.length - static_cast<int>(c_.queries + 1) + mine_ * group::rows +
                         t_.first_row + group::rows;
    const int first_row = last_row - group::rows + 1;
    const bool cut = first + keys > t_.length || (c_.causal && first + keys - 1 > first_row) ||
                     (c_.window > 0 && last_row - first >= c_.window);
    if (!general && !cut) return;
#pragma unroll
    for (int j = 0; j < keys / 8; ++j)
#pragma unroll
      for (int at = 0; at < 4; ++at) {
        const int key = first + 8 * j + 2 * t4_ + at % 2, r = at / 2;
        float& s = scores_[4 * j + at];
        if constexpr (general) {
          Place p;
          p.query = row_[r];
          p.mask = t_.batch * c_.mask_at[0] + t_.head * c_.mask_at[1] + row_[r] * c_.mask_at[2];
          s = key < t_.length && row_[r] < c_.queries ? score_of(c_, p, t_.length, s, key) : none;
        } else {
          if (key < first_[r] || key > last_[r]) s = none;
        }
      }
  }
  static __device__ float power(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  __device__ void rescale() {
#pragma unroll
    for (int j = 0; j < dim / 8; ++j)
#pragma unroll
      for (int at = 0; at < 4; ++at) of_[4 * j + at] *= before_[at / 2];
  }
  // Weights as the left operand of the second product.
  __device__ void pack() {
#pragma unroll
    for (int i = 0; i < keys / 4; ++i) {
      const float x = scores_[2 * i], y = scores_[2 * i + 1];
      weights_[0][i] = pair_of<T>(x, y);
      if constexpr (terms == 2) {
        const T low{static_cast<ops::u16>(weights_[0][i])},
            high{static_cast<ops::u16>(weights_[0][i] >> 16)};
        weights_[1][i] = pair_of<T>(x - wide(low), y - wide(high));
      }
    }
  }
  __device__ void store() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float sum = sum_[r];
#pragma unroll
      for (int step = 1; step < 4; step *= 2) sum += __shfl_xor_sync(~0u, sum, step);
      if (row_[r] >= c_.queries) continue;
      const float factor = __fdividef(1, sum);
      const int64_t at =
          ((int64_t{t_.batch} * c_.q_heads + t_.head) * c_.queries + row_[r]) * dim + 2 * t4_;
#pragma unroll
      for (int j = 0; j < dim / 8; ++j) {
        const float x = of_[4 * j + 2 * r] * factor, y = of_[4 * j + 2 * r + 1] * factor;
        if constexpr (terms == 2)
          *reinterpret_cast<float2*>(static_cast<float*>(c_.out) + at + 8 * j) = {x, y};
        else
          *reinterpret_cast<unsigned*>(static_cast<T*>(c_.out) + at + 8 * j) = pair_of<T>(x, y);
      }
    }
  }

  const AttentionCall& c_;
  const Task& t_;
  const unsigned queries_, tiles_;
  Ring& turns_;
  const int mine_ = static_cast<int>(threadIdx.x / group::threads);
  const int warp_ = threadIdx.x % group::threads / 32, g_ = threadIdx.x % 32 / 4,
            t4_ = threadIdx.x % 4;
  int row_[2], first_[2], last_[2];  // queries, and the keys that each sees
  float top_[2] = {none, none}, sum_[2] = {}, before_[2] = {};
  float scores_[keys / 2], of_[dim / 2];
  unsigned weights_[terms][keys / 4];
};

}  // namespace tarn::cuda::many_queries
