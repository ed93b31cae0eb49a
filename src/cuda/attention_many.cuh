// Attention of many queries: two warpgroups of a block have 64 each.
//
// Scores are products of queries and keys in shared memory; weights are taken from them in
// registers, where the second product reads them. Of 16-bit queries that is one term, of float32
// two of the keys' type, and two of the weights.
#pragma once

#include "cuda/attention_tiles.cuh"
#include "cuda/scores.cuh"

namespace tarn::cuda::many_queries {

// 64 queries of one head: a warpgroup.
template <class T, int dim, int terms, bool general>
class Attender {
  using Size = Sizes<T, dim, terms>;
  using Ring = Turns<Size::stages>;
  static constexpr int keys = Size::keys;
  using Scores = group::Product<T, keys>;
  using Sums = group::Product<T, dim, true>;

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
    read_queries<T, dim, terms>(c, t, queries, mine_);
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
  // Sums are scaled anew only where a score would weigh more than 2 to this, which takes longer
  // than it saves where they are few.
  static constexpr float most_growth = dim > 64 ? 8 : 0;

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

  // Weights of scores, of which the largest so far of a row becomes 1, or 2^most_growth at most.
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
      const bool grown = top - top_[r] > (general ? most_growth / log2_e : most_growth);
      if (!grown && top_[r] != none) top = top_[r];
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
    if (most_growth > 0 && !__any_sync(~0u, before_[0] != 1 || before_[1] != 1)) return;
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
