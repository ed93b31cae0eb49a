// What products of one row read: codes and factors on their way through rings in shared memory.
#pragma once

#include "cuda/digits.cuh"
#include "cuda/matmul.h"

namespace tarn::cuda::one_row {

using digits::Line;

constexpr int outputs = 16;  // of a tile: two halves of eight
constexpr int slice = 512;   // codes of an output in an item
constexpr int code_bytes = outputs * slice / 2;
// Items of a warp's ring; fewer where that is all that its warp takes. What is free is room for the
// block of the next kernel beside this one, whose weights then come while this one ends.
constexpr int deep = 3;
// Two blocks of a kernel on one processor would pack such a row one after the other: they get more
// than half of its shared memory each.
constexpr int long_row = 8192;
constexpr int most_warps = digits::threads / 32;  // of a block, which all pack x

// A matrix of a launch, and where its products go.
struct Matrix {
  const unsigned* codes = nullptr;
  const void *scales = nullptr, *biases = nullptr;
  const float* added = nullptr;  // to the products
  float* y = nullptr;
  int n = 0, tiles = 0;
};
struct RowCalls {
  Matrix of[most_calls];
  digits::Source x;
  int count = 1, tiles = 0;
  bool paired = false;
  bool in_lines = true;  // codes and factors begin where copies may
  // Warps that share a tile's k, and tiles at a time. Of a tile's slices each warp has `each`, the
  // first `rest` of them one more.
  int along = 1, abreast = 1, each = 1, rest = 0;
  int depth = deep;
};

// What a warp takes at a time: a slice of 16 outputs. The codes lie as the warp reads them, behind
// them each output's scales, then each one's biases.
template <class Scale, int group>
struct Item {
  static constexpr int groups = slice / group;
  static constexpr int factor_bytes = groups * static_cast<int>(sizeof(Scale));
  static constexpr int bytes = code_bytes + 2 * outputs * factor_bytes;
  static constexpr int factor_line = factor_bytes < 16 ? factor_bytes : 16;
};

// Eight outputs of a tile.
struct Half {
  int matrix, first;
};
// Tiles of a gate and what it is multiplied with have a half of each.
__device__ inline Half half_of(const RowCalls& c, int tile, int half) {
  if (c.paired) return {half, tile * 8};
  int matrix = 0;
#pragma unroll 1
  for (; tile >= c.of[matrix].tiles; ++matrix) tile -= c.of[matrix].tiles;
  return {matrix, tile * outputs + half * 8};
}

// Addresses of shared memory are numbers: a pointer would be taken for one to anywhere.
__device__ inline unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
__device__ inline Line line_at(unsigned at) {
  Line l;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(l.of[0]), "=r"(l.of[1]), "=r"(l.of[2]), "=r"(l.of[3])
               : "r"(at));
  return l;
}
template <int bytes>
__device__ void copy_later(unsigned to, const void* from) {
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(to), "l"(from));
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(from), "n"(bytes));
}
// Fills a warp's ring: the slices of its tiles, one after the other. No other warp's are waited
// for.
template <class Scale, int group>
class Feed {
 public:
  using Of = Item<Scale, group>;
  __device__ Feed(const RowCalls& c, char* ring, int tile, int along, int stride)
      : c_(c),
        ring_(ring),
        ring_at_(shared_address(ring)),
        tile_(tile),
        along_(along),
        stride_(stride) {}
  // The next item, or nothing, as one group of copies.
  __device__ void next() {
    if (tile_ < c_.tiles) {
      if (left_ == 0) find();
      if (c_.in_lines)
        copy_later();
      else
        copy_now();
      advance();
    }
    asm volatile("cp.async.commit_group;");
  }
  // Where the oldest of `depth` items is, when it has come. Every lane asks.
  __device__ unsigned oldest() {
    if (c_.depth == deep)
      asm volatile("cp.async.wait_group %0;" ::"n"(deep - 1) : "memory");
    else if (c_.depth == 2)
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    else
      asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncwarp();
    unsigned item = ring_at_ + out_ * Of::bytes;
    out_ = next_place(out_);
    return item;
  }

 private:
  static constexpr int lines = 4;  // of each half that a lane copies
  __device__ int next_place(int place) const { return place + 1 == c_.depth ? 0 : place + 1; }

  // Where the lane's part of the tile lies, from the warp's first slice on.
  __device__ void find() {
    const int lane = threadIdx.x % 32, k = c_.x.k;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const Half half = half_of(c_, tile_, i);
      const Matrix& m = c_.of[half.matrix];
      codes_[i] = m.codes + row_of(m, half.first + lane / 4) * (k / 8) + along_ * (slice / 8) +
                  4 * (lane % 4);
    }
    const Half mine = half_of(c_, tile_, lane / 8 % 2);
    const Matrix& m = c_.of[mine.matrix];
    factors_ = static_cast<const Scale*>(lane < outputs ? m.scales : m.biases) +
               row_of(m, mine.first + lane % 8) * (k / group) + along_ * Of::groups;
    left_ = c_.each + (along_ < c_.rest);
  }
  static __device__ int row_of(const Matrix& m, int output) {
    return output < m.n ? output : m.n - 1;
  }
  __device__ void copy_later() const {
    const unsigned item = ring_at_ + in_ * Of::bytes, lane = threadIdx.x % 32;
#pragma unroll
    for (int c = 0; c < lines; ++c)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        one_row::copy_later<16>(item + (c * 2 + i) * 512 + lane * 16, codes_[i] + c * 16);
#pragma unroll
    for (int i = 0; i < Of::factor_bytes; i += Of::factor_line)
      one_row::copy_later<Of::factor_line>(item + code_bytes + lane * Of::factor_bytes + i,
                                           reinterpret_cast<const char*>(factors_) + i);
  }
  // Codes and factors that begin anywhere.
  __device__ void copy_now() const {
    char* item = ring_ + in_ * Of::bytes;
    const unsigned lane = threadIdx.x % 32;
#pragma unroll 1
    for (int c = 0; c < lines * 4; ++c) {
      auto* to = reinterpret_cast<unsigned*>(item + c / 4 * 1024) + lane * 4 + c % 4;
      to[0] = codes_[0][c / 4 * 16 + c % 4], to[128] = codes_[1][c / 4 * 16 + c % 4];
    }
#pragma unroll 1
    for (int i = 0; i < Of::groups; ++i)
      reinterpret_cast<Scale*>(item + code_bytes)[lane * Of::groups + i] = factors_[i];
  }
  __device__ void advance() {
    in_ = next_place(in_);
    if (--left_ > 0) {
      for (auto& codes : codes_) codes += c_.along * (slice / 8);
      factors_ += c_.along * Of::groups;
      return;
    }
    tile_ += stride_;
  }

  const RowCalls& c_;
  char* ring_;
  unsigned ring_at_;
  const unsigned* codes_[2] = {};
  const Scale* factors_ = nullptr;
  int tile_, along_, stride_, left_ = 0;
  int in_ = 0, out_ = 0;  // places in the ring
};

}  // namespace tarn::cuda::one_row
