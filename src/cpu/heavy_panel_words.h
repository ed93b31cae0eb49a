// Panels of words, pair by pair of columns with the rows side by side, in the order of the packed
// activations. A tile is 16 rows x 4 tokens: two vectors of the panel meet one broadcast pair of
// each token, so 8 integer sums run in registers; at the end of each group they are converted
// and scaled by d times the row's scale, and the bias times u is added. At groups of 32 that is
// 16 products and additions to 4 float steps, where a sum that is scaled lane by lane has 2 to 3.
#pragma once

#include "cpu/heavy_panel_room.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kTileTokens = 4;
constexpr int64_t kPanelTokens = 4;  // from here on: heavy_fours.h has the same bits
constexpr int64_t kCodeBytes = 2;    // of a code in a panel
constexpr int64_t kPairBytes = kPanelRows * 4;

// Sixteen bytes of each of eight rows: vector j has the rows' j-th four bytes side by side. Loads
// of two rows into one vector leave 8 shuffles, 16 for the square that registers alone turn by 24.
TARN_INLINE void turn_quarters(const uint8_t* const (&rows)[kLanes], int64_t byte,
                               __m256i (&to)[4]) {
  __m256i row[4];
  TARN_UNROLL
  for (int r = 0; r < 4; ++r)
    row[r] = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(rows[r + 4] + byte),
                                 reinterpret_cast<const __m128i*>(rows[r] + byte));
  const __m256i a = _mm256_unpacklo_epi32(row[0], row[1]);
  const __m256i b = _mm256_unpacklo_epi32(row[2], row[3]);
  const __m256i c = _mm256_unpackhi_epi32(row[0], row[1]);
  const __m256i d = _mm256_unpackhi_epi32(row[2], row[3]);
  to[0] = _mm256_unpacklo_epi64(a, b);
  to[1] = _mm256_unpackhi_epi64(a, b);
  to[2] = _mm256_unpacklo_epi64(c, d);
  to[3] = _mm256_unpackhi_epi64(c, d);
}

// kLanes rows of codes, a multiple of 16 bytes each, to pairs at `to`: kVectorBytes of raw codes
// hold those of the 2 or 4 phases of heavy_fours.h, which lie one behind the other in the
// activations.
template <int Bits>
void fill_codes(const uint8_t* const (&rows)[kLanes], int64_t row_bytes, uint8_t* to) {
  constexpr auto kMask = static_cast<uint16_t>((1 << Bits) - 1);
  constexpr int64_t kPhaseBytes = kLanes * kPairBytes;
  for (int64_t byte = 0; byte < row_bytes; byte += 16) {
    __m256i turned[4];
    turn_quarters(rows, byte, turned);
    uint8_t* at = to + byte / kVectorBytes * kPhases<Bits> * kPhaseBytes +
                  byte % kVectorBytes / 4 * kPairBytes;
    TARN_UNROLL
    for (int p = 0; p < kPhases<Bits>; ++p)
      for (int j = 0; j < 4; ++j) {
        const auto pairs = (bits_as<Vec<uint16_t>>(turned[j]) >> (p * Bits)) & kMask;
        std::memcpy(at + p * kPhaseBytes + j * kPairBytes, &pairs, sizeof pairs);
      }
  }
}

// Eight 16-bit numbers of each of 16 rows, turned: vector i has the rows' i-th numbers.
TARN_INLINE void turn_halves(const char* const (&rows)[kPanelRows], int64_t byte,
                             __m256i (&to)[8]) {
  __m256i row[8], two[8], four[8];
  TARN_UNROLL
  for (int r = 0; r < 8; ++r)
    row[r] = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(rows[r + 8] + byte),
                                 reinterpret_cast<const __m128i*>(rows[r] + byte));
  TARN_UNROLL
  for (int i = 0; i < 4; ++i) {
    two[2 * i] = _mm256_unpacklo_epi16(row[2 * i], row[2 * i + 1]);
    two[2 * i + 1] = _mm256_unpackhi_epi16(row[2 * i], row[2 * i + 1]);
  }
  TARN_UNROLL
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) {
      four[4 * i + 2 * j] = _mm256_unpacklo_epi32(two[4 * i + j], two[4 * i + j + 2]);
      four[4 * i + 2 * j + 1] = _mm256_unpackhi_epi32(two[4 * i + j], two[4 * i + j + 2]);
    }
  TARN_UNROLL
  for (int i = 0; i < 4; ++i) {
    to[2 * i] = _mm256_unpacklo_epi64(four[i], four[i + 4]);
    to[2 * i + 1] = _mm256_unpackhi_epi64(four[i], four[i + 4]);
  }
}

// Scales or biases of the panel's rows, group by group with the rows side by side. The last eight
// groups may overlap those before.
template <Store S>
void fill_groups(const QuantMatrix& w, int64_t row, const void* base, float* to) {
  const int64_t groups = w.cols / w.group;
  const char* rows[kPanelRows];
  for (int r = 0; r < kPanelRows; ++r)
    rows[r] = static_cast<const char*>(at(base, S, smaller(row + r, w.rows - 1) * groups));
  if (S == Store::f32 || groups < 8) {
    for (int64_t g = 0; g < groups; ++g)
      for (int r = 0; r < kPanelRows; ++r) to[g * kPanelRows + r] = get<S>(rows[r], g);
    return;
  }
  for (int64_t g = 0; g < groups; g += 8) {
    const int64_t first = smaller(g, groups - 8);
    __m256i turned[8];
    turn_halves(rows, first * 2, turned);
    for (int i = 0; i < 8; ++i)
      for (int half = 0; half < 2; ++half)
        store(to + (first + i) * kPanelRows + half * kLanes,
              get_vector<S>(&turned[i], half * kLanes));
  }
}

// Adds Pairs pairs of columns to the integer sums, from the `at`-th pair on.
template <int Pairs, int T>
TARN_INLINE void dot_pairs(const uint8_t* panel, const int8_t* const (&token)[T], int64_t at,
                           __m256i (&dots)[T][2]) {
  const uint8_t* p = panel + at * kPairBytes;
  each<Pairs>([&]<int Pair>() __attribute__((always_inline)) {
    const __m256i w0 = bits_as<__m256i>(load_bytes(p + Pair * kPairBytes));
    const __m256i w1 = bits_as<__m256i>(load_bytes(p + Pair * kPairBytes + kVectorBytes));
    each<T>([&]<int t>() __attribute__((always_inline)) {
      int32_t two;
      std::memcpy(&two, token[t] + (at + Pair) * 4, 4);
      const __m256i a = _mm256_set1_epi32(two);
      dots[t][0] = _mm256_add_epi32(dots[t][0], _mm256_madd_epi16(w0, a));
      dots[t][1] = _mm256_add_epi32(dots[t][1], _mm256_madd_epi16(w1, a));
      // g++ 12 would add in trees, whose leaves do not fit into registers.
      asm("" : "+x"(dots[t][0]), "+x"(dots[t][1]));
    });
  });
}

// The first `rows` floats of the panel's: a memcpy of a length that is not known is a call.
TARN_INLINE void store_rows(const Vf (&sum)[2], float* y, int64_t rows) {
  if (rows < kPanelRows) {
    std::memcpy(y, sum, static_cast<size_t>(rows) * sizeof(float));
    return;
  }
  store(y, sum[0]);
  store(y + kLanes, sum[1]);
}

// 16 rows x T tokens over all columns. Split: of 4 bits, 64 columns are four phases of 32 words, so
// a group of 32 has a half of each. Out of line, as the registers are for it alone.
template <bool Split, int ActGroup, int T>
[[gnu::noinline]] void panel_tile(const Panel& p, const PackedRows& x, int64_t token, int64_t cols,
                                  int groups_a_scale, float* y, int64_t y_stride, int64_t rows,
                                  Ahead ahead) {
  constexpr int kBits = Split ? 4 : 8;
  constexpr int64_t kAhead = ahead_bytes<kBits, ActGroup>();
  const int8_t* digits[T];
  Vf sums[2][T][2];  // over even groups, and over odd ones
  each<T>([&]<int t>() __attribute__((always_inline)) {
    digits[t] = x.digits(token + t);
    sums[0][t][0] = sums[0][t][1] = sums[1][t][0] = sums[1][t][1] = Vf{};
  });
  const int64_t groups = cols / ActGroup, floats = x.floats, digit_bytes = x.digit_bytes;
  const auto scales_of = [&](int t) __attribute__((always_inline)) {
    return reinterpret_cast<const float*>(digits[t] + digit_bytes);
  };
  const float *scales = p.scales, *biases = p.biases;
  for (int64_t g = 0; g < groups;) {
    fetch<kAhead>(ahead, g);
    __m256i dots[T][2];
    each<T>([&]<int t>() __attribute__((always_inline)) {
      dots[t][0] = dots[t][1] = _mm256_setzero_si256();
    });
    if constexpr (Split && ActGroup == 32) {
      const int64_t first = g / 2 * 32 + g % 2 * 4;
      TARN_UNROLL
      for (int64_t phase = 0; phase < 4; ++phase)
        dot_pairs<4, T>(p.codes, digits, first + phase * 8, dots);
    } else {
      for (int64_t i = 0; i < ActGroup / 2; i += 8)
        dot_pairs<8, T>(p.codes, digits, g * ActGroup / 2 + i, dots);
    }
    asm("" : "+m"(sums));  // stays in memory: registers are for the integers
    Vf(&sum)[T][2] = sums[g % 2];
    const Vf scale[2] = {load(scales), load(scales + kLanes)};
    const Vf bias[2] = {load(biases), load(biases + kLanes)};
    each<T>([&]<int t>() __attribute__((always_inline)) {
      const float d = scales_of(t)[g], u = scales_of(t)[floats + g];
      each<2>([&]<int h>() __attribute__((always_inline)) {
        const Vf with_bias = sum[t][h] + bias[h] * u;
        const Vf dot = __builtin_convertvector(bits_as<Vi>(dots[t][h]), Vf);
        sum[t][h] = with_bias + dot * (scale[h] * d);
      });
    });
    if ((++g & (groups_a_scale - 1)) == 0) scales += kPanelRows, biases += kPanelRows;
  }
  each<T>([&]<int t>() __attribute__((always_inline)) {
    const Vf both[2] = {sums[0][t][0] + sums[1][t][0], sums[0][t][1] + sums[1][t][1]};
    store_rows(both, y + t * y_stride, rows);
  });
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
