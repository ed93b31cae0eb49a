// Products of one row with affine 4-bit codes in balanced precision.
//
// Codes are the left operand of m16n8k32 as they lie in memory: the low halves of a word's bytes,
// then the high ones. A column of the right operand is a digit of x in one group of codes, with
// zeros where its k is another's; so four groups of both digits are summed before factors count:
//   y = sum over groups of scale * d * (256 * high + low) + bias * (sum of x).
// Those sums are integers, and exact. A block has a processor for itself, since its rings take more
// than half of the shared memory: two blocks on one and none on another would cost more.
#include "cuda/launch.cuh"
#include "cuda/one_row.cuh"

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

// Where an output of the tile goes, a lane each of the first of the warps that share the tile.
class Result {
 public:
  __device__ Result(const FewRowsCalls& c, int tile) : paired_(c.paired) {
    Half halves[2];
    halves_of(c, tile, halves);
    const int lane = threadIdx.x % 32;
    const Half mine = lane % outputs < 8 ? halves[0] : halves[1];
    const int output = mine.first + lane % 8;
    if (output >= mine.call->n || lane >= (paired_ ? 8 : outputs)) return;
    const float* added = c.beside[mine.call - c.of].added;
    to_ = static_cast<float*>(mine.call->y) + output;
    if (added) added_ = added[output];
  }
  __device__ void store(float sum) const {
    float factor = __shfl_xor_sync(~0u, sum, 8);
    if (to_) *to_ = paired_ ? sum * ops::Sigmoid::value(sum) * factor : added_ + sum;
  }

 private:
  float* to_ = nullptr;
  float added_ = 0;
  bool paired_;
};
// The sum of the warps that share the tile, in their order: of output lane % 16. `part` is theirs,
// of two, so that a warp may be a tile ahead of the first, which reads.
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
  if (along == 0)
#pragma unroll 1
    for (int w = 0; w < all; ++w) sum += part[w * outputs + lane % outputs];
  return sum;
}

template <class Scale, int group>
__global__ void __launch_bounds__(32 * most_warps, 2)
    multiply_row(const __grid_constant__ RowCalls c) {
  using Of = Item<Scale, group>;
  extern __shared__ __align__(128) char shared[];
  const int warps = c.along * c.abreast, warp = static_cast<int>(threadIdx.x / 32);
  const int along = warp % c.along, abreast = warp / c.along;
  const int first = static_cast<int>(blockIdx.x) + abreast * static_cast<int>(gridDim.x);
  Feed<Scale, group> feed(c, shared + warp * c.depth * Of::bytes, first, along);
  char* behind = shared + warps * c.depth * Of::bytes;
  digits::Digits<group> x(behind, static_cast<int>(c.calls.of[0].k));
  float* part = static_cast<float*>(x.end()) + 2 * abreast * c.along * outputs;
  // More than this would stand in front of x, which everything waits for: two items of eight warps
  // are 74 KB.
  constexpr int before_x = 2;
  // A short ring holds all that its warp takes.
  const int filled = c.depth == deep ? deep - 1 : shallow;
  digits::Packer<group> packer(c.calls.of[0], c.calls.beside[0], x);
  packer.prefetch();
#pragma unroll 1
  for (int i = 0; i <= filled; ++i) {
    if (i == before_x) {
      wait_for_queue();
      let_next_begin();
      packer.begin();
    }
    if (i < filled) feed.next();
  }
  packer.pack();
  const float factor = packer.factor();
  Multiplier<Scale, group> multiplier(x);
  const int stride = static_cast<int>(gridDim.x) * c.abreast;
  for (int tile = first, turn = 0; tile < c.tiles; tile += stride, turn ^= 1) {
    float y[2] = {};
    for (int at = along; at < c.slices; at += c.along) {
      const unsigned item = feed.oldest();
      feed.next();
      multiplier.add(item, at, y);
    }
    float sum = joined(along, c.along, abreast, y, part + turn * c.along * outputs);
    if (along == 0) Result(c.calls, tile).store(sum * factor);
  }
}

// Of the ways to deal tiles and slices to warps the one that takes least, where a tile's end takes
// half as long as an item.
void choose_warps(RowCalls& c, int blocks) {
  int best = 0;
  for (int along = 1; along <= most_warps && along <= c.slices; ++along) {
    int abreast = most_warps / along, at_once = blocks * abreast;
    int tiles = (c.tiles + at_once - 1) / at_once, items = (c.slices + along - 1) / along;
    int time = tiles * (2 * items + 1);
    if (best > 0 && time >= best) continue;
    best = time, c.along = along, c.abreast = abreast;
    c.depth = tiles * items <= shallow ? shallow : deep;
  }
}

template <class Scale, int group>
size_t shared_bytes(int64_t k, int depth) {
  constexpr int parts = 2 * most_warps * outputs * 4;
  return static_cast<size_t>(most_warps * depth) * Item<Scale, group>::bytes +
         digits::digits_bytes<group>(k) + parts;
}
template <class Scale, int group>
void launch(RowCalls& c, int processors, cudaStream_t queue) {
  auto kernel = multiply_row<Scale, group>;
  static const bool can = can_begin_early(kernel);
  static const cudaError_t allowed = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most_shared_bytes()));
  (void)allowed;  // a launch that needs it says so
  const FewRowsCalls& calls = c.calls;
  c.slices = static_cast<int>(calls.of[0].k / slice);
  for (int i = 0; i < (calls.paired ? 1 : calls.count); ++i) {
    int64_t of_tile = calls.paired ? outputs / 2 : outputs;
    c.tiles += static_cast<int>((calls.of[i].n + of_tile - 1) / of_tile);
  }
  int blocks = c.tiles < processors ? c.tiles : processors;
  choose_warps(c, blocks);
  launch_early(kernel, can && calls.early, dim3(static_cast<unsigned>(blocks)),
               static_cast<unsigned>(32 * c.along * c.abreast),
               shared_bytes<Scale, group>(calls.of[0].k, c.depth), queue, c);
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
                                           return shared_bytes<Scale, group>(c.k, deep);
                                         }) <= most_shared_bytes();
}
void launch_one_row(const FewRowsCalls& calls, int processors, cudaStream_t queue) {
  RowCalls c;
  c.calls = calls;
  with_types(calls.of[0],
             [&]<class Scale, int group> { launch<Scale, group>(c, processors, queue); });
}

}  // namespace tarn::cuda
