// y = x · Wᵀ on activations of two int8 digits with AVX2, for few rows of x.
//
// Four rows of W at a time. Each vector of codes becomes two or four of 16 bits, which meet the
// activations as numbers of 16 bits: a byte product would need two digits and care for what
// saturates. The lanes of four rows are added up until a vector has the four rows' sums of one
// group and then of the next, as integers; it is converted and scaled by d times the rows' scales,
// and the bias times u is added. So a result is a sum over the even groups and one over the odd
// ones, in the order and the operations of heavy_panel_words.h: the same bits for any number of
// rows of x.
#pragma once

#include "cpu/heavy_codes.h"
#include "cpu/heavy_dot.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kFewRows = 4;  // rows of W

// Four rows of codes next to each other, or one four times.
struct FourRows {
  const uint8_t* codes = nullptr;
  int64_t stride = 0, bytes = 0;  // of a row of codes
  int64_t row = 0, step = 0;      // in W, of its scales and biases
};

// Lanes 0 to 3 of the result are the four rows' sums of the first half, 4 to 7 of the second.
TARN_INLINE __m256i fold_halves(const __m256i (&v)[kFewRows]) {
  const __m256i a =
      _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
  const __m256i b =
      _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

// Adds the products of one vector of codes, or the first `left` bytes of it.
template <int Bits, bool Whole>
TARN_INLINE void add_block(const uint8_t* codes, int64_t left, const int8_t* digits, __m256i& sum) {
  constexpr int kParts = kPhases<Bits>;
  const __m256i mask = _mm256_set1_epi16((1 << Bits) - 1);
  const auto raw = bits_as<__m256i>(Whole ? load_bytes(codes) : load_codes(codes, left));
  each<kParts>([&]<int p>() __attribute__((always_inline)) {
    const __m256i moved = _mm256_srli_epi16(raw, p * Bits);
    const __m256i words = p + 1 < kParts ? _mm256_and_si256(moved, mask) : moved;
    const auto x = bits_as<__m256i>(load_bytes(digits + p * kVectorBytes));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, x));
  });
  asm("" : "+x"(sum));  // one row after the other: more at once do not fit into registers
}

// A pair of groups of activations is one block of codes, or each of them is one or two.
template <int Bits, int ActGroup>
struct Pair {
  static constexpr int64_t bytes = 2 * ActGroup * Bits / 8;
  static constexpr int halves = bytes > kVectorBytes ? 2 : 1;
  static constexpr int blocks = static_cast<int>(bytes) / kVectorBytes / halves;  // of a half

  // Adds row r's products of half h of the pair at `byte`.
  template <bool Whole>
  TARN_INLINE static void add(const FourRows& f, const int8_t* digits, int64_t byte, int h, int r,
                              __m256i& sum) {
    each<blocks>([&]<int i>() __attribute__((always_inline)) {
      const int64_t at = byte + (h * blocks + i) * kVectorBytes;
      if (Whole || at < f.bytes)
        add_block<Bits, Whole>(f.codes + r * f.stride + at, f.bytes - at,
                               digits + at * kPhases<Bits>, sum);
    });
  }
  // Lanes 0 to 3: the four rows' sums over the first group, 4 to 7: over the second.
  TARN_INLINE static __m256i sums(const __m256i (&of)[halves][kFewRows]) {
    const __m256i first = fold_halves(of[0]);
    if constexpr (halves == 1) return first;
    const __m256i second = fold_halves(of[halves - 1]);
    return _mm256_add_epi32(_mm256_permute2x128_si256(first, second, 0x20),
                            _mm256_permute2x128_si256(first, second, 0x31));
  }
};

// What four rows add up to over N pairs of groups from `byte` of each row on, one row after the
// other. The next codes are asked for in the order in which they lie.
template <int Bits, int ActGroup, int N, bool Whole>
TARN_INLINE void sums_of_pairs(const FourRows& f, const int8_t* digits, int64_t byte,
                               __m256i (&to)[N]) {
  using P = Pair<Bits, ActGroup>;
  constexpr int64_t kAllBytes = N * P::bytes * kFewRows;
  if (Whole) {
    TARN_UNROLL
    for (int64_t i = 0; i < kAllBytes; i += 64)
      __builtin_prefetch(f.codes + kFewRows * byte + i + kCodesAhead);
  }
  __m256i sum[N][P::halves][kFewRows];
  each<kFewRows>([&]<int r>() __attribute__((always_inline)) {
    each<N>([&]<int i>() __attribute__((always_inline)) {
      each<P::halves>([&]<int h>() __attribute__((always_inline)) {
        sum[i][h][r] = _mm256_setzero_si256();
        P::template add<Whole>(f, digits, byte + i * P::bytes, h, r, sum[i][h][r]);
      });
    });
  });
  each<N>([&]<int i>() __attribute__((always_inline)) { to[i] = P::sums(sum[i]); });
}

// The four rows' scales or biases of some activation groups: of group 2i in lanes 0 to 3 of pair i,
// of 2i + 1 in the others. A weight group of 128 is two activation groups.
template <int Group, Store S>
struct RowGroups {
  const void* base = nullptr;
  int64_t per_row = 0, first = 0, step = 0;  // of weight groups
  static constexpr int64_t kEach = Group > 64 ? 2 : 1;

  TARN_INLINE Vf any_pair(int64_t g) const {
    Vf pair{};
    for (int64_t h = 0; h < 2 && (g + h) / kEach < per_row; ++h)
      for (int64_t r = 0; r < kFewRows; ++r)
        pair[h * 4 + r] = get<S>(base, first + r * step + (g + h) / kEach);
    return pair;
  }
  // Pairs of eight groups from g on, all of them inside the row.
  TARN_INLINE void four_pairs(int64_t g, Vf (&to)[4]) const {
    if constexpr (S != Store::f32) {
      const auto eight = [&](int r) __attribute__((always_inline)) {
        const auto* from = static_cast<const __m128i*>(at(base, S, first + r * step + g / kEach));
        if constexpr (kEach == 1) return _mm_loadu_si128(from);
        const __m128i four = _mm_loadl_epi64(from);
        return _mm_unpacklo_epi16(four, four);
      };
      const __m128i a = eight(0), b = eight(1), c = eight(2), d = eight(3);
      const __m128i ab = _mm_unpacklo_epi16(a, b), cd = _mm_unpacklo_epi16(c, d);
      const __m128i ab4 = _mm_unpackhi_epi16(a, b), cd4 = _mm_unpackhi_epi16(c, d);
      const __m128i pairs[4] = {_mm_unpacklo_epi32(ab, cd), _mm_unpackhi_epi32(ab, cd),
                                _mm_unpacklo_epi32(ab4, cd4), _mm_unpackhi_epi32(ab4, cd4)};
      for (int i = 0; i < 4; ++i) to[i] = get_vector<S>(&pairs[i], 0);
    } else if constexpr (kEach == 1) {
      const auto* row = static_cast<const float*>(base) + first + g;
      const auto two = [&](int64_t r, int64_t i) __attribute__((always_inline)) {
        const __m128 low =
            _mm_loadl_pi(_mm_setzero_ps(), reinterpret_cast<const __m64*>(row + r * step + i));
        return _mm_loadh_pi(low, reinterpret_cast<const __m64*>(row + (r + 1) * step + i));
      };
      for (int i = 0; i < 4; ++i) {
        const __m128 a = two(0, 2 * i), b = two(2, 2 * i);
        to[i] =
            bits_as<Vf>(_mm256_set_m128(_mm_shuffle_ps(a, b, 0xdd), _mm_shuffle_ps(a, b, 0x88)));
      }
    } else {
      for (int i = 0; i < 4; ++i) to[i] = any_pair(g + 2 * i);
    }
  }
};

// d or u of two groups, in the lanes of four rows each.
TARN_INLINE Vf spread_pair(const float* pair) {
  const __m256 both = _mm256_castpd_ps(_mm256_broadcast_sd(reinterpret_cast<const double*>(pair)));
  return bits_as<Vf>(_mm256_permutevar_ps(both, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)));
}

// Four rows' products with one row of x, in lanes 0 to 3.
template <int Bits, int Group, Store S>
__m128 dot_four(const FourRows& f, const QuantMatrix& w, const PackedRows& x, int64_t token) {
  constexpr int kActGroup = Group < 64 ? Group : 64;
  constexpr int64_t kPairBytes = Pair<Bits, kActGroup>::bytes;
  // Rows of 8 bits, which are read as fast as memory gives them, are read 256 bytes at a time: four
  // streams of a vector each take a tenth longer.
  constexpr int kTogether = Bits == 4 ? 1 : 4;
  const int64_t per_row = w.cols / Group;
  const RowGroups<Group, S> scales{w.scales, per_row, f.row * per_row, f.step * per_row};
  const RowGroups<Group, S> biases{w.biases, per_row, f.row * per_row, f.step * per_row};
  const int8_t* digits = x.digits(token);
  const float *d = x.scales(token), *u = x.sums(token);
  Vf sum{};
  const auto add = [&](Vf scale, Vf bias, int64_t g, __m256i dots) __attribute__((always_inline)) {
    const Vf with_bias = sum + bias * spread_pair(u + g);
    const Vf dot = __builtin_convertvector(bits_as<Vi>(dots), Vf);
    sum = with_bias + dot * (scale * spread_pair(d + g));
  };
  int64_t byte = 0, g = 0;
  for (; byte + 4 * kPairBytes <= f.bytes; g += 8, byte += 4 * kPairBytes) {
    Vf scale[4], bias[4];
    scales.four_pairs(g, scale);
    biases.four_pairs(g, bias);
    each<4 / kTogether>([&]<int part>() __attribute__((always_inline)) {
      constexpr int kFirst = part * kTogether;
      __m256i dots[kTogether];
      sums_of_pairs<Bits, kActGroup, kTogether, true>(f, digits, byte + kFirst * kPairBytes, dots);
      each<kTogether>([&]<int i>() __attribute__((always_inline)) {
        add(scale[kFirst + i], bias[kFirst + i], g + 2 * (kFirst + i), dots[i]);
      });
    });
  }
  // What is left, at most three pairs and a half: with the last eight groups of the row.
  const int64_t groups = w.cols / kActGroup, last = groups - 8;
  __m256i dots[1];
  if (byte < f.bytes && last >= 0 && groups % (2 * (Group / kActGroup)) == 0) {
    Vf scale[4], bias[4];
    scales.four_pairs(last, scale);
    biases.four_pairs(last, bias);
    for (; byte < f.bytes; g += 2, byte += kPairBytes) {
      sums_of_pairs<Bits, kActGroup, 1, true>(f, digits, byte, dots);
      add(scale[(g - last) / 2], bias[(g - last) / 2], g, dots[0]);
    }
  }
  for (; byte < f.bytes; g += 2, byte += kPairBytes) {
    if (byte + kPairBytes <= f.bytes)
      sums_of_pairs<Bits, kActGroup, 1, true>(f, digits, byte, dots);
    else
      sums_of_pairs<Bits, kActGroup, 1, false>(f, digits, byte, dots);
    add(scales.any_pair(g), biases.any_pair(g), g, dots[0]);
  }
  const auto both = bits_as<__m256>(sum);
  return _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1));
}

template <int Bits, int Group, Store S>
void multiply_few(const Qmm& q, const PackedRows& x, Range rows, Range tokens, uint8_t* unpacked) {
  const QuantMatrix& w = q.w;
  const bool as_it_lies = w.bits == Bits;
  FourRows f{.stride = as_it_lies ? w.cols * Bits / 8 : round_up(w.cols, 64),
             .bytes = w.cols * Bits / 8,
             .row = rows.begin,
             .step = 1};
  while (f.row < rows.end) {
    // Fewer than four rows are left: one at a time.
    if (rows.end - f.row < kFewRows) f.step = f.stride = 0;
    const int64_t n = f.step == 0 ? 1 : kFewRows;
    for (int64_t r = 0; !as_it_lies && r < n; ++r)
      unpack_codes(w.bits, code_row(w, f.row + r), w.cols, unpacked + r * f.stride);
    f.codes = as_it_lies ? code_row(w, f.row) : unpacked;
    for (int64_t k = tokens.begin; k < tokens.end; ++k) {
      float* to = q.y + k * q.y_stride + f.row;
      const __m128 y = dot_four<Bits, Group, S>(f, w, x, k);
      if (n == kFewRows)
        _mm_storeu_ps(to, y);
      else
        _mm_store_ss(to, y);
    }
    f.row += n;
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
