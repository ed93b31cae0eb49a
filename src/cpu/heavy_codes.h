// Packed codes of 2 to 8 bits to bytes, and how the activations that meet them are laid out.
#pragma once

#include "cpu/heavy_store.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

template <int Bytes>
TARN_INLINE uint64_t load_little(const uint8_t* from) {
  if constexpr (Bytes == 1) return *from;
  uint32_t word = 0;
  std::memcpy(&word, from, Bytes);
  return word;
}

// Codes come in runs of 8: `bits` bytes, little end first, which covers both the words of 2, 4 and
// 8 bits and the bit streams of 3, 5 and 6.
template <int Bits>
TARN_INLINE uint64_t eight_codes(const uint8_t* from) {
  // Whole loads joined by shifts: an odd copy through memory would stall on its own stores.
  constexpr int kLow = Bits >= 4 ? 4 : 2;
  uint64_t word = load_little<kLow>(from);
  if constexpr (Bits > kLow) word |= load_little<Bits - kLow>(from + kLow) << (8 * kLow);
#if defined(__BMI2__)
  return _pdep_u64(word, 0x0101010101010101u * ((1u << Bits) - 1));
#else
  uint64_t bytes = 0;
  for (int j = 0; j < 8; ++j) bytes |= ((word >> (j * Bits)) & ((1u << Bits) - 1)) << (8 * j);
  return bytes;
#endif
}

// 16 codes a store: readers load 16 at once, which must not straddle two stores in flight.
template <int Bits>
void unpack_bits(const uint8_t* from, int64_t n, uint8_t* to) {
  typedef uint64_t Pair __attribute__((vector_size(16)));
  for (int64_t i = 0; i < n; i += 16, from += 2 * Bits) {
    const Pair both = {eight_codes<Bits>(from), eight_codes<Bits>(from + Bits)};
    std::memcpy(to + i, &both, sizeof both);
  }
}

// 4 bits, 32 codes a step.
TARN_INLINE void unpack_nibbles(const uint8_t* from, int64_t n, uint8_t* to) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  for (int64_t i = 0; i < n; i += 32) {
    Bytes c;
    std::memcpy(&c, from + i / 2, sizeof c);
    const Bytes low = c & static_cast<uint8_t>(15), high = c >> 4;
    const Bytes a =
        __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const Bytes b = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                            14, 30, 15, 31);
    std::memcpy(to + i, &a, sizeof a);
    std::memcpy(to + i + 16, &b, sizeof b);
  }
}

// n codes, a multiple of 32, from the start of `from`.
TARN_INLINE void unpack_codes(int bits, const uint8_t* from, int64_t n, uint8_t* to) {
  switch (bits) {
    case 2:
      return unpack_bits<2>(from, n, to);
    case 3:
      return unpack_bits<3>(from, n, to);
    case 4:
      return unpack_bits<4>(from, n, to);
    case 5:
      return unpack_bits<5>(from, n, to);
    case 6:
      return unpack_bits<6>(from, n, to);
    default:
      std::memcpy(to, from, static_cast<size_t>(n));
  }
}

TARN_INLINE const uint8_t* code_row(const QuantMatrix& w, int64_t row) {
  return static_cast<const uint8_t*>(w.codes) + row * (w.cols * w.bits / 8);
}

// kLanes bytes as floats.
TARN_INLINE Vf float_lanes(const uint8_t* p) {
  ByteLanes b;
  std::memcpy(&b, p, sizeof b);
  return __builtin_convertvector(widen(b), Vf);
}

// n scales from element i on, then zeros, never a NaN from past the row.
template <Store S>
TARN_INLINE Vf load_groups(const void* base, int64_t i, int64_t n, int64_t total) {
  if (n >= kLanes) return get_vector<S>(base, i);
#if defined(__AVX512F__)
  if constexpr (S != Store::f32) {
    const auto mask = static_cast<__mmask16>((1u << n) - 1);
    const __m256i h = _mm256_maskz_loadu_epi16(mask, at(base, S, i));
    return S == Store::f16 ? bits_as<Vf>(_mm512_cvtph_ps(h))
                           : bits_as<Vf>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
  }
#endif
  if (i + kLanes > total) return get_part<S>(base, i, n, 0.f);
  Vi lane;
  for (int l = 0; l < kLanes; ++l) lane[l] = l;
  return lane < static_cast<int32_t>(n) ? get_vector<S>(base, i) : Vf{};
}

constexpr int64_t kDecodeRun = 256;  // codes a step: the bytes stay in L1

// Calls f(i, w) for i = 0, kLanes .. n with w = w[row][col + i .. col + i + kLanes) as float32; col
// and n are multiples of 32, and n is at most kDecodeRun.
template <Store S, class F>
TARN_INLINE void each_decoded(const QuantMatrix& w, int64_t row, int64_t col, int64_t n, F f) {
  alignas(64) uint8_t unpacked[kDecodeRun];
  const uint8_t* codes = code_row(w, row) + col * w.bits / 8;
  if (w.bits != 8) {
    unpack_codes(w.bits, codes, n, unpacked);
    codes = unpacked;
  }
  constexpr int64_t kStep = 32;  // the smallest group: one scale for each step
  const int64_t first_group = row * (w.cols / w.group);
  const int shift = __builtin_ctz(static_cast<unsigned>(w.group));  // 32, 64 or 128: no division
  for (int64_t i = 0; i < n; i += kStep) {
    const int64_t g = first_group + ((col + i) >> shift);
    const Vf scale = splat(get<S>(w.scales, g)), bias = splat(get<S>(w.biases, g));
    TARN_UNROLL
    for (int64_t j = 0; j < kStep; j += kLanes) f(i + j, scale * float_lanes(codes + i + j) + bias);
  }
}

// --- packed activations ------------------------------------------------------------------------
//
// A number is d * (256 * high + low) with two digits of 8 bits and a scale d for each group: 16
// bits, so that what is lost is far below the rounding of the weights.
//
// One row after another: digits padded to whole blocks of 128 columns, then the groups' scales d,
// then u = d * (sum of 256 * high + low), both padded with zeros to 16 floats. A block holds its
// 128 high digits and then its low ones. Weights of 4 bits hold column 2i and 2i + 1 in one byte,
// so for them each half of a block holds its 64 even columns and then its 64 odd ones: the
// activations are permuted once, the weights never.
//
// Levels of 512 bits multiply by units of 32 columns (heavy_units.h): there d lies in four lanes
// for each unit, and u in those of its group's first unit. Arm's dot products take groups
// (heavy_groups.h); where they take both digits at once, eight high ones and their eight low ones
// lie side by side. Others (heavy_lanes.h, heavy_fours.h) have no digits but numbers of 16 bits,
// 256 * high + low: first those that meet the lowest code of each 16 bits in a vector of codes,
// then those that meet the next.
constexpr int64_t kPackBlock = 128;
constexpr int64_t kBlockBytes = 2 * kPackBlock;
constexpr int64_t kPackFloats = 16;

#if defined(__AVX512F__)
constexpr bool kHasUnits = true;
#else
constexpr bool kHasUnits = false;
#endif
#if defined(__ARM_FEATURE_DOTPROD)
constexpr bool kHasDigits = true;
#else
constexpr bool kHasDigits = kHasUnits;
#endif
// High digits that lie one behind the other; their low ones follow.
#if defined(__ARM_FEATURE_MATMUL_INT8)
constexpr int64_t kDigitRun = 8;
#else
constexpr int64_t kDigitRun = kPackBlock;
#endif
// Where the high digit of position i of a block is.
constexpr int64_t run_place(int64_t i) { return i / kDigitRun * 2 * kDigitRun + i % kDigitRun; }
constexpr int64_t kUnitCols = 32;
constexpr int64_t kUnitFloats = 4;

// From one group's scale to the next one's.
constexpr int64_t group_floats(int64_t group) {
  return kHasUnits ? group / kUnitCols * kUnitFloats : 1;
}

// How far ahead of the products codes are asked for, past the end of their matrix into the next, in
// bytes: 1 KiB is too near, 16 KiB begins to lose.
constexpr int64_t kCodesAhead = 6144;

// How many codes a word of 16 bits holds.
template <int Bits>
constexpr int kPhases = 16 / Bits;

struct PackedRows {
  const char* base = nullptr;
  int64_t digit_bytes = 0, group = 0, floats = 0, row_bytes = 0;

  TARN_INLINE const int8_t* digits(int64_t row) const {
    return reinterpret_cast<const int8_t*>(base + row * row_bytes);
  }
  TARN_INLINE const float* scales(int64_t row) const {
    return reinterpret_cast<const float*>(base + row * row_bytes + digit_bytes);
  }
  TARN_INLINE const float* sums(int64_t row) const { return scales(row) + floats; }
};

TARN_INLINE PackedRows packed_rows(const void* base, int64_t cols, int weight_group) {
  PackedRows p;
  p.base = static_cast<const char*>(base);
  p.digit_bytes = round_up(cols, kPackBlock) / kPackBlock * kBlockBytes;
  p.group = weight_group < 64 ? weight_group : 64;
  p.floats = round_up(cols / p.group * group_floats(p.group), kPackFloats);
  p.row_bytes = p.digit_bytes + 2 * p.floats * static_cast<int64_t>(sizeof(float));
  return p;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
