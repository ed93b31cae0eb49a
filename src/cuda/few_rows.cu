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
#include "cuda/launch.cuh"
#include "cuda/pack_row.cuh"

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

int64_t tiles_of(const QuantizedCall& c) { return (c.n + outputs - 1) / outputs; }

// The sums of all warps, in their order, as numbers of the result. With one row, a quad of lanes
// has sums of different groups.
template <int rows, int warps>
__device__ void finish_tile(const QuantizedCall& c, const float* added, int tile, Sums& y,
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
  int64_t to = row * c.n + tile * outputs + output;
  float all = added ? added[to] : 0.f;
  for (int w = 0; w < warps; ++w) all += part[w][output][row];
  static_cast<float*>(c.y)[to] = all;
}

template <template <class, int, int> class How, class Scale, int words, int terms, int warps,
          int blocks>
__global__ void __launch_bounds__(32 * warps, blocks)
    multiply_rows(const __grid_constant__ FewRowsCalls calls) {
  using Way = How<Scale, words, terms>;
  constexpr int rows = Way::rows, step = warps * Chunk<words>::groups;
  extern __shared__ __align__(16) ops::u8 shared[];
  // Two, so that a warp may be a tile ahead of one that still reads.
  __shared__ float part[2][warps][outputs][rows];
  int call = 0;
  while (call + 1 < calls.count && blockIdx.x >= calls.first_block[call + 1]) ++call;
  const QuantizedCall& c = calls.of[call];
  const int tiles = static_cast<int>((c.n + outputs - 1) / outputs);
  const int stride = static_cast<int>(calls.first_block[call + 1] - calls.first_block[call]);
  int tile = static_cast<int>(blockIdx.x - calls.first_block[call]);
  Reader<Scale, words> reader(c);
  const int mine = static_cast<int>(threadIdx.x / 32) * Chunk<words>::groups;
  for (int first = mine; first < reader.groups; first += step) reader.prefetch(tile, first);
  wait_for_queue();
  let_next_begin();
  Chunk<words> next{};
  typename Way::Factors next_factors{};
  reader.read(tile, mine, next);
  Way::read(reader, tile, mine, next_factors);
  // Of several rows x was packed for the first call.
  Packed<terms, rows> x(rows == 1 ? shared : calls.of[0].scratch, c.k);
  if constexpr (rows == 1) RowPacker<terms, words, 32 * warps>(c, calls.beside[call], x).pack();
  for (int turn = 0; tile < tiles; turn ^= 1) {
    Sums y;
    const int following = tile + stride;
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
    finish_tile<rows, warps>(c, calls.beside[call].added, tile, y, part[turn]);
    tile = following;
  }
}

size_t packed_bytes(const QuantizedCall& c, int terms, int rows) {
  return static_cast<size_t>(c.k / 8 * rows * terms) * sizeof(Eight) +
         static_cast<size_t>((c.k / c.group + 3) / 4 * 4 * rows) * sizeof(float) +
         static_cast<size_t>(terms) * sizeof(Eight);
}

// Deals at most that many blocks to the calls, and returns how many there are.
unsigned deal_blocks(FewRowsCalls& c, int64_t tiles, int64_t most) {
  unsigned next = 0;
  for (int i = 0; i < c.count; ++i) {
    c.first_block[i] = next;
    int64_t mine = tiles_of(c.of[i]), share = tiles <= most ? mine : mine * most / tiles;
    next += static_cast<unsigned>(share < 1 ? 1 : share);
  }
  c.first_block[c.count] = next;
  return next;
}
// One row: many warps share k where there are few tiles for the card.
template <class Scale, int words, int terms, int warps, int blocks_a_processor>
void launch_row(FewRowsCalls c, int64_t tiles, int processors, cudaStream_t queue) {
  auto kernel = multiply_rows<OneRow, Scale, words, terms, warps, blocks_a_processor>;
  static const bool early = can_begin_early(kernel);
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared);
  (void)allowed;  // a launch that needs it says so
  dim3 grid(deal_blocks(c, tiles, processors * blocks_a_processor));
  launch_early(kernel, early, grid, 32 * warps, packed_bytes(c.of[0], terms, 1), queue, c);
}
template <class Scale, int words, int terms>
void launch(FewRowsCalls c, int processors, cudaStream_t queue) {
  const QuantizedCall& first = c.of[0];
  int64_t tiles = 0;
  for (int i = 0; i < c.count; ++i) tiles += tiles_of(c.of[i]);
  if (first.m == 1) {
    constexpr int many = 16;
    bool long_rows = first.k / first.group >= many * Chunk<words>::groups;
    if (tiles <= 2 * processors && long_rows)
      return launch_row<Scale, words, terms, many, 1>(c, tiles, processors, queue);
    return launch_row<Scale, words, terms, 8, 3>(c, tiles, processors, queue);
  }
  constexpr int blocks_a_processor = 3;
  dim3 words_and_rows(static_cast<unsigned>((first.k / 8 + threads - 1) / threads), most_rows);
  pack<terms, words><<<words_and_rows, threads, 0, queue>>>(first);
  unsigned blocks = deal_blocks(c, tiles, processors * blocks_a_processor);
  multiply_rows<FewRows, Scale, words, terms, 8, blocks_a_processor>
      <<<blocks, threads, 0, queue>>>(c);
}
template <class Scale, int words>
void launch_terms(const FewRowsCalls& c, int terms, int processors, cudaStream_t queue) {
  if (terms == 2) return launch<Scale, words, 2>(c, processors, queue);
  launch<Scale, words, 3>(c, processors, queue);
}
template <class Scale>
void launch_words(const FewRowsCalls& c, int terms, int processors, cudaStream_t queue) {
  int group = c.of[0].group;
  if (group == 32) return launch_terms<Scale, 1>(c, terms, processors, queue);
  if (group == 64) return launch_terms<Scale, 2>(c, terms, processors, queue);
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
void launch_few_rows(const FewRowsCalls& c, int terms, int processors, cudaStream_t queue) {
  if (terms == 2 && one_row_fits(c.of[0])) return launch_one_row(c, processors, queue);
  with_float_type(c.of[0].scale_type,
                  [&]<class Scale>(Scale) { launch_words<Scale>(c, terms, processors, queue); });
}

}  // namespace tarn::cuda
