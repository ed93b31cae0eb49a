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
constexpr int outputs = consumers * group::rows;
constexpr int x_rows = 128, slice = 128;  // of x in a tile, and of k
constexpr int tile_bytes = x_rows * slice * 2;
constexpr int stages = 6;
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
// At the barrier in the same place of another block. A release to the cluster would wait for what
// this thread asked memory for; what it tells is that products are done, which it has waited for.
__device__ inline void arrive_at(uint64_t* barrier, unsigned block) {
#ifdef TARN_WARPGROUPS
  asm volatile(
      "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there]; }" ::"r"(group::address_of(barrier)),
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
  uint64_t full[stages], empty[stages];
};

// A launch: units are tiles of outputs, as many as a cluster has blocks, for a tile of x.
struct ManyRowsCalls {
  QuantizedCall of[most_calls];
  int count = 1;
  int first_tile[most_calls + 1] = {};  // of each
  int x_tiles = 1, units = 1;
  const void* x = nullptr;  // packed
};
// A block's part of a unit.
struct Tile {
  const QuantizedCall* call;
  int first_output, x_tile;
  bool there;
};
__device__ inline Tile tile_of(const ManyRowsCalls& c, int unit, unsigned rank) {
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
      if (++at == stages) at = 0, parity ^= 1;
    }
  }
}

// What a lane needs of two outputs for a slice: codes, and their group's factors.
struct Weights {
  uint4 codes[2];
  unsigned scale[2], bias[2];
};
// Weights of the slices to come, those of the next units among them.
class Reader {
 public:
  __device__ Reader(const ManyRowsCalls& c, int output)
      : c_(c),
        output_(output),
        rank_(rank_in_cluster()),
        slices_(static_cast<int>(c.of[0].k) / slice),
        shift_(c.of[0].group == 32   ? 5
               : c.of[0].group == 64 ? 6
                                     : 7) {
    begin();
  }
  __device__ Weights next() {
    Weights w;
    const int at = i_ * slice + threadIdx.x % 4 * 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(w.codes[r].x), "=r"(w.codes[r].y), "=r"(w.codes[r].z), "=r"(w.codes[r].w)
                   : "l"(codes_[r] + at / 8));
      w.scale[r] = factor(scales_[r] + (at >> shift_));
      w.bias[r] = factor(biases_[r] + (at >> shift_));
    }
    if (++i_ == slices_) {
      i_ = 0;
      const int step = static_cast<int>(gridDim.x) / cluster;
      if (unit_ + step < c_.units) unit_ += step, begin();  // else they are read once more
    }
    return w;
  }

 private:
  static __device__ unsigned factor(const unsigned short* from) {
    unsigned x;
    asm volatile("ld.global.nc.u16 %0, [%1];" : "=r"(x) : "l"(from));
    return x;
  }
  __device__ void begin() {
    const Tile t = tile_of(c_, unit_, rank_);
    const QuantizedCall& q = *t.call;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int wanted = t.first_output + output_ + 8 * r, n = static_cast<int>(q.n);
      const int64_t output = wanted < n ? wanted : n - 1, first = output * (q.k >> shift_);
      codes_[r] = static_cast<const unsigned*>(q.codes) + output * (q.k / 8);
      scales_[r] = static_cast<const unsigned short*>(q.scales) + first;
      biases_[r] = static_cast<const unsigned short*>(q.biases) + first;
    }
  }

  const ManyRowsCalls& c_;
  const int output_;
  const unsigned rank_;
  const int slices_, shift_;
  int unit_ = static_cast<int>(blockIdx.x) / cluster, i_ = 0;
  const unsigned* codes_[2];
  const unsigned short *scales_[2], *biases_[2];
};

}  // namespace tarn::cuda::many_rows
