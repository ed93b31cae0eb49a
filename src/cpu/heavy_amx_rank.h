// u · b beside a product in tiles, as near as its sums: a float is its bfloat16 and the bfloat16 of
// what that leaves, high + low, and high·high + low·high + high·low lacks but 2^-16 of the whole.
// So a rank takes three places of a step's 32: 8 of them fit one step.
#pragma once

#include "cpu/heavy_amx_pack.h"
#include "cpu/heavy_amx_weights.h"
#include "cpu/heavy_back.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kMostPlaces = 3 * kMostTileRank;

TARN_INLINE int64_t rank_steps(const Qmm& q) { return ceil_div(3 * q.rank, kTileCols); }
TARN_INLINE int64_t rank_bytes(const Qmm& q) { return rank_steps(q) * kStepBytes; }

// Puts n floats' parts at three places `apart` from each other: the high ones first, the low ones
// at place `low`, the high ones again at the third.
TARN_INLINE void put_parts(const float* from, int64_t n, int low, int64_t apart, uint16_t* to) {
  const auto mask = static_cast<__mmask16>((1u << smaller(n, kLanes)) - 1);
  const __m512 x = _mm512_maskz_loadu_ps(mask, from);
  const __m256i high = to_bfloat(bits_as<Vf>(x));
  const __m512 rounded = bits_as<__m512>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
  const __m256i rest = to_bfloat(bits_as<Vf>(_mm512_sub_ps(x, rounded)));
  for (int place = 0; place < 3; ++place)
    _mm256_mask_storeu_epi16(to + place * apart, mask, place == low ? rest : high);
}

// 32 rows of u from `token` on, to tiles with the places across, or with pairs of them down.
template <bool Pairs>
void pack_rank_rows(const Qmm& q, int64_t token, char* to) {
  alignas(64) uint16_t lines[kPairRows][kMostPlaces];
  const int64_t count = smaller(kPairRows, q.m - token);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t k = 0; k < q.rank; k += kLanes)
      put_parts(q.u + (token + i) * q.rank + k, q.rank - k, 1, q.rank, lines[i] + k);
  pack_panel<Pairs>({lines[0], kMostPlaces, 1}, 0, count, {0, 3 * q.rank}, to);
}

// 32 columns of b from `col` on, of `cols` that there are, likewise.
template <bool Pairs>
void pack_rank_columns(const Qmm& q, int64_t col, int64_t cols, char* to) {
  alignas(64) uint16_t lines[kMostPlaces][kPairRows];
  const int64_t count = smaller(kPairRows, cols - col);
  for (int64_t k = 0; k < q.rank; ++k)
    for (int64_t i = 0; i < count; i += kLanes)
      put_parts(q.b + k * cols + col + i, count - i, 2, q.rank * kPairRows, lines[k] + i);
  pack_panel<Pairs>({lines[0], 1, kPairRows}, 0, count, {0, 3 * q.rank}, to);
}

// The term's tiles of a call: of all rows of u, a pair of strips after the other, and of the panel
// in work.
struct RankTiles {
  char* rows = nullptr;
  char* columns = nullptr;
  int64_t steps = 0;
  TARN_INLINE const char* pair(int64_t i) const { return rows + i * steps * kStepBytes; }
};
TARN_INLINE int64_t rank_tile_bytes(const Qmm& q) {
  return (ceil_div(q.m, kPairRows) + 1) * rank_bytes(q);
}
template <bool Pairs>
RankTiles rank_tiles(const Qmm& q, char* at) {
  RankTiles t{at + rank_bytes(q), at, rank_steps(q)};
  for (int64_t token = 0; t.steps > 0 && token < q.m; token += kPairRows)
    pack_rank_rows<Pairs>(q, token, t.rows + token / kPairRows * rank_bytes(q));
  return t;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
