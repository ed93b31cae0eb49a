// Products of many rows with 4-bit weights, on the tensor cores of cards of compute capability 9.0:
// weights become bfloat16 in registers.
#include <algorithm>

#include "cuda/many_rows.cuh"

#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

using namespace many_rows;

// A thread packs what lanes make of one word of codes: 32 numbers of a slice of a row.
constexpr int packers = 256;
__global__ void pack_rows(const float* x, uint4* y, int rows, int tiles, int k) {
  const int words = k / 32;
  const int64_t at = int64_t{blockIdx.x} * packers + threadIdx.x;
  if (at >= int64_t{tiles} * x_rows * words) return;
  const int row = static_cast<int>(at / words), i = static_cast<int>(at % words) / 4, w = at % 4;
  float4 of[4][2] = {};
  if (row < rows)
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const auto* from =
          reinterpret_cast<const float4*>(x + int64_t{row} * k + i * slice + 32 * t + 8 * w);
      of[t][0] = from[0], of[t][1] = from[1];
    }
  char* tile =
      reinterpret_cast<char*>(y) + (int64_t{row / x_rows} * (k / slice) + i) * int64_t{tile_bytes};
  auto pair = [&](int t, int j) {
    const float4 &a = of[t][0], &b = of[t][1];
    return j == 0   ? pair_of<ops::Bfloat>(a.x, b.x)
           : j == 1 ? pair_of<ops::Bfloat>(a.y, b.y)
           : j == 2 ? pair_of<ops::Bfloat>(a.z, b.z)
                    : pair_of<ops::Bfloat>(a.w, b.w);
  };
#pragma unroll
  for (int j = 0; j < 4; ++j)
    *reinterpret_cast<uint4*>(tile + place_of_piece(row % x_rows, 2 * w + j / 2, j % 2)) =
        uint4{pair(0, j), pair(1, j), pair(2, j), pair(3, j)};
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define TARN_IN_CLUSTERS  // of which older cards know nothing
#else
#define TARN_IN_CLUSTERS __cluster_dims__(cluster)
#endif
__global__ void TARN_IN_CLUSTERS __launch_bounds__(threads, 1)
    multiply_rows(const __grid_constant__ ManyRowsCalls c) {
#ifdef TARN_WARPGROUPS
  extern __shared__ char room[];
  __shared__ Turns turns;
  const unsigned tiles = (group::address_of(room) + 1023) / 1024 * 1024;
  if (threadIdx.x == 0)
    for (int s = 0; s < stages; ++s) {
      group::set_barrier(&turns.full[s], 1);
      group::set_barrier(&turns.empty[s], cluster * consumers * group::threads / 32);
    }
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  __syncthreads();
  meet_cluster();
  if (threadIdx.x >= consumers * group::threads) {
    group::leave_registers<40>();
    if (threadIdx.x == consumers * group::threads) bring_x(c, tiles, turns);
    __syncwarp();
  } else {
    group::take_registers<232>();
    Multiplier(c, tiles, turns).multiply();
  }
  meet_cluster();  // what others copy to this block and tell it has arrived
#endif
}

int tiles_of(int64_t m) { return static_cast<int>((m + x_rows - 1) / x_rows); }

}  // namespace

bool many_rows_fit(const QuantizedCall& c, int major) {
#ifdef TARN_SM_90A
  constexpr int bfloat_column = 12;
  constexpr int64_t most = int64_t{1} << 30;
  return major == 9 && c.bits == 4 && (c.group == 32 || c.group == 64 || c.group == 128) &&
         c.scale_type == bfloat_column && c.type == float_column && c.k % slice == 0 &&
         c.k % c.group == 0 && c.n < most && c.m < most;
#else
  (void)c, (void)major;
  return false;
#endif
}
size_t packed_rows_bytes(int64_t m, int64_t k) {
  return static_cast<size_t>(tiles_of(m)) * x_rows * static_cast<size_t>(k) * 2;
}
void launch_pack_rows(const float* x, void* y, int64_t m, int64_t k, cudaStream_t queue) {
  const int tiles = tiles_of(m);
  const int64_t count = int64_t{tiles} * x_rows * (k / 32);
  pack_rows<<<static_cast<unsigned>((count + packers - 1) / packers), packers, 0, queue>>>(
      x, static_cast<uint4*>(y), static_cast<int>(m), tiles, static_cast<int>(k));
}
void launch_many_rows(const FewRowsCalls& calls, int processors, cudaStream_t queue) {
  ManyRowsCalls c;
  c.count = calls.count;
  for (int i = 0; i < c.count; ++i) {
    c.of[i] = calls.of[i];
    c.first_tile[i + 1] = c.first_tile[i] + static_cast<int>((c.of[i].n + outputs - 1) / outputs);
  }
  c.x = c.of[0].x, c.x_tiles = tiles_of(c.of[0].m);
  c.units = (c.first_tile[c.count] + cluster - 1) / cluster * c.x_tiles;
  const int clusters = std::min(c.units, processors / cluster);
  constexpr int bytes = stages * tile_bytes + 1024;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(multiply_rows, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  (void)allowed;  // a launch that needs it says so
  multiply_rows<<<static_cast<unsigned>(clusters * cluster), threads, bytes, queue>>>(c);
}

}  // namespace tarn::cuda
