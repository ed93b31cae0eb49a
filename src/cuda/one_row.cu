// Products of one row with affine 4-bit codes in balanced precision.
//
// Codes are the left operand of m16n8k32 as they lie in memory: the low halves of a word's bytes,
// then the high ones. A column of the right operand is a digit of x in one group of codes, with
// zeros where its k is another's; so four groups of both digits are summed before factors count:
//   y = sum over groups of scale * d * (256 * high + low) + bias * (sum of x).
// Those sums are integers, and exact.
#include <algorithm>

#include "cuda/launch.cuh"
#include "cuda/one_row.cuh"
#include "cuda/pack_digits.cuh"

namespace tarn::cuda {
namespace {

using namespace one_row;

__device__ void multiply_add(int (&c)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                             unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

template <class Scale, int group>
class Multiplier {
 public:
  using Of = Item<Scale, group>;
  __device__ explicit Multiplier(const digits::Digits<group>& x)
      : x_(shared_address(x.from(g_ % 2, t_ * 32))),
        zeros_(shared_address(x.zeros)),
        sums_(x.sums + t_) {}

  // Adds the share that the item at `item` has, slice `at`, of outputs g and g + 8, in the lane's
  // groups.
  __device__ void add(unsigned item, int at, float (&y)[2]) const {
    int low[4] = {}, high[4] = {};
    const unsigned codes = item + threadIdx.x % 32 * 16, x = x_ + at * slice;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const bool mine = g_ / 2 == c % of_a_set * in_chunk + t_ * in_chunk / 4;
      const unsigned from = mine ? x + c * 128 : zeros_;
      multiply(line_at(codes + c * 1024), line_at(codes + c * 1024 + 512), from, low, high);
      if (c % of_a_set == of_a_set - 1)
        add_set(item + code_bytes, c / of_a_set * 4, sums_[at * Of::groups + c / of_a_set * 4], low,
                high, y);
    }
  }

 private:
  static constexpr int in_chunk = 128 / group;   // groups in 128 codes, a line of each lane
  static constexpr int of_a_set = 4 / in_chunk;  // chunks of four groups

  // The low halves of bytes go into one sum and the high ones, as 16 times what they are, into
  // another, so that none is shifted.
  static __device__ void multiply(const Line& first, const Line& second, unsigned x, int (&low)[4],
                                  int (&high)[4]) {
    constexpr unsigned lower = 0x0f0f0f0fu, upper = 0xf0f0f0f0u;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const unsigned a0 = first.of[2 * i], a1 = second.of[2 * i];
      const unsigned a2 = first.of[2 * i + 1], a3 = second.of[2 * i + 1];
      Line b = line_at(x + i * 16);
      multiply_add(low, a0 & lower, a1 & lower, a2 & lower, a3 & lower, b.of[0], b.of[2]);
      multiply_add(high, a0 & upper, a1 & upper, a2 & upper, a3 & upper, b.of[1], b.of[3]);
    }
  }
  // What four groups, from `first` on, come to when their factors count.
  __device__ void add_set(unsigned factors, int first, float2 x, int (&low)[4], int (&high)[4],
                          float (&y)[2]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      int digits[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        digits[k] = low[2 * i + k] + (high[2 * i + k] >> 4);
        low[2 * i + k] = high[2 * i + k] = 0;
      }
      float product = x.x * static_cast<float>(256 * digits[0] + digits[1]);
      const unsigned mine = factors + (g_ + 8 * i) * Of::factor_bytes + t_ * sizeof(Scale);
      const unsigned at = mine + first * sizeof(Scale);
      y[i] += factor_at(at) * product + factor_at(at + outputs * Of::factor_bytes) * x.y;
    }
  }
  static __device__ float factor_at(unsigned at) {
    if constexpr (sizeof(Scale) == 4) {
      float f;
      asm volatile("ld.shared.f32 %0, [%1];" : "=f"(f) : "r"(at));
      return f;
    } else {
      ops::u16 bits;
      asm volatile("ld.shared.u16 %0, [%1];" : "=h"(bits) : "r"(at));
      return ops::widened(Scale{bits});
    }
  }

  const int g_ = threadIdx.x % 32 / 4, t_ = threadIdx.x % 4;
  unsigned x_, zeros_;
  const float2* sums_;
};

bool is_line(const void* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

// Where an output of the tile goes, a lane each of the first of the warps that share the tile.
class Result {
 public:
  __device__ void find(const RowCalls& c, int tile) {
    const int lane = threadIdx.x % 32;
    const Half mine = half_of(c, tile, lane / 8 % 2);
    const Matrix& m = c.of[mine.matrix];
    const int output = mine.first + lane % 8;
    paired_ = c.paired;
    const bool has = output < m.n && lane < (paired_ ? 8 : outputs);
    to_ = has ? m.y + output : nullptr;
    added_ = has && m.added ? m.added + output : nullptr;
  }
  // Asks for what is added.
  __device__ void begin() { sum_ = added_ ? __ldcg(added_) : 0; }
  __device__ void store(float sum) const {
    float factor = __shfl_xor_sync(~0u, sum, 8);
    if (to_) *to_ = paired_ ? sum * ops::Sigmoid::value(sum) * factor : sum_ + sum;
  }

 private:
  float* to_ = nullptr;
  const float* added_ = nullptr;
  float sum_ = 0;
  bool paired_ = false;
};
// The sum of the warps that share the tile, in an order that does not change: of output lane % 16.
// `part` is theirs, of two, so that a warp may be a tile ahead of the first, which reads.
__device__ float joined(int along, int all, int abreast, const float (&y)[2], float* part) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    float sum = y[i];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    if (lane % 4 == 0) part[along * outputs + lane / 4 + 8 * i] = sum;
  }
  if (all > 1)
    asm volatile("bar.sync %0, %1;" ::"r"(1 + abreast), "r"(32 * all) : "memory");
  else
    __syncwarp();
  float sum = 0;
#pragma unroll
  for (int w = 0; w < most_warps; w += 2) {
    const int mine = w + lane / outputs;
    if (mine < all) sum += part[mine * outputs + lane % outputs];
  }
  return sum + __shfl_xor_sync(~0u, sum, outputs);
}

template <class Scale, int group>
__global__ void __launch_bounds__(digits::threads, 2)
    multiply_row(const __grid_constant__ RowCalls c) {
  using Of = Item<Scale, group>;
  extern __shared__ __align__(128) char shared[];
  const int warp = static_cast<int>(threadIdx.x / 32), warps = c.along * c.abreast;
  const int abreast = warp / c.along, along = warp - abreast * c.along;
  const int stride = static_cast<int>(gridDim.x) * c.abreast;
  // Warps that have no share of a tile pack x with the others.
  int tile = static_cast<int>(blockIdx.x) + abreast * static_cast<int>(gridDim.x);
  if (warp >= warps) tile = c.tiles;
  Feed<Scale, group> feed(c, shared + warp * c.depth * Of::bytes, tile, along, stride);
  char* behind = shared + warps * c.depth * Of::bytes;
  digits::Digits<group> x(behind, c.x.k);
  float* part = static_cast<float*>(x.end()) + 2 * abreast * c.along * outputs;
  Result result;
  if (along == 0 && tile < c.tiles) result.find(c, tile);
  digits::Packer<group> packer(c.x, x);
  packer.prepare();
  // More than this would stand in front of x, which everything waits for: two items of eight warps
  // are 74 KB.
  constexpr int before_x = 2;
#pragma unroll 1
  for (int i = 0; i < c.depth && i < before_x; ++i) feed.next();
  wait_for_queue();
  let_next_begin();
  packer.begin();
#pragma unroll 1
  for (int i = before_x; i < c.depth; ++i) feed.next();
  packer.pack();
  const float factor = packer.factor();
  Multiplier<Scale, group> multiplier(x);
#pragma unroll 1
  for (int turn = 0; tile < c.tiles; tile += stride, turn ^= 1) {
    result.begin();
    float y[2] = {};
#pragma unroll 1
    for (int at = along, left = c.each + (along < c.rest); left > 0; --left, at += c.along) {
      const unsigned item = feed.oldest();
      multiplier.add(item, at, y);
      __syncwarp();
      feed.next();
    }
    float sum = joined(along, c.along, abreast, y, part + turn * c.along * outputs);
    if (along > 0) continue;
    result.store(sum * factor);
    if (tile + stride < c.tiles) result.find(c, tile + stride);
  }
}

// Of the ways to deal tiles and slices to warps the one that takes least, where a tile's end takes
// half as long as an item.
void choose_warps(RowCalls& c, int slices, int blocks) {
  int best = 0;
  for (int along = 1; along <= most_warps && along <= slices; ++along) {
    int abreast = most_warps / along, at_once = blocks * abreast;
    int tiles = (c.tiles + at_once - 1) / at_once, items = (slices + along - 1) / along;
    int time = tiles * (2 * items + 1);
    if (best > 0 && time >= best) continue;
    best = time, c.along = along, c.abreast = abreast;
    c.each = slices / along, c.rest = slices % along;
    c.depth = tiles * items < deep ? tiles * items : deep;
  }
}
Matrix matrix_of(const QuantizedCall& c, const Neighbours& beside, bool paired) {
  Matrix m;
  m.codes = static_cast<const unsigned*>(c.codes), m.scales = c.scales, m.biases = c.biases;
  m.added = beside.added, m.y = static_cast<float*>(c.y);
  const int of_tile = paired ? outputs / 2 : outputs;
  m.n = static_cast<int>(c.n), m.tiles = (m.n + of_tile - 1) / of_tile;
  return m;
}
digits::Source source_of(const QuantizedCall& c, const Neighbours& beside) {
  digits::Source x;
  x.numbers = static_cast<const float*>(c.x), x.times = beside.times, x.weight = beside.weight;
  x.k = static_cast<int>(c.k), x.weight_type = beside.weight_type;
  x.of_k = 1.f / static_cast<float>(x.k);
  x.eps = beside.eps, x.normed = beside.normed;
  x.in_lines = is_line(x.numbers, 16) && is_line(x.weight, 16);
  return x;
}

template <class Scale, int group>
size_t shared_bytes(int64_t k, int warps, int depth) {
  constexpr int parts = 2 * most_warps * outputs * 4;
  return static_cast<size_t>(warps * depth) * Item<Scale, group>::bytes +
         digits::digits_bytes<group>(k) + parts;
}
template <class Scale, int group>
void launch(const FewRowsCalls& calls, int processors, cudaStream_t queue) {
  auto kernel = multiply_row<Scale, group>;
  static const bool can = can_begin_early(kernel);
  static const cudaError_t allowed = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most_shared_bytes()));
  (void)allowed;  // a launch that needs it says so
  RowCalls c;
  c.x = source_of(calls.of[0], calls.beside[0]);
  c.count = calls.count, c.paired = calls.paired;
  for (int i = 0; i < calls.count; ++i) {
    Matrix& m = c.of[i] = matrix_of(calls.of[i], calls.beside[i], calls.paired);
    if (i == 0 || !calls.paired) c.tiles += m.tiles;
    c.in_lines = c.in_lines && is_line(m.codes, 16) &&
                 is_line(m.scales, Item<Scale, group>::factor_line) &&
                 is_line(m.biases, Item<Scale, group>::factor_line);
  }
  const int blocks = c.tiles < processors ? c.tiles : processors;
  choose_warps(c, c.x.k / slice, blocks);
  size_t bytes = shared_bytes<Scale, group>(c.x.k, c.along * c.abreast, c.depth);
  if (c.x.k >= long_row) bytes = std::max(bytes, most_shared_bytes() / 2 + 1024);
  launch_early(kernel, can && calls.early, dim3(static_cast<unsigned>(blocks)), digits::threads,
               bytes, queue, c);
}
template <class F>
auto with_types(const QuantizedCall& c, F f) {
  return with_float_type(c.scale_type, [&]<class Scale>(Scale) {
    if (c.group == 32) return f.template operator()<Scale, 32>();
    if (c.group == 64) return f.template operator()<Scale, 64>();
    return f.template operator()<Scale, 128>();
  });
}

}  // namespace

size_t most_shared_bytes() {
  constexpr size_t of_kernel = 1024;  // no less than what a kernel declares itself
  static const int most = [] {
    int bytes = 0, device = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    return bytes;
  }();
  return static_cast<size_t>(most) - of_kernel;
}
bool one_row_fits(const QuantizedCall& c) {
  return c.m == 1 && c.k % slice == 0 && with_types(c, [&]<class Scale, int group> {
                                           return shared_bytes<Scale, group>(c.k, most_warps, deep);
                                         }) <= most_shared_bytes();
}
void launch_one_row(const FewRowsCalls& calls, int processors, cudaStream_t queue) {
  with_types(calls.of[0],
             [&]<class Scale, int group> { launch<Scale, group>(calls, processors, queue); });
}

}  // namespace tarn::cuda
