// What the kernels of few_rows.cu read: x as bfloat16 terms, and 4-bit codes as they lie.
#pragma once

#include "cuda/matmul.h"
#include "cuda/numbers.cuh"

namespace tarn::cuda::few {

constexpr int threads = 256;           // of a block, where there is no reason for others
constexpr int outputs = 16;            // of a tile
constexpr int most_rows = 8;           // of x
constexpr int most_shared = 96 << 10;  // bytes for x; what every card of sm_80 and later has

struct Sums {
  float of[4] = {0, 0, 0, 0};  // outputs g and g + 8, each of rows 2t and 2t + 1 of x
};
struct Lane {
  int g, t;  // as in a fragment: g of 8, t of 4
};
__device__ inline Lane lane_of_thread() {
  int lane = threadIdx.x % 32;
  return {lane / 4, lane % 4};
}

// Two codes as bfloat16: by one logic operation 128 + code, and exact sums take the 128 off at
// once, others once a group. What stays in the sums costs them three bits.
template <bool exact>
__device__ unsigned two_codes(unsigned word) {
  unsigned both = (word & 0x000f000fu) | 0x43004300u;
  if constexpr (exact)
    asm("fma.rn.bf16x2 %0, %0, %1, %2;" : "+r"(both) : "r"(0x3f803f80u), "r"(0xc300c300u));
  return both;
}
template <bool exact>
inline constexpr float code_offset = exact ? 0 : 128;

__device__ inline void multiply_add(Sums& c, unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                                    unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c.of[0]), "+f"(c.of[1]), "+f"(c.of[2]), "+f"(c.of[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// --- x as terms

// What the right operand takes for eight numbers of x: numbers 0 and 4, 1 and 5, 2 and 6, 3 and 7.
struct alignas(16) Eight {
  unsigned of[4];
};
__device__ inline unsigned two_rounded(float low, float high) {
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
// Writes the terms of eight numbers and returns the sum of what they hold.
template <int terms>
__device__ float as_terms(float (&left)[8], Eight* to) {
  float sum = 0;
#pragma unroll
  for (int term = 0; term < terms; ++term)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      unsigned both = two_rounded(left[i], left[i + 4]);
      float low = math::bits::to(both << 16), high = math::bits::to(both & 0xffff0000u);
      left[i] -= low, left[i + 4] -= high;
      sum += low + high;
      to[term].of[i] = both;
    }
  return sum;
}
// Writes a word of x, of eight numbers, and, for the first word of a group, the sum of the group.
// All lanes of a warp call it, with neighbouring words; `there` where the row has one.
template <int terms, int words>
__device__ void pack_word(float (&x)[8], bool there, int word, Eight* to, float* sum) {
  Eight packed[terms];
  float all = as_terms<terms>(x, packed);
  constexpr int of_a_group = 4 * words;
  for (int step = 1; step < of_a_group; step *= 2) all += __shfl_xor_sync(~0u, all, step);
  if (!there) return;
  for (int term = 0; term < terms; ++term) to[term] = packed[term];
  if (word % of_a_group == 0) *sum = all;
}

// Where the packed x lies: of one row in shared memory, of eight rows in the step's scratch.
template <int terms, int rows>
struct Packed {
  Eight* words;  // (k / 8, rows, terms)
  float* sums;   // (k / group, rows)
  __device__ Packed(void* at, int64_t k)
      : words(static_cast<Eight*>(at)),
        sums(reinterpret_cast<float*>(words + k / 8 * rows * terms)) {}
  __device__ Eight* word(int i, int row) const { return words + (i * rows + row) * terms; }
  __device__ float* sum(int group, int row) const { return sums + group * rows + row; }
};
template <int terms, int words>
__global__ void pack(const __grid_constant__ QuantizedCall c) {
  Packed<terms, most_rows> x(c.scratch, c.k);
  int word = static_cast<int>(blockIdx.x * threads + threadIdx.x), row = blockIdx.y;
  float of[8] = {};
  bool there = word < c.k / 8;
  if (there && row < c.m)
    for (int i = 0; i < 8; ++i) of[i] = static_cast<const float*>(c.x)[row * c.k + word * 8 + i];
  pack_word<terms, words>(of, there, word, x.word(word, row), x.sum(word / (4 * words), row));
}

// --- codes

// A span is what a quad of lanes reads of an output at once: 16 words, four a lane, in one to four
// groups of 4 * words.
constexpr int of_a_span = 16;
struct alignas(16) Four {
  unsigned of[4];
};
__device__ inline Four stream(const unsigned* from) {
  Four c;
  if (reinterpret_cast<unsigned long>(from) % sizeof c != 0)
    return {{from[0], from[1], from[2], from[3]}};
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(c.of[0]), "=r"(c.of[1]), "=r"(c.of[2]), "=r"(c.of[3])
               : "l"(from));
  return c;
}
// Exchanges two words with the lane that differs in `bit` of t: of pairs (a, b) a lane without the
// bit keeps a and takes the other's a as b, a lane with it keeps b and takes the other's b as a.
__device__ inline void exchange(unsigned& a, unsigned& b, int t, int bit) {
  bool upper = t & bit;
  unsigned got = __shfl_xor_sync(~0u, upper ? a : b, bit);
  if (upper)
    a = got;
  else
    b = got;
}
// Deals a span so that each lane has `words` of each group, a group's after the other's.
template <int words>
__device__ void deal(Four& c, int t) {
  if constexpr (words < 4) {
    exchange(c.of[0], c.of[2], t, 2);
    exchange(c.of[1], c.of[3], t, 2);
  }
  if constexpr (words == 1) {
    exchange(c.of[0], c.of[1], t, 1);
    exchange(c.of[2], c.of[3], t, 1);
  }
}
// Which word of its group a lane's first is, then.
template <int words>
__device__ int first_word(int t) {
  return words == 4 ? 4 * t : words == 2 ? t % 2 * 4 + t / 2 * 2 : t;
}

__device__ inline float number(float x) { return x; }
__device__ inline float number(ops::Half x) { return ops::widened(x); }
__device__ inline float number(ops::Bfloat x) { return ops::widened(x); }

// What a lane holds of two spans, a chunk: its words of outputs g and g + 8.
template <int words>
struct Chunk {
  static constexpr int spans = 2, groups_a_span = 4 / words, groups = spans * groups_a_span;
  Four low[spans], high[spans];
};

// The matrix as a lane reads it. Places are counted in 32 bits.
template <class Scale, int words>
struct Reader {
  const unsigned* codes;
  const Scale *scales, *biases;
  int n, words_a_row, groups;
  Lane lane;

  __device__ explicit Reader(const QuantizedCall& c)
      : codes(static_cast<const unsigned*>(c.codes)),
        scales(static_cast<const Scale*>(c.scales)),
        biases(static_cast<const Scale*>(c.biases)),
        n(static_cast<int>(c.n)),
        words_a_row(static_cast<int>(c.k / 8)),
        groups(static_cast<int>(c.k / (32 * words))),
        lane(lane_of_thread()) {}
  __device__ unsigned output(int tile, int i) const {
    int at = tile * outputs + i;
    return static_cast<unsigned>(at < n ? at : n - 1);
  }
  // Has the chunk that read() will ask for brought to the second cache.
  __device__ void prefetch(int tile, int first) const {
    int word = first * (4 * words) + 4 * lane.t;
    if (word >= words_a_row) return;
    for (int i : {0, 8})
      asm volatile("prefetch.global.L2 [%0];" ::"l"(
          codes + (output(tile, lane.g + i) * words_a_row + word)));
  }
  // The chunk from group `first` on. Past the end of k codes are 0.
  __device__ void read(int tile, int first, Chunk<words>& to) const {
    int word = first * (4 * words) + 4 * lane.t;
    const unsigned* low = codes + (output(tile, lane.g) * words_a_row + word);
    const unsigned* high = codes + (output(tile, lane.g + 8) * words_a_row + word);
#pragma unroll
    for (int i = 0; i < Chunk<words>::spans; ++i) {
      to.low[i] = to.high[i] = Four{};
      if (word + i * of_a_span >= words_a_row) continue;
      to.low[i] = stream(low + i * of_a_span);
      to.high[i] = stream(high + i * of_a_span);
    }
  }
  __device__ unsigned factor_place(int tile, int i, int group) const {
    return output(tile, i) * groups + group;
  }
};

}  // namespace tarn::cuda::few
