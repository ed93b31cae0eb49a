// Matrices of bfloat16 to tiles: the left operand as it lies, the right one as pairs of k.
#pragma once

#include "cpu/heavy_amx.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kPanel = 2 * kTileRows;  // columns of B, rows of A
constexpr int64_t kStep = kTileCols;       // of k

// A matrix as it lies: number (i, k) is at i * side + k * step. For B the sides are its columns.
struct Matrix {
  const uint16_t* base = nullptr;
  int64_t side = 0, step = 0;
  TARN_INLINE const uint16_t* at(int64_t i, int64_t k) const { return base + i * side + k * step; }
};

TARN_INLINE int64_t panel_bytes(int64_t depth) { return round_up(depth, kStep) * kPanel * 2; }

TARN_INLINE __mmask32 first_lanes(int64_t n) {
  return n >= kPanel ? ~__mmask32{0} : (__mmask32{1} << larger(n, 0)) - 1;
}

// 16 sides by 32 k, past `sides` and `depth` zeros: sides down and k across where k is contiguous,
// pairs of k down and sides across where sides are. Says whether it is the latter.
TARN_INLINE bool load_square(const Matrix& m, int64_t i, int64_t sides, int64_t k, int64_t depth,
                             Vf (&row)[kTileRows]) {
  if (m.side == 1 && m.step != 1) {
    const auto across = static_cast<__mmask16>(first_lanes(sides));
    const auto line = [&](int64_t at) {
      return at < depth ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(across, m.at(i, k + at)))
                        : __m512i{};
    };
    for (int p = 0; p < kTileRows; ++p)
      row[p] = bits_as<Vf>(_mm512_or_si512(line(2 * p), _mm512_slli_epi32(line(2 * p + 1), 16)));
    return true;
  }
  for (int r = 0; r < kTileRows; ++r) {
    if (r < sides && m.step == 1) {
      row[r] = bits_as<Vf>(_mm512_maskz_loadu_epi16(first_lanes(depth), m.at(i + r, k)));
      continue;
    }
    alignas(64) uint16_t line[kStep] = {};
    for (int64_t j = 0; j < kStep && r < sides && j < depth; ++j) line[j] = *m.at(i + r, k + j);
    std::memcpy(&row[r], line, sizeof line);
  }
  return false;
}

// 32 sides by 32 k to two tiles: with pairs of k down, or with sides down.
template <bool Pairs>
void pack_step(const Matrix& m, int64_t i, int64_t sides, int64_t k, int64_t depth, char* to) {
  for (int64_t half = 0; half < kPanel; half += kTileRows) {
    Vf row[kTileRows];
    if (load_square(m, i + half, sides - half, k, depth, row) != Pairs) transpose(row);
    TARN_UNROLL
    for (int r = 0; r < kTileRows; ++r, to += kTileRowBytes) std::memcpy(to, &row[r], sizeof(Vf));
  }
}

// 32 sides from i on, of which `sides` are there, over a depth.
template <bool Pairs>
void pack_panel(const Matrix& m, int64_t i, int64_t sides, Range k, char* to) {
  for (int64_t at = k.begin; at < k.end; at += kStep, to += kStepBytes)
    pack_step<Pairs>(m, i, sides, at, k.end - at, to);
}

// 32 whole contiguous columns of B on their way into a panel, a pair of k at a time.
struct Pairing {
  const uint16_t* from = nullptr;
  int64_t step = 0;
  char* to = nullptr;
  int64_t pair = 0, pairs = 0;
};

TARN_INLINE bool pairs_up(const Matrix& b, int64_t sides, Range k) {
  return b.side == 1 && sides >= kPanel && (k.end - k.begin) % kStep == 0;
}

TARN_INLINE Pairing pairing_of(const Matrix& b, int64_t i, Range k, char* to) {
  return {b.at(i, k.begin), b.step, to, 0, (k.end - k.begin) / 2};
}

// Two rows of 32 numbers to pairs: of the first 16 columns at `to`, of the others a tile further.
TARN_INLINE void put_pairs(__m512i even, __m512i odd, char* to) {
  alignas(64) static constexpr uint16_t kLow[kPanel] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                        37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                        11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kLow);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(kTileRows));
  _mm512_store_si512(to, _mm512_permutex2var_epi16(even, low, odd));
  _mm512_store_si512(to + kTileBytes, _mm512_permutex2var_epi16(even, high, odd));
}
TARN_INLINE void write_pair(Pairing& p) {
  put_pairs(_mm512_loadu_si512(p.from), _mm512_loadu_si512(p.from + p.step),
            p.to + p.pair / kTileRows * kStepBytes + p.pair % kTileRows * kTileRowBytes);
  p.from += 2 * p.step;
  ++p.pair;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
