// Products of many rows with 4-bit weights: two warpgroups of a block have 64 outputs each, for 128
// rows of x.
#pragma once

#include "cuda/many_rows_tiles.cuh"

namespace tarn::cuda::many_rows {

// 64 outputs: a warpgroup.
class Multiplier {
 public:
  __device__ Multiplier(const ManyRowsCalls& c, unsigned tiles, Turns& turns)
      : c_(c), tiles_(tiles), turns_(turns), reader_(c, output_) {}

  __device__ void multiply() {
#pragma unroll
    for (Weights& w : ahead_) w = reader_.next();
    make_numbers(ahead_[0], 0);
#pragma unroll 1
    while (true)
#pragma unroll
      for (int j = 0; j < depth; ++j)
        if (ends_with_slice(j)) return;
  }

 private:
  // Slices whose weights are on their way or at work. Each has registers of its own, since moving
  // them would wait for what is on its way.
  static constexpr int depth = 4;
  static constexpr int words = 4;  // of codes in a slice, two steps each

  __device__ bool ends_with_slice(int j) {
    group::await(&turns_.full[at_], parity_);
    add_slice(ahead_[j], ahead_[(j + 1) % depth]);
    leave();
    if (++at_ == stages) at_ = 0, parity_ ^= 1;
    ahead_[j] = reader_.next();
    if (++i_ < slices_) return false;
    store(tile_of(c_, unit_, rank_in_cluster()));
    i_ = 0, unit_ += static_cast<int>(gridDim.x) / cluster;
    return unit_ >= c_.units;
  }
  // Word i of a slice becomes the left operands of two steps, once they are not read any more.
  __device__ void make_numbers(const Weights& w, int i) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const unsigned codes = word(w.codes[r], i);
      const unsigned scale = w.scale[r] * 0x10001u, bias = w.bias[r] * 0x10001u;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        a_[i % 2][j / 2][r + 2 * (j % 2)] = numbers(codes >> (4 * j), scale, bias);
    }
#pragma unroll
    for (auto& of_step : a_[i % 2]) group::settle(of_step);
  }
  __device__ void add_slice(const Weights& now, const Weights& next) {
    const unsigned tile = tiles_ + at_ * tile_bytes;
#pragma unroll
    for (int i = 0; i < words; ++i) {
      group::begin_products();
#pragma unroll
      for (int j = 0; j < 2; ++j)
        group::Product<ops::Bfloat, x_rows>::add_to(
            sums_, a_[i % 2][j],
            group::place_of_rows(tile + i / 2 * x_rows * group::row_bytes + (2 * i + j) % 4 * 32),
            i_ + i + j > 0);
      group::end_products();
      if (i > 0) group::await_products<1>();
      i + 1 < words ? make_numbers(now, i + 1) : make_numbers(next, 0);
    }
    // The compiler gives up if products are on their way at the end of a turn of the loop.
    group::await_products<0>();
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
    const int first = t.x_tile * x_rows + 2 * t4_, rows = static_cast<int>(q.m) - first;
    auto* y = static_cast<float*>(q.y) + int64_t{first} * q.n;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int output = t.first_output + output_ + 8 * r;
      if (output >= q.n) continue;
#pragma unroll
      for (int i = 0; i < x_rows / 8; ++i)
#pragma unroll
        for (int k = 0; k < 2; ++k)
          if (8 * i + k < rows) y[int64_t{8 * i + k} * q.n + output] = sums_[4 * i + 2 * r + k];
    }
  }

  const ManyRowsCalls& c_;
  const unsigned tiles_;
  Turns& turns_;
  const int t4_ = threadIdx.x % 4;
  // The first of the lane's two of a block's.
  const int output_ =
      static_cast<int>(threadIdx.x / 32) * 16 + static_cast<int>(threadIdx.x % 32) / 4;
  Reader reader_;
  const int slices_ = static_cast<int>(c_.of[0].k) / slice;
  int unit_ = static_cast<int>(blockIdx.x) / cluster, i_ = 0, at_ = 0;
  unsigned parity_ = 0;
  Weights ahead_[depth];
  unsigned a_[2][2][4];
  float sums_[x_rows / 2];
};

}  // namespace tarn::cuda::many_rows
