// Float activations to two int8 digits, one scale a group, in the order that the integer kernels
// read (heavy_codes.h).
//
// The largest magnitude is taken over the bits as integers: NaN is above infinity is above every
// number there, so a group with a NaN or an infinity gets a NaN scale and its outputs are NaN. A
// group whose scale would be subnormal becomes zeros.

#include <type_traits>

#include "cpu/heavy_codes.h"
#include "cpu/heavy_levels.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// The nearest integers, ties to even. Never joined with the product before it into one operation,
// which would round once where other levels round twice.
TARN_INLINE Vi nearest(Vf x) {
#if defined(__AVX512F__)
  return bits_as<Vi>(_mm512_cvtps_epi32(bits_as<__m512>(x)));
#elif defined(__AVX2__)
  return bits_as<Vi>(_mm256_cvtps_epi32(bits_as<__m256>(x)));
#elif defined(__aarch64__)
  return bits_as<Vi>(vcvtnq_s32_f32(bits_as<float32x4_t>(x)));
#else
  const Vf magic = splat(12582912.f);  // 1.5 * 2^23
  return bits_as<Vi>(x + magic) - bits_as<Vi>(magic);
#endif
}

TARN_INLINE void put_digits(Vi digits, int8_t* to) {
  const ByteLanes b = low_bytes(digits);
  std::memcpy(to, &b, sizeof b);
}

// The numbers of a block in natural order: as two digits where the level has them, else as words.
struct BlockDigits {
  alignas(64) int8_t high[kPackBlock] = {}, low[kPackBlock] = {};
  TARN_INLINE void put(int64_t i, Vi steps) {
    const Vi first = (steps + 128) >> 8;
    put_digits(first, high + i);
    put_digits(steps - first * 256, low + i);
  }
};
struct BlockWords {
  alignas(64) int16_t words[kPackBlock] = {};
  TARN_INLINE void put(int64_t i, Vi steps) {
    const HalfLanes h = low_halves(bits_as<Vu>(steps));
    std::memcpy(words + i, &h, sizeof h);
  }
};
using BlockNumbers = std::conditional_t<kHasDigits, BlockDigits, BlockWords>;

// One group's numbers, from `at` on in the block; its scale and scaled sum.
template <int Group>
TARN_INLINE void pack_group(const float* x, BlockNumbers& numbers, int64_t at, float* scales,
                            float* sums) {
  Vi top{};
  for (int i = 0; i < Group; i += kLanes) {
    const Vi magnitude = bits_as<Vi>(load(x + i)) & 0x7fffffff;
    top = magnitude > top ? magnitude : top;
  }
  int32_t bits = 0;
  for (int l = 0; l < kLanes; ++l) bits = top[l] > bits ? top[l] : bits;
  constexpr float kSteps = 127.f * 256;
  const float amax = bits_as<float>(bits), d = amax / kSteps;
  const float inverse = d >= 0x1p-126f ? kSteps / amax : 0.f;
  Vi total{};
  for (int i = 0; i < Group; i += kLanes) {
    const Vi steps = nearest(load(x + i) * inverse);
    total += steps;
    numbers.put(at + i, steps);
  }
  int32_t s = 0;
  for (int l = 0; l < kLanes; ++l) s += total[l];
  const float scale = amax < __builtin_inff() ? (inverse > 0 ? d : 0.f) : __builtin_nanf("");
  for (int64_t i = 0; i < group_floats(Group); ++i) {
    scales[i] = scale;
    sums[i] = i < kUnitFloats ? scale * static_cast<float>(s) : 0.f;
  }
}

[[maybe_unused]] void split_even_odd(const int8_t* from, int8_t* to) {
  constexpr int kHalf = kPackBlock / 2;
  for (int i = 0; i < kHalf; ++i) {
    to[i] = from[2 * i];
    to[kHalf + i] = from[2 * i + 1];
  }
}

// A block of high digits and then low ones in runs of both.
[[maybe_unused]] void cut_runs(int8_t* block) {
  int8_t whole[kBlockBytes];
  std::memcpy(whole, block, sizeof whole);
  for (int64_t i = 0; i < kPackBlock; i += kDigitRun) {
    std::memcpy(block + run_place(i), whole + i, kDigitRun);
    std::memcpy(block + run_place(i) + kDigitRun, whole + kPackBlock + i, kDigitRun);
  }
}

// Words in the order of heavy_lanes.h and heavy_fours.h.
template <int Bits>
void split_phases(const int16_t* from, int16_t* to) {
  constexpr int kWords = kVectorBytes / 2;
  for (int i = 0; i < kPackBlock; i += kPhases<Bits> * kWords)
    for (int p = 0; p < kPhases<Bits>; ++p)
      for (int e = 0; e < kWords; ++e) to[i + p * kWords + e] = from[i + e * kPhases<Bits> + p];
}

// A block's numbers, in the order of the level and the width of the weights.
[[maybe_unused]] void put_block(const BlockDigits& from, int bits, int8_t* to) {
  if (bits == 4) {
    split_even_odd(from.high, to);
    split_even_odd(from.low, to + kPackBlock);
  } else {
    std::memcpy(to, from.high, kPackBlock);
    std::memcpy(to + kPackBlock, from.low, kPackBlock);
  }
  if constexpr (kDigitRun < kPackBlock) cut_runs(to);
}
[[maybe_unused]] void put_block(const BlockWords& from, int bits, int8_t* to) {
  int16_t words[kPackBlock];
  bits == 4 ? split_phases<4>(from.words, words) : split_phases<8>(from.words, words);
  std::memcpy(to, words, sizeof words);
}

template <int Group>
void pack_block(const PackActivations& p, const PackedRows& at, int64_t row, int64_t block) {
  const int64_t col = block * kPackBlock, n = smaller(kPackBlock, p.cols - col);
  auto* to = const_cast<int8_t*>(at.digits(row)) + block * kBlockBytes;
  auto* scales = const_cast<float*>(at.scales(row));
  auto* sums = const_cast<float*>(at.sums(row));
  BlockNumbers numbers;
  for (int64_t i = 0; i < n; i += Group) {
    const int64_t g = (col + i) / Group * group_floats(Group);
    pack_group<Group>(p.x + row * p.x_stride + col + i, numbers, i, scales + g, sums + g);
  }
  put_block(numbers, p.bits, to);
  if (col + n == p.cols)
    for (int64_t i = p.cols / Group * group_floats(Group); i < at.floats; ++i)
      scales[i] = sums[i] = 0;
}

}  // namespace

size_t packed_bytes(int64_t m, int64_t cols, int group) {
  return static_cast<size_t>(m * packed_rows(nullptr, cols, group).row_bytes);
}

void pack_activations(const PackActivations& p, int worker, int workers) {
  const PackedRows at = packed_rows(p.packed, p.cols, p.group);
  const int64_t blocks = ceil_div(p.cols, kPackBlock);
  const Range mine = share(p.m * blocks, 1, worker, workers);
  for (int64_t i = mine.begin; i < mine.end; ++i) {
    if (at.group == 32)
      pack_block<32>(p, at, i / blocks, i % blocks);
    else
      pack_block<64>(p, at, i / blocks, i % blocks);
  }
}

}  // namespace tarn::cpu::TARN_LEVEL
