// What products of one row read: codes and factors on their way through rings in shared memory.
#pragma once

#include "cuda/digits.cuh"
#include "cuda/matmul.h"

namespace tarn::cuda::one_row {

using digits::Line;

constexpr int outputs = 16;  // of a tile: two halves of eight
constexpr int slice = 512;   // codes of an output in an item
constexpr int code_bytes = outputs * slice / 2;
// Items of a warp's ring. A short one leaves room for the block of the next kernel beside this one,
// whose weights then come while this one ends.
constexpr int deep = 4, shallow = 2;
constexpr int most_warps = 8;  // of a block

struct RowCalls {
  FewRowsCalls calls;
  int tiles = 0, slices = 0;
  int along = 1, abreast = 1;  // warps that share a tile's k, and tiles at a time
  int depth = deep;
};

// What a warp takes at a time: a slice of 16 outputs. The codes lie as the warp reads them, behind
// them each output's scales, then each one's biases.
template <class Scale, int group>
struct Item {
  static constexpr int groups = slice / group;
  static constexpr int factor_bytes = groups * static_cast<int>(sizeof(Scale));
  static constexpr int bytes = code_bytes + 2 * outputs * factor_bytes;
};

// Eight outputs of a tile.
struct Half {
  const QuantizedCall* call;
  int first;
  __device__ int output(int i) const {
    int n = static_cast<int>(call->n);
    return first + i < n ? first + i : n - 1;
  }
};
__device__ inline int64_t tiles_of(const QuantizedCall& c) { return (c.n + outputs - 1) / outputs; }
// Tiles of a gate and what it is multiplied with have a half of each.
__device__ inline void halves_of(const FewRowsCalls& c, int tile, Half (&halves)[2]) {
  if (c.paired) {
    halves[0] = {&c.of[0], tile * 8}, halves[1] = {&c.of[1], tile * 8};
    return;
  }
  int call = 0;
#pragma unroll 1
  for (; call + 1 < c.count && tile >= tiles_of(c.of[call]); ++call)
    tile -= static_cast<int>(tiles_of(c.of[call]));
  halves[0] = {&c.of[call], tile * outputs}, halves[1] = {&c.of[call], tile * outputs + 8};
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
  __device__ Feed(const RowCalls& c, char* ring, int tile, int along)
      : c_(c), ring_(ring), ring_at_(shared_address(ring)), tile_(tile), along_(along) {}
  // The next item, or nothing, as one group of copies.
  __device__ void next() {
    if (tile_ < c_.tiles) {
      if (left_ == 0) find();
      in_lines_ ? copy_later() : copy_now();
      advance();
    }
    asm volatile("cp.async.commit_group;");
  }
  // Where the oldest item is, when all but the newest depth - 2 have come. Every lane asks.
  __device__ unsigned oldest() {
    if (c_.depth == deep)
      asm volatile("cp.async.wait_group %0;" ::"n"(deep - 2) : "memory");
    else
      asm volatile("cp.async.wait_group %0;" ::"n"(shallow - 2) : "memory");
    __syncwarp();
    unsigned item = ring_at_ + out_ * Of::bytes;
    out_ = next_place(out_);
    return item;
  }

 private:
  static constexpr int lines = 4;  // of each half that a lane copies
  __device__ int next_place(int place) const { return place + 1 == c_.depth ? 0 : place + 1; }
  static constexpr int factor_line = Of::factor_bytes < 16 ? Of::factor_bytes : 16;

  // Where the lane's part of the tile lies, from the warp's first slice on.
  __device__ void find() {
    Half halves[2];
    halves_of(c_.calls, tile_, halves);
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const QuantizedCall& c = *halves[i].call;
      codes_[i] = static_cast<const unsigned*>(c.codes) + halves[i].output(g) * (c.k / 8) + 4 * t +
                  along_ * (slice / 8);
    }
    const Half mine = lane % outputs < 8 ? halves[0] : halves[1];
    const QuantizedCall& c = *mine.call;
    factors_ = static_cast<const Scale*>(lane < outputs ? c.scales : c.biases) +
               mine.output(lane % 8) * (c.k / group) + along_ * Of::groups;
    left_ = (c_.slices - along_ + c_.along - 1) / c_.along;
    auto is_line = [](const void* p, int bytes) {
      return reinterpret_cast<unsigned long>(p) % static_cast<unsigned>(bytes) == 0;
    };
    in_lines_ = is_line(codes_[0], 16) && is_line(codes_[1], 16) && is_line(factors_, factor_line);
  }
  __device__ void copy_later() const {
    const unsigned item = ring_at_ + in_ * Of::bytes, lane = threadIdx.x % 32;
#pragma unroll
    for (int c = 0; c < lines; ++c)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        one_row::copy_later<16>(item + (c * 2 + i) * 512 + lane * 16, codes_[i] + c * 16);
#pragma unroll
    for (int i = 0; i < Of::factor_bytes; i += factor_line)
      one_row::copy_later<factor_line>(item + code_bytes + lane * Of::factor_bytes + i,
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
    tile_ += static_cast<int>(gridDim.x) * c_.abreast;
  }

  const RowCalls& c_;
  char* ring_;
  unsigned ring_at_;
  const unsigned* codes_[2] = {};
  const Scale* factors_ = nullptr;
  int tile_, along_, left_ = 0;
  bool in_lines_ = true;
  int in_ = 0, out_ = 0;  // places in the ring
};

}  // namespace tarn::cuda::one_row
