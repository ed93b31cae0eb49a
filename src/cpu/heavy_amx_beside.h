// What the vector unit does while tiles are multiplied.
//
// It would be idle. So some of its work is done at each step of the tiles: sums of the meeting
// before are rounded into C, pairs of B go into the next panel, lines of the next strip are asked
// for. Done in one piece they took a quarter of the time at k = 512.
#pragma once

#include "cpu/heavy_amx_pack.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Sums of 32 x 32 numbers on their way into C.
struct Finished {
  const char* sums = nullptr;
  uint16_t* c = nullptr;
  int64_t row = 0, rows = 0, cols = 0;
};

TARN_INLINE void write_row(const Gemm& g, Finished& f) {
  const char* from = f.sums + f.row / kTileRows * kStepBytes + f.row % kTileRows * kTileRowBytes;
  const __mmask32 mask = first_lanes(f.cols);
  Vf low, high;
  std::memcpy(&low, from, sizeof low);
  std::memcpy(&high, from + kTileBytes, sizeof high);
  low *= g.alpha, high *= g.alpha;
  if (g.beta != 0) {
    const __m512i old = _mm512_maskz_loadu_epi16(mask, f.c);
    const auto wide = [](__m256i h) {
      return bits_as<Vf>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
    };
    low += g.beta * wide(_mm512_castsi512_si256(old));
    high += g.beta * wide(_mm512_extracti64x4_epi64(old, 1));
  }
  const auto both = _mm512_cvtne2ps_pbh(bits_as<__m512>(high), bits_as<__m512>(low));
  _mm512_mask_storeu_epi16(f.c, mask, bits_as<__m512i>(both));
  f.c += g.c_row;
  ++f.row;
}

// Lines to bring into L2: `rows` of them, 64 bytes further on at each step.
struct Ahead {
  const char* base = nullptr;
  int64_t row_bytes = 0, rows = 0;
};

struct Beside {
  const Gemm* g = nullptr;
  Finished finished{};
  Pairing pairing{};
  Ahead ahead{};
  int64_t rows_a_step = 0, pairs_a_step = 0;

  TARN_INLINE void step() {
    for (int64_t r = 0; r < rows_a_step && finished.row < finished.rows; ++r)
      write_row(*g, finished);
    for (int64_t r = 0; r < pairs_a_step && pairing.pair < pairing.pairs; ++r) write_pair(pairing);
    for (int64_t r = 0; r < ahead.rows; ++r)
      __builtin_prefetch(ahead.base + r * ahead.row_bytes, 0, 2);
    ahead.base += kTileRowBytes;
  }
  void end_rows() {
    while (finished.row < finished.rows) write_row(*g, finished);
  }
  void end_pairs() {
    while (pairing.pair < pairing.pairs) write_pair(pairing);
  }
};

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
