// What products of many rows with 4-bit weights work with: rows of x that one warp brings to shared
// memory, and the weights of the others, which go from memory to registers and are numbers there.
//
// Outputs are the rows of the tensor cores' product, and rows of x its columns. Along k a lane has
// 32 codes of an output that lie side by side, as four words, of every 128: so x is packed in that
// order, the 16 columns of step s of 128 being 32 t + 8 (s / 2) + 2 (s % 2) + h + 4 e for column
// 8 h + 2 t + e.
#pragma once

#include "cuda/matmul.h"
#include "cuda/terms.cuh"
#include "cuda/warpgroup.cuh"

namespace tarn::cuda::many_rows {

constexpr int consumers = 2;  // warpgroups, behind one of which a thread brings x
constexpr int threads = (consumers + 1) * group::threads;
constexpr int x_rows = 128, slice = 128;  // of x in a tile, and of k
constexpr int tile_bytes = x_rows * slice * 2;
constexpr int most_stages = 6;
constexpr int cluster = 2;  // blocks that share a tile of x
constexpr int steps = slice / 16;

// Where a slice of a row of x lies in its tile: four pieces of 16 bytes for each word of codes.
__device__ inline int place_of_piece(int row, int step, int half) {
  const int piece = step % 4 * 2 + half;
  return step / 4 * x_rows * group::row_bytes + row * group::row_bytes + ((piece ^ row) % 8) * 16;
}

// Between the blocks of a cluster.
__device__ inline unsigned rank_in_cluster() {
  unsigned rank = 0;
#ifdef TARN_WARPGROUPS
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return rank;
}
__device__ inline void meet_cluster() {
#ifdef TARN_WARPGROUPS
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
#endif
}
// At the barrier in the same place of another block.
__device__ inline void arrive_at(uint64_t* barrier, unsigned block) {
#ifdef TARN_WARPGROUPS
  asm volatile(
      "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [there]; }" ::"r"(
          group::address_of(barrier)),
      "r"(block)
      : "memory");
#endif
}
__device__ inline void expect(uint64_t* barrier, unsigned bytes) {
#ifdef TARN_WARPGROUPS
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(group::address_of(barrier)),
      "r"(bytes)
      : "memory");
#endif
}
// To the same place of all blocks of the cluster, which their barriers count.
__device__ inline void copy_to_cluster(unsigned to, const void* from, unsigned bytes,
                                       uint64_t* barrier) {
#ifdef TARN_WARPGROUPS
  constexpr unsigned short all = (1 << cluster) - 1;
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(group::address_of(barrier)), "h"(all)
      : "memory");
#endif
}

struct Turns {
  uint64_t full[most_stages], empty[most_stages];
};

// A launch: units are tiles of outputs, as many as a cluster has blocks, for a tile of x.
struct ManyRowsCalls {
  QuantizedCall of[most_calls];
  int count = 1;
  int first_tile[most_calls + 1] = {};  // of each
  int x_tiles = 1, units = 1, stages = most_stages;
  const void* x = nullptr;  // packed
};
// A block's part of a unit.
struct Tile {
  const QuantizedCall* call;
  int first_output, x_tile;
  bool there;
};
template <int outputs>
__device__ Tile tile_of(const ManyRowsCalls& c, int unit, unsigned rank) {
  Tile t;
  t.x_tile = unit % c.x_tiles;
  int tile = unit / c.x_tiles * cluster + static_cast<int>(rank), which = 0;
  t.there = tile < c.first_tile[c.count];
  if (!t.there) tile = 0;
  while (tile >= c.first_tile[which + 1]) ++which;
  t.call = &c.of[which];
  t.first_output = (tile - c.first_tile[which]) * outputs;
  return t;
}

// Brings tiles of x, a share of each, to all blocks of the cluster: one thread.
__device__ inline void bring_x(const ManyRowsCalls& c, unsigned tiles, Turns& turns) {
  const unsigned rank = rank_in_cluster();
  const int slices = static_cast<int>(c.of[0].k / slice);
  constexpr int share = tile_bytes / cluster;
  int at = 0, parity = 1;
#pragma unroll 1
  for (int unit = blockIdx.x / cluster; unit < c.units; unit += gridDim.x / cluster) {
    const char* from =
        static_cast<const char*>(c.x) + int64_t{unit % c.x_tiles} * slices * tile_bytes;
#pragma unroll 1
    for (int i = 0; i < slices; ++i) {
      group::await(&turns.empty[at], parity);
      expect(&turns.full[at], tile_bytes);
      copy_to_cluster(tiles + at * tile_bytes + rank * share,
                      from + int64_t{i} * tile_bytes + rank * share, share, &turns.full[at]);
      if (++at == c.stages) at = 0, parity ^= 1;
    }
  }
}

// 64 outputs `each` times: a warpgroup.
template <int each>
class Multiplier {
 public:
  static constexpr int outputs = each * group::rows;  // of the warpgroup
  static constexpr int of_block = consumers * outputs;

  __device__ Multiplier(const ManyRowsCalls& c, unsigned tiles, Turns& turns)
      : c_(c), tiles_(tiles), turns_(turns) {}

  __device__ void multiply() {
    const unsigned rank = rank_in_cluster();
    const int slices = static_cast<int>(c_.of[0].k / slice);
    int unit = blockIdx.x / cluster;
    Tile tile = tile_of<of_block>(c_, unit, rank);
    take(tile, 0);
#pragma unroll 1
    for (; unit < c_.units; unit += gridDim.x / cluster) {
      const bool last = unit + static_cast<int>(gridDim.x) / cluster >= c_.units;
      Tile next = tile_of<of_block>(c_, last ? unit : unit + gridDim.x / cluster, rank);
#pragma unroll 1
      for (int i = 0; i < slices; ++i) {
        const Weights now = next_;
        if (i + 1 < slices)
          take(tile, i + 1);
        else if (!last)
          take(next, 0);
        group::await(&turns_.full[at_], parity_);
        add_slice(now, i > 0);
        if (++at_ == c_.stages) at_ = 0, parity_ ^= 1;
      }
      store(tile);
      tile = next;
    }
  }

 private:
  // What a lane needs for a slice: codes, and their group's factors, each twice.
  struct Weights {
    uint4 codes[each][2];
    unsigned scale[each][2], bias[each][2];
  };

  __device__ void take(const Tile& t, int i) {
    const QuantizedCall& q = *t.call;
    const int at = i * slice + t4_ * 32, groups = static_cast<int>(q.k) / q.group;
#pragma unroll
    for (int j = 0; j < each; ++j)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        int output = t.first_output + output_of(j, r);
        if (output >= q.n) output = static_cast<int>(q.n) - 1;
        const auto* from =
            static_cast<const unsigned*>(q.codes) + int64_t{output} * (q.k / 8) + at / 8;
        uint4& to = next_.codes[j][r];
        asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
            : "=r"(to.x), "=r"(to.y), "=r"(to.z), "=r"(to.w)
            : "l"(from));
        const int64_t group = int64_t{output} * groups + at / q.group;
        next_.scale[j][r] = __ldg(static_cast<const unsigned short*>(q.scales) + group);
        next_.bias[j][r] = __ldg(static_cast<const unsigned short*>(q.biases) + group);
      }
  }
  __device__ int output_of(int j, int r) const {
    return (mine_ * each + j) * group::rows + warp_ * 16 + g_ + 8 * r;
  }

  __device__ void add_slice(const Weights& now, bool add) {
    const unsigned tile = tiles_ + at_ * tile_bytes;
    unsigned scale[each][2], bias[each][2];
#pragma unroll
    for (int j = 0; j < each; ++j)
#pragma unroll
      for (int r = 0; r < 2; ++r)
        scale[j][r] = now.scale[j][r] * 0x10001u, bias[j][r] = now.bias[j][r] * 0x10001u;
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      const uint64_t x =
          group::place_of_rows(tile + s / 4 * x_rows * group::row_bytes + s % 4 * 32);
#pragma unroll
      for (int j = 0; j < each; ++j)
#pragma unroll
        for (int r = 0; r < 2; ++r)
#pragma unroll
          for (int h = 0; h < 2; ++h)
            a_[s % 2][j][r + 2 * h] = numbers(word(now.codes[j][r], s / 2) >> (8 * (s % 2) + 4 * h),
                                              scale[j][r], bias[j][r]);
      for (int j = 0; j < each; ++j) group::settle(a_[s % 2][j]);
      group::begin_products();
#pragma unroll
      for (int j = 0; j < each; ++j)
        group::Product<ops::Bfloat, x_rows>::add_to(sums_[j], a_[s % 2][j], x, add || s > 0);
      group::end_products();
      // The compiler gives up if products are on their way at the end of a turn of the loop.
      if (s + 1 < steps)
        group::await_products<1>();
      else
        group::await_products<0>();
    }
    leave();
  }
  // All warps of the cluster have to be done with a place of x.
  __device__ void leave() {
    __syncwarp();
    const unsigned lane = threadIdx.x % 32;
    if (lane < cluster) arrive_at(&turns_.empty[at_], lane);
  }
  static __device__ unsigned word(const uint4& line, int i) {
    return i == 0 ? line.x : i == 1 ? line.y : i == 2 ? line.z : line.w;
  }
  // Of the codes in bits 0 to 3 and 16 to 19: 128 + code is exact in bfloat16.
  static __device__ unsigned numbers(unsigned codes, unsigned scale, unsigned bias) {
    unsigned y;
#ifdef TARN_WARPGROUPS
    constexpr unsigned offset = 0x43004300u;  // 128 twice
    asm("lop3.b32 %0, %1, 0x000f000f, %2, 0xea;" : "=r"(y) : "r"(codes), "r"(offset));
    asm("sub.rn.bf16x2 %0, %1, %2;" : "=r"(y) : "r"(y), "r"(offset));
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(y), "r"(scale), "r"(bias));
#else
    y = codes + scale + bias;
#endif
    return y;
  }
  __device__ void store(const Tile& t) const {
    if (!t.there) return;
    const QuantizedCall& q = *t.call;
    auto* y = static_cast<float*>(q.y);
#pragma unroll
    for (int j = 0; j < each; ++j)
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int output = t.first_output + output_of(j, r);
        if (output >= q.n) continue;
#pragma unroll
        for (int i = 0; i < x_rows / 8; ++i)
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            const int row = t.x_tile * x_rows + 8 * i + 2 * t4_ + k;
            if (row < q.m) y[int64_t{row} * q.n + output] = sums_[j][4 * i + 2 * r + k];
          }
      }
  }

  const ManyRowsCalls& c_;
  const unsigned tiles_;
  Turns& turns_;
  const int mine_ = static_cast<int>(threadIdx.x / group::threads);
  const int warp_ = threadIdx.x % group::threads / 32, g_ = threadIdx.x % 32 / 4,
            t4_ = threadIdx.x % 4;
  int at_ = 0;
  unsigned parity_ = 0;
  Weights next_;
  unsigned a_[2][each][4];
  float sums_[each][x_rows / 2];
};

}  // namespace tarn::cuda::many_rows
