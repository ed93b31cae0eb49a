// Float activations to int8, one scale a group, in the order that the integer kernels read.
//
// The largest magnitude is taken over the bits as integers: NaN is above infinity is above every
// number there, so a group with a NaN or an infinity gets a NaN scale and its outputs are NaN. A
// group whose scale would be subnormal becomes zeros.

#include "cpu/heavy_codes.h"
#include "cpu/heavy_levels.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer, ties to even

// Codes of one group to `codes` in natural order; its scale and scaled sum.
template <int Group>
TARN_INLINE void pack_group(const float* x, int8_t* codes, float* scale, float* sum) {
  Vi top{};
  for (int i = 0; i < Group; i += kLanes) {
    const Vi magnitude = bits_as<Vi>(load(x + i)) & 0x7fffffff;
    top = magnitude > top ? magnitude : top;
  }
  int32_t bits = 0;
  for (int l = 0; l < kLanes; ++l) bits = top[l] > bits ? top[l] : bits;
  const float amax = bits_as<float>(bits), d = amax / 127.f;
  const float inverse = d >= 0x1p-126f ? 127.f / amax : 0.f;
  Vi total{};
  for (int i = 0; i < Group; i += kLanes) {
    const Vf shifted = load(x + i) * inverse + kRound;
    const Vi q = bits_as<Vi>(shifted) - bits_as<Vi>(splat(kRound));
    total += q;
    const ByteLanes b = low_bytes(q);
    std::memcpy(codes + i, &b, sizeof b);
  }
  int32_t s = 0;
  for (int l = 0; l < kLanes; ++l) s += total[l];
  *scale = amax < __builtin_inff() ? (inverse > 0 ? d : 0.f) : __builtin_nanf("");
  *sum = *scale * static_cast<float>(s);
}

void split_even_odd(const int8_t* from, int8_t* to) {
  constexpr int kHalf = kPackBlock / 2;
  for (int i = 0; i < kHalf; ++i) {
    to[i] = from[2 * i];
    to[kHalf + i] = from[2 * i + 1];
  }
}

template <int Group>
void pack_block(const PackActivations& p, const PackedRows& at, int64_t row, int64_t block) {
  const int64_t col = block * kPackBlock, n = smaller(kPackBlock, p.cols - col);
  auto* codes = const_cast<int8_t*>(at.codes(row)) + col;
  auto* scales = const_cast<float*>(at.scales(row));
  auto* sums = const_cast<float*>(at.sums(row));
  alignas(64) int8_t natural[kPackBlock] = {};
  for (int64_t i = 0; i < n; i += Group) {
    const int64_t g = (col + i) / Group;
    pack_group<Group>(p.x + row * p.x_stride + col + i, natural + i, scales + g, sums + g);
  }
  if (p.bits == 4)
    split_even_odd(natural, codes);
  else
    std::memcpy(codes, natural, kPackBlock);
  if (col + n == p.cols)
    for (int64_t g = p.cols / Group; g < at.groups; ++g) scales[g] = sums[g] = 0;
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
