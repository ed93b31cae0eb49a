// Products of up to eight rows with affine 4-bit codes, on tensor cores.
//
// Codes are the left operand of m16n8k16 as they lie in memory: bits 0-3 and 16-19 of a word become
// two neighbours along k, and so on, and x is permuted likewise. x is the right operand, as the sum
// of two bfloat16 terms, which hold 16 bits of a float, or of three, which hold all (exact). Sums
// are float. A scale and a bias count once a group:
//   y = sum over groups of scale * (sum of code * x) + bias * (sum of x).
// A block makes 16 outputs of all rows at a time, its warps share k, and the codes that a warp
// takes next are on their way while it multiplies.
#include "cuda/few_rows.cuh"

namespace tarn::cuda {
namespace {

using namespace few;

// Of two words (outputs g and g + 8) with the terms of x that they meet.
template <int terms>
__device__ void multiply_words(Sums& dots, unsigned low, unsigned high, const Eight* x) {
  unsigned a[8];
#pragma unroll
  for (int k = 0; k < 4; ++k)
    a[2 * k] = two_codes<terms == 3>(low >> (4 * k)),
          a[2 * k + 1] = two_codes<terms == 3>(high >> (4 * k));
#pragma unroll
  for (int term = 0; term < terms; ++term) {
    Eight b = x[term];
    multiply_add(dots, a[0], a[1], a[2], a[3], b.of[0], b.of[1]);
    multiply_add(dots, a[4], a[5], a[6], a[7], b.of[2], b.of[3]);
  }
}

// --- eight rows: a column of the right operand is a row of x

template <class Scale, int words, int terms>
struct FewRows {
  static constexpr int rows = most_rows;
  using Source = Reader<Scale, words>;
  // Lanes 0 to 15 hold scales, 16 to 31 biases, of one of the 16 outputs.
  struct Factors {
    Scale of[Chunk<words>::groups];
  };
  static __device__ void read(const Source& r, int tile, int first, Factors& to) {
    int lane = threadIdx.x % 32;
    const Scale* mine = lane < outputs ? r.scales : r.biases;
    unsigned at = r.factor_place(tile, lane % outputs, first);
#pragma unroll
    for (int i = 0; i < Chunk<words>::groups; ++i)
      if (first + i < r.groups) to.of[i] = mine[at + i];
  }
  static __device__ void multiply(Chunk<words>& c, const Factors& factors, int first,
                                  const Source& r, const Packed<terms, rows>& x, Sums& y) {
#pragma unroll
    for (int i = 0; i < Chunk<words>::spans; ++i)
      deal<words>(c.low[i], r.lane.t), deal<words>(c.high[i], r.lane.t);
#pragma unroll
    for (int i = 0; i < Chunk<words>::groups; ++i) {
      int group = first + i;
      if (group >= r.groups) break;
      Sums dots;
#pragma unroll
      for (int w = 0; w < words; ++w) {
        int at = i * words + w;
        multiply_words<terms>(
            dots, c.low[at / 4].of[at % 4], c.high[at / 4].of[at % 4],
            x.word(group * (4 * words) + first_word<words>(r.lane.t) + w, r.lane.g));
      }
      float factor = number(factors.of[i]);
      float2 sums = *reinterpret_cast<const float2*>(x.sum(group, 2 * r.lane.t));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float scale = __shfl_sync(~0u, factor, r.lane.g + 8 * half);
        float bias = __shfl_sync(~0u, factor, r.lane.g + 8 * half + outputs);
        bias -= code_offset<terms == 3> * scale;
        y.of[2 * half] += scale * dots.of[2 * half] + bias * sums.x;
        y.of[2 * half + 1] += scale * dots.of[2 * half + 1] + bias * sums.y;
      }
    }
  }
};

// --- one row: a column is a group of the chunk, with zeros where its k is another's

template <class Scale, int words, int terms>
struct OneRow {
  static constexpr int rows = 1;
  using Source = Reader<Scale, words>;
  // Scale and bias of outputs g and g + 8 in the groups of columns 2t and 2t + 1.
  struct Factors {
    Scale scale[4], bias[4];
  };
  static __device__ void read(const Source& r, int tile, int first, Factors& to) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      int group = 2 * r.lane.t + k % 2;
      to.scale[k] = to.bias[k] = Scale{};
      if (group >= Chunk<words>::groups || first + group >= r.groups) continue;
      unsigned at = r.factor_place(tile, r.lane.g + k / 2 * 8, first + group);
      to.scale[k] = r.scales[at], to.bias[k] = r.biases[at];
    }
  }
  static __device__ void multiply(Chunk<words>& c, const Factors& factors, int first,
                                  const Source& r, const Packed<terms, rows>& x, Sums& y) {
    // Sixteen bytes of zeros for each term lie behind the sums.
    const Eight* zeros = reinterpret_cast<const Eight*>(x.sums + (r.groups + 3) / 4 * 4);
    Sums dots;
    int word = first * (4 * words) + 4 * r.lane.t;
#pragma unroll
    for (int i = 0; i < Chunk<words>::spans; ++i) {
      bool mine = r.lane.g == i * Chunk<words>::groups_a_span + r.lane.t * 4 / (4 * words) &&
                  word + i * of_a_span < r.words_a_row;
      const Eight* from = mine ? x.word(word + i * of_a_span, 0) : zeros;
#pragma unroll
      for (int w = 0; w < 4; ++w)
        multiply_words<terms>(dots, c.low[i].of[w], c.high[i].of[w], from + (mine ? w * terms : 0));
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      int group = 2 * r.lane.t + k % 2;
      if (group >= Chunk<words>::groups || first + group >= r.groups) continue;
      float scale = number(factors.scale[k]),
            bias = number(factors.bias[k]) - code_offset<terms == 3> * scale;
      y.of[k] += scale * dots.of[k] + bias * *x.sum(first + group, 0);
    }
  }
};

// --- tiles

// The sums of all warps, in their order, as numbers of the result. With one row, a quad of lanes
// has sums of different groups.
template <int rows>
__device__ void finish_tile(const QuantizedCall& c, int tile, Sums& y,
                            float (*part)[outputs][rows]) {
  Lane lane = lane_of_thread();
  int warp = threadIdx.x / 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float *mine = part[warp][lane.g + half * 8], *sums = y.of + 2 * half;
    if constexpr (rows == 1) {
      float all = sums[0] + sums[1];
      all += __shfl_xor_sync(~0u, all, 1);
      all += __shfl_xor_sync(~0u, all, 2);
      if (lane.t == 0) mine[0] = all;
    } else {
      mine[2 * lane.t] = sums[0], mine[2 * lane.t + 1] = sums[1];
    }
  }
  __syncthreads();
  int output = threadIdx.x % outputs, row = threadIdx.x / outputs;
  if (row >= rows || row >= c.m || tile * outputs + output >= c.n) return;
  float all = 0;
  for (int w = 0; w < warps; ++w) all += part[w][output][row];
  static_cast<float*>(c.y)[row * c.n + tile * outputs + output] = all;
}

template <template <class, int, int> class How, class Scale, int words, int terms>
__global__ void __launch_bounds__(threads, blocks_a_processor)
    multiply_rows(const __grid_constant__ QuantizedCall c) {
  using Way = How<Scale, words, terms>;
  constexpr int rows = Way::rows, step = warps * Chunk<words>::groups;
  extern __shared__ __align__(16) ops::u8 shared[];
  // Two, so that a warp may be a tile ahead of one that still reads.
  __shared__ float part[2][warps][outputs][rows];
  Reader<Scale, words> reader(c);
  const int tiles = static_cast<int>((c.n + outputs - 1) / outputs);
  const int mine = static_cast<int>(threadIdx.x / 32) * Chunk<words>::groups;
  int tile = blockIdx.x;
  Chunk<words> next{};
  typename Way::Factors next_factors{};
  reader.read(tile, mine, next);
  Way::read(reader, tile, mine, next_factors);
  Packed<terms, rows> x(rows == 1 ? shared : c.scratch, c.k);
  if constexpr (rows == 1) {
    for (int word = threadIdx.x; word < (reader.words_a_row + 31) / 32 * 32; word += threads)
      pack_word<terms, words>(c, 0, word, x.word(word, 0), x.sum(word / (4 * words), 0));
    if (threadIdx.x < 4 * terms)
      x.sums[(reader.groups + 3) / 4 * 4 + static_cast<int>(threadIdx.x)] = 0;
    __syncthreads();
  }
  for (int turn = 0; tile < tiles; turn ^= 1) {
    Sums y;
    const int following = tile + static_cast<int>(gridDim.x);
    for (int first = mine; first < reader.groups; first += step) {
      Chunk<words> now = next;
      typename Way::Factors factors = next_factors;
      bool more = first + step < reader.groups;
      if (more || following < tiles) {
        reader.read(more ? tile : following, more ? first + step : mine, next);
        Way::read(reader, more ? tile : following, more ? first + step : mine, next_factors);
      }
      Way::multiply(now, factors, first, reader, x, y);
    }
    finish_tile<rows>(c, tile, y, part[turn]);
    tile = following;
  }
}

size_t packed_bytes(const QuantizedCall& c, int terms, int rows) {
  return static_cast<size_t>(c.k / 8 * rows * terms) * sizeof(Eight) +
         static_cast<size_t>((c.k / c.group + 3) / 4 * 4 * rows) * sizeof(float) +
         static_cast<size_t>(terms) * sizeof(Eight);
}

template <class Scale, int words, int terms>
void launch(const QuantizedCall& c, int processors, cudaStream_t queue) {
  int64_t tiles = (c.n + outputs - 1) / outputs;
  auto blocks = static_cast<unsigned>(
      tiles < processors * blocks_a_processor ? tiles : processors * blocks_a_processor);
  if (c.m == 1) {
    auto kernel = multiply_rows<OneRow, Scale, words, terms>;
    static const cudaError_t allowed =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared);
    (void)allowed;  // a launch that needs it says so
    kernel<<<blocks, threads, packed_bytes(c, terms, 1), queue>>>(c);
  } else {
    dim3 words_and_rows(static_cast<unsigned>((c.k / 8 + threads - 1) / threads), most_rows);
    pack<terms, words><<<words_and_rows, threads, 0, queue>>>(c);
    multiply_rows<FewRows, Scale, words, terms><<<blocks, threads, 0, queue>>>(c);
  }
}
template <class Scale, int words>
void launch_terms(const QuantizedCall& c, int terms, int processors, cudaStream_t queue) {
  if (terms == 2) return launch<Scale, words, 2>(c, processors, queue);
  launch<Scale, words, 3>(c, processors, queue);
}
template <class Scale>
void launch_words(const QuantizedCall& c, int terms, int processors, cudaStream_t queue) {
  if (c.group == 32) return launch_terms<Scale, 1>(c, terms, processors, queue);
  if (c.group == 64) return launch_terms<Scale, 2>(c, terms, processors, queue);
  launch_terms<Scale, 4>(c, terms, processors, queue);
}

}  // namespace

size_t few_rows_scratch(const QuantizedCall& c, int terms) {
  return c.m == 1 ? 0 : packed_bytes(c, terms, most_rows);
}
bool few_rows_fit(const QuantizedCall& c, int terms) {
  return c.bits == 4 && (c.group == 32 || c.group == 64 || c.group == 128) &&
         c.type == float_column && c.n * (c.k / 8) < INT32_MAX &&
         (c.m > 1 || packed_bytes(c, terms, 1) <= most_shared);
}
void launch_few_rows(const QuantizedCall& c, int terms, int processors, cudaStream_t queue) {
  if (c.scale_type == float_column) return launch_words<float>(c, terms, processors, queue);
  if (c.scale_type == half_column) return launch_words<ops::Half>(c, terms, processors, queue);
  launch_words<ops::Bfloat>(c, terms, processors, queue);
}

}  // namespace tarn::cuda
