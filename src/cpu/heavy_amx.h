// The tile registers: eight of 16 rows of 64 bytes, and the one instruction that multiplies them.
//
// Own assembly, because g++ 12's intrinsics do not say what they touch: _tile_loadconfig names 8 of
// the 64 bytes that it reads, so that a configuration written just before is optimised away and the
// first tile instruction dies, and loads and stores name no memory at all.
#pragma once

#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileRowBytes = 64;
constexpr int64_t kTileBytes = kTileRows * kTileRowBytes;
constexpr int64_t kTileCols = kTileRowBytes / 2;  // bfloat16 numbers
constexpr int64_t kStepBytes = 2 * kTileBytes;    // 32 of a depth in a panel or a pair of strips

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileShapes kWholeTiles{};

// The registers are this thread's for as long as the scope lives. Outside of it they are released,
// so that a switch of threads need not save their 8 KiB. Both ways cost below 100 ns.
class TileScope {
 public:
  TARN_INLINE explicit TileScope(const TileShapes& shapes = kWholeTiles) {
    asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
  }
  TARN_INLINE ~TileScope() { asm volatile("tilerelease" : : : "memory"); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

// Tile T from rows `stride` bytes apart, 1 KiB at p unless said otherwise, and back.
template <int T>
TARN_INLINE void load_tile(const void* p, int64_t stride = kTileRowBytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
// The same past the first cache: what streams by once leaves there what is used again. A panel of
// 32 KiB met by a stream of as much runs at 1.3 times the rate so.
template <int T>
TARN_INLINE void stream_tile(const void* p, int64_t stride = kTileRowBytes) {
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
TARN_INLINE void store_tile(void* p, int64_t stride = kTileRowBytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
TARN_INLINE void clear_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}

// Sum[i][j] += over 16 pairs p of bfloat16: A[i][2p] * B[p][2j] + A[i][2p + 1] * B[p][2j + 1].
template <int Sum, int A, int B>
TARN_INLINE void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
}

// Sum[i][j] += over rows k of B and b from 0 to 3: A[i][4k + b] * B[k][4j + b], bytes without a
// sign by bytes with one.
template <int Sum, int A, int B>
TARN_INLINE void multiply_codes() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sum), "i"(A), "i"(B));
}

// Tiles 0 to 3, a square of 32 x 32 sums: from four KiB, from zeros, and back.
TARN_INLINE void load_sums(const char* sums) {
  load_tile<0>(sums);
  load_tile<1>(sums + kTileBytes);
  load_tile<2>(sums + 2 * kTileBytes);
  load_tile<3>(sums + 3 * kTileBytes);
}
TARN_INLINE void clear_sums() {
  clear_tile<0>();
  clear_tile<1>();
  clear_tile<2>();
  clear_tile<3>();
}
TARN_INLINE void store_sums(char* sums) {
  store_tile<0>(sums);
  store_tile<1>(sums + kTileBytes);
  store_tile<2>(sums + 2 * kTileBytes);
  store_tile<3>(sums + 3 * kTileBytes);
}

// Adds 32 of k to the square: 32 rows on the left, the lower 16 of them half_bytes on, by two tiles
// on the right, one after the other.
TARN_INLINE void multiply_square(const char* left, int64_t row_bytes, int64_t half_bytes,
                                 const char* right) {
  load_tile<4>(left, row_bytes);
  load_tile<6>(right);
  multiply_tiles<0, 4, 6>();
  load_tile<7>(right + kTileBytes);
  multiply_tiles<1, 4, 7>();
  load_tile<5>(left + half_bytes, row_bytes);
  multiply_tiles<2, 5, 6>();
  multiply_tiles<3, 5, 7>();
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
