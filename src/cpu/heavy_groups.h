// y = x · Wᵀ on activations of two int8 digits, with the dot products of Arm, for any number of
// rows of x.
//
// Four rows of W go together, a group of 32 or 64 columns at a time. Their integer sums over the
// group end in one vector, a row in each lane, so that one conversion, one multiplication by scale
// * d and one addition serve four sums. The bias part, biases times u = d * sum of codes, is added
// to the same sums. Level dotprod multiplies a row's codes by its high and by its low digits
// (SDOT); i8mm has two rows of eight codes meet eight digits of both kinds at once (USMMLA), so
// that one token fills the unit as well as two would.
#pragma once

#include "cpu/heavy_dot.h"
#include "cpu/heavy_four_rows.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

TARN_INLINE int8x16_t digits_at(const int8_t* p) { return bits_as<int8x16_t>(load_bytes(p)); }

// How far the digits of odd columns, which meet the high nibbles, lie behind those of even ones.
constexpr int64_t kToOdd = run_place(kPackBlock / 2);

// The vectors of a group's codes, and where the digits that meet vector v begin in a token.
template <int Bits, int ActGroup>
struct GroupPlace {
  static constexpr int kVectors = ActGroup * Bits / 8 / kVectorBytes;
  int64_t code_byte = 0, digit_byte = 0;

  TARN_INLINE explicit GroupPlace(int64_t group) {
    const int64_t col = group * ActGroup, inside = col % kPackBlock;
    code_byte = col * Bits / 8;
    digit_byte = col / kPackBlock * kBlockBytes + run_place(Bits == 4 ? inside / 2 : inside);
  }
  TARN_INLINE static constexpr int64_t digits_of(int v) { return run_place(v * kVectorBytes); }
};

#if defined(__ARM_FEATURE_MATMUL_INT8)

// Rows a and b of a pair: lane 2 r + h is the sum of row r's codes by high (h = 0) or low digits.
template <int Bits>
TARN_INLINE int32x4_t dot_pair(int32x4_t sum, Codes a, Codes b, const int8_t* digits) {
  const auto x = bits_as<uint64x2_t>(a), y = bits_as<uint64x2_t>(b);
  const auto first = bits_as<Codes>(vzip1q_u64(x, y)), second = bits_as<Codes>(vzip2q_u64(x, y));
  const auto add = [&](Codes codes, int64_t at) {
    sum = vusmmlaq_s32(sum, bits_as<uint8x16_t>(codes), digits_at(digits + at));
  };
  constexpr int64_t kNext = run_place(kDigitRun);
  if constexpr (Bits == 4) {
    add(first & static_cast<uint8_t>(15), 0);
    add(first >> 4, kToOdd);
    add(second & static_cast<uint8_t>(15), kNext);
    add(second >> 4, kToOdd + kNext);
  } else {
    add(first, 0);
    add(second, kNext);
  }
  return sum;
}

// Lane r: the sum over a group of row r's codes times a token's numbers 256 * high + low.
template <int Bits, int ActGroup, int T>
TARN_INLINE void dot_group(const FourRows& rows, const PackedRows& x, int64_t token, int64_t group,
                           Vi (&dot)[T]) {
  using Place = GroupPlace<Bits, ActGroup>;
  const Place at(group);
  int32x4_t upper[T], lower[T];
  for (int k = 0; k < T; ++k) upper[k] = lower[k] = vdupq_n_s32(0);
  TARN_UNROLL
  for (int v = 0; v < Place::kVectors; ++v) {
    Codes codes[kFewRows];
    for (int r = 0; r < kFewRows; ++r)
      codes[r] = load_bytes(rows.codes[r] + at.code_byte + v * kVectorBytes);
    TARN_UNROLL
    for (int k = 0; k < T; ++k) {
      const int8_t* digits = x.digits(token + k) + at.digit_byte + Place::digits_of(v);
      upper[k] = dot_pair<Bits>(upper[k], codes[0], codes[1], digits);
      lower[k] = dot_pair<Bits>(lower[k], codes[2], codes[3], digits);
    }
  }
  TARN_UNROLL
  for (int k = 0; k < T; ++k)
    dot[k] = bits_as<Vi>(vuzp1q_s32(upper[k], lower[k])) * 256 +
             bits_as<Vi>(vuzp2q_s32(upper[k], lower[k]));
}

#else

// One row's lanes for one token: codes as they are, below 128, and of 8 bits less 128.
template <int Bits, int ActGroup>
TARN_INLINE int32x4_t dot_row(const uint8_t* codes, const int8_t* digits) {
  using Place = GroupPlace<Bits, ActGroup>;
  int32x4_t sum = vdupq_n_s32(0);
  const auto add = [&](Codes c, const int8_t* from) {
    sum = vdotq_s32(sum, bits_as<int8x16_t>(c), digits_at(from));
  };
  const auto add_all = [&](const int8_t* from) {
    TARN_UNROLL
    for (int v = 0; v < Place::kVectors; ++v) {
      const Codes c = load_bytes(codes + v * kVectorBytes);
      const int8_t* at = from + Place::digits_of(v);
      add(Bits == 4 ? c & static_cast<uint8_t>(15) : c ^ static_cast<uint8_t>(128), at);
      if constexpr (Bits == 4) add(c >> 4, at + kToOdd);
    }
  };
  add_all(digits);
  sum = vshlq_n_s32(sum, 8);
  add_all(digits + kDigitRun);
  return sum;
}

// 128 times the sum of a token's numbers in a group: what codes less 128 have too little.
template <int ActGroup>
TARN_INLINE int32_t missing(const int8_t* digits) {
  int32x4_t sum = vdupq_n_s32(0);
  const int8x16_t one = vdupq_n_s8(1);
  const auto add_all = [&](const int8_t* from) {
    TARN_UNROLL
    for (int i = 0; i < ActGroup; i += kVectorBytes) sum = vdotq_s32(sum, digits_at(from + i), one);
  };
  add_all(digits);
  sum = vshlq_n_s32(sum, 8);
  add_all(digits + kDigitRun);
  return vaddvq_s32(sum) * 128;
}

// Lane r: the sum over a group of row r's codes times a token's numbers 256 * high + low.
template <int Bits, int ActGroup, int T>
TARN_INLINE void dot_group(const FourRows& rows, const PackedRows& x, int64_t token, int64_t group,
                           Vi (&dot)[T]) {
  const GroupPlace<Bits, ActGroup> at(group);
  TARN_UNROLL
  for (int k = 0; k < T; ++k) {
    const int8_t* digits = x.digits(token + k) + at.digit_byte;
    int32x4_t row[kFewRows];
    TARN_UNROLL
    for (int r = 0; r < kFewRows; ++r)
      row[r] = dot_row<Bits, ActGroup>(rows.codes[r] + at.code_byte, digits);
    dot[k] = bits_as<Vi>(vpaddq_s32(vpaddq_s32(row[0], row[1]), vpaddq_s32(row[2], row[3])));
    if constexpr (Bits == 8) dot[k] += missing<ActGroup>(digits);
  }
}

#endif

// Scales or biases of group g of four rows.
template <Store S>
TARN_INLINE Vf groups_of(const void* base, const FourRows& rows, int64_t g) {
  if constexpr (S == Store::f32) {
    Vf v;
    for (int r = 0; r < kFewRows; ++r) v[r] = get<S>(base, rows.first_group[r] + g);
    return v;
  } else {
    uint16_t halves[kFewRows];
    for (int r = 0; r < kFewRows; ++r)
      std::memcpy(&halves[r], at(base, S, rows.first_group[r] + g), sizeof halves[r]);
    return get_vector<S>(halves, 0);
  }
}

template <int Bits, int Group, Store S, int T>
void multiply_rows(const Qmm& q, const PackedRows& x, const FourRows& rows, int64_t row,
                   int64_t count, int64_t token) {
  constexpr int kActGroup = Group < 64 ? Group : 64, kEach = Group / kActGroup;
  Vf sum[T] = {};
  for (int64_t g = 0; g < q.w.cols / Group; ++g) {
    const Vf scale = groups_of<S>(q.w.scales, rows, g), bias = groups_of<S>(q.w.biases, rows, g);
    for (int r = 0; r < kFewRows; ++r)
      __builtin_prefetch(rows.codes[r] + g * Group * Bits / 8 + kCodesAhead);
    for (int64_t part = g * kEach; part < (g + 1) * kEach; ++part) {
      Vi dot[T];
      dot_group<Bits, kActGroup, T>(rows, x, token, part, dot);
      TARN_UNROLL
      for (int k = 0; k < T; ++k) {
        sum[k] += bias * x.sums(token + k)[part];
        sum[k] += __builtin_convertvector(dot[k], Vf) * (scale * x.scales(token + k)[part]);
      }
    }
  }
  for (int k = 0; k < T; ++k)
    std::memcpy(q.y + (token + k) * q.y_stride + row, &sum[k], static_cast<size_t>(count) * 4);
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
