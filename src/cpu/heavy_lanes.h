// y = x · Wᵀ on activations of two int8 digits, 128 bits wide, for any number of rows of x.
//
// Each vector of codes becomes two or four of 16 bits, which meet the activations as numbers of 16
// bits: a byte product would need two digits and care for what saturates. The lanes of the sums are
// scaled by scale * d of their groups. The scales of a vectorful of groups are made at once, held
// in one register, and spread by a permute. The bias part is a dot product of the biases with u = d
// * sum of codes, added to the same accumulator, so a row has one horizontal sum, and four rows
// share it.
//
// Tokens (rows of x) go in tiles of 8, 4 and 1 that compute each output in the same order.
#pragma once

#include "cpu/heavy_codes.h"
#include "cpu/heavy_dot.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kFewRows = 4;  // rows that share a horizontal sum

// Lane l of the result is v[index[l]].
TARN_INLINE Vf permute(Vf v, Vi index) {
#if defined(__aarch64__)
  const Vi bytes = index * 0x04040404 + 0x03020100;
  return bits_as<Vf>(vqtbl1q_u8(bits_as<uint8x16_t>(v), bits_as<uint8x16_t>(bytes)));
#else
  Vf r;
  for (int l = 0; l < kLanes; ++l) r[l] = v[index[l]];
  return r;
#endif
}

using Words = Vec<int16_t>;

struct Task {
  const Qmm* q = nullptr;
  PackedRows packed{};
  int64_t code_stride = 0;  // bytes between rows of codes: W's own, or of rows unpacked to bytes
};

// Scales or biases for activation groups g .. g + kLanes of `row`. A weight group of 128 is two
// activation groups.
template <int Group, Store S>
TARN_INLINE Vf spread_groups(const void* base, const QuantMatrix& w, int64_t row, int64_t g) {
  const int64_t per_row = w.cols / Group, total = w.rows * per_row;
  if constexpr (Group <= 64) {
    return load_groups<S>(base, row * per_row + g, smaller(kLanes, per_row - g), total);
  } else {
    const int64_t first = g / 2, n = smaller(kLanes / 2, per_row - first);
    Vi twice;
    for (int l = 0; l < kLanes; ++l) twice[l] = l / 2;
    return permute(load_groups<S>(base, row * per_row + first, n, total), twice);
  }
}

// Which of kLanes groups each lane of block j meets.
template <int Bits, int ActGroup>
struct LaneGroups {
  static constexpr int kBlocks = ActGroup * Bits / 32;
  alignas(64) int32_t at[kBlocks][kLanes] = {};
  constexpr LaneGroups() {
    for (int j = 0; j < kBlocks; ++j)
      for (int l = 0; l < kLanes; ++l)
        at[j][l] = (j * kVectorBytes + 4 * l) * (8 / Bits) / ActGroup;
  }
};
template <int Bits, int ActGroup>
constexpr LaneGroups<Bits, ActGroup> kLaneGroups{};

// Codes as words: those of phase p stand at bit p * Bits of each word.
template <int Bits>
TARN_INLINE void split_words(Codes codes, Words (&to)[kPhases<Bits>]) {
  const auto all = bits_as<Vec<uint16_t>>(codes);
  TARN_UNROLL
  for (int p = 0; p < kPhases<Bits>; ++p) {
    const auto moved = all >> (p * Bits);
    constexpr auto kMask = static_cast<uint16_t>((1 << Bits) - 1);
    to[p] = bits_as<Words>(p + 1 < kPhases<Bits> ? moved & kMask : moved);
  }
}

// Per lane: the sum of its two products.
[[maybe_unused]] TARN_INLINE Vi dot_words(Words a, Words b) {
#if defined(__SSE2__)
  return bits_as<Vi>(_mm_madd_epi16(bits_as<__m128i>(a), bits_as<__m128i>(b)));
#else
  Vi sum;
  for (int l = 0; l < kLanes; ++l) sum[l] = a[2 * l] * b[2 * l] + a[2 * l + 1] * b[2 * l + 1];
  return sum;
#endif
}

// The same over all phases, with the activations at `a`.
template <int Phases>
TARN_INLINE Vi dot_phases(const Words (&words)[Phases], const int8_t* a) {
#if defined(__aarch64__)
  int32x4_t low = vdupq_n_s32(0), high = low;
  TARN_UNROLL
  for (int p = 0; p < Phases; ++p) {
    const auto w = bits_as<int16x8_t>(words[p]),
               x = bits_as<int16x8_t>(load_bytes(a + p * kVectorBytes));
    low = vmlal_s16(low, vget_low_s16(w), vget_low_s16(x));
    high = vmlal_high_s16(high, w, x);
  }
  return bits_as<Vi>(vpaddq_s32(low, high));
#else
  Vi dot{};
  TARN_UNROLL
  for (int p = 0; p < Phases; ++p)
    dot += dot_words(words[p], bits_as<Words>(load_bytes(a + p * kVectorBytes)));
  return dot;
#endif
}

// Adds one vector of a row's codes, `byte` bytes into it, to the sums of T tokens.
template <int Bits, int T, bool Whole>
TARN_INLINE void add_block(const Task& t, const uint8_t* codes, int64_t token, int64_t byte,
                           int64_t left, Vi lane_group, const Vf (&scale)[T], Vf (&sum)[T]) {
  if (Whole) __builtin_prefetch(codes + byte + kCodesAhead);
  Words words[kPhases<Bits>];
  split_words<Bits>(Whole ? load_bytes(codes + byte) : load_codes(codes + byte, left), words);
  TARN_UNROLL
  for (int k = 0; k < T; ++k) {
    const Vi dot = dot_phases(words, t.packed.digits(token + k) + byte * kPhases<Bits>);
    sum[k] += __builtin_convertvector(dot, Vf) * permute(scale[k], lane_group);
  }
}

// The lanes of R rows' dot products with T tokens. `codes` is where the first row begins. A row has
// one chain of additions; those of several go on while one waits.
template <int Bits, int Group, Store S, int R, int T>
TARN_INLINE void dot_rows_of(const Task& t, const uint8_t* codes, int64_t row, int64_t token,
                             Vf (&sum)[R][T]) {
  constexpr int kActGroup = Group < 64 ? Group : 64;
  constexpr auto& lane_groups = kLaneGroups<Bits, kActGroup>;
  const QuantMatrix& w = t.q->w;
  const int64_t row_bytes = w.cols * Bits / 8;
  Vf scale[R][T];
  int64_t byte = 0;
  for (int64_t g = 0; byte < row_bytes; g += kLanes) {
    TARN_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vf s = spread_groups<Group, S>(w.scales, w, row + r, g);
      const Vf b = spread_groups<Group, S>(w.biases, w, row + r, g);
      TARN_UNROLL
      for (int k = 0; k < T; ++k) {
        scale[r][k] = s * load(t.packed.scales(token + k) + g);
        sum[r][k] += b * load(t.packed.sums(token + k) + g);
      }
    }
    int j = 0;
    for (; j < lane_groups.kBlocks && byte + kVectorBytes <= row_bytes; ++j, byte += kVectorBytes) {
      TARN_UNROLL
      for (int r = 0; r < R; ++r)
        add_block<Bits, T, true>(t, codes + r * t.code_stride, token, byte, 0,
                                 load(lane_groups.at[j]), scale[r], sum[r]);
    }
    if (j < lane_groups.kBlocks && byte < row_bytes) {
      TARN_UNROLL
      for (int r = 0; r < R; ++r)
        add_block<Bits, T, false>(t, codes + r * t.code_stride, token, byte, row_bytes - byte,
                                  load(lane_groups.at[j]), scale[r], sum[r]);
      byte = row_bytes;
    }
  }
}

// y for up to kFewRows rows from `row` on and tokens token .. token + T.
template <int Bits, int Group, Store S, int T>
void dot_tile(const Task& t, const uint8_t* codes, int64_t row, int64_t rows, int64_t token) {
  Vf sums[T][kFewRows];  // g++ 12 would clear them by `rep stos`, which is slow to begin
  const auto some = [&]<int R>(int64_t r) {
    Vf sum[R][T];
    for (auto& of_row : sum)
      for (Vf& of_token : of_row) of_token = Vf{};
    dot_rows_of<Bits, Group, S>(t, codes + r * t.code_stride, row + r, token, sum);
    for (int i = 0; i < R; ++i)
      for (int k = 0; k < T; ++k) sums[k][r + i] = sum[i][k];
  };
  int64_t r = 0;
  // A row of 8 bits is read as fast as memory gives it; two at a time are two streams, and slower.
  constexpr int kTogether = T == 1 && Bits == 4 ? 2 : 1;
  for (; r + kTogether <= rows; r += kTogether) some.template operator()<kTogether>(r);
  for (; r < rows; ++r) some.template operator()<1>(r);
  for (; r < kFewRows; ++r)
    for (int k = 0; k < T; ++k) sums[k][r] = Vf{};
  for (int k = 0; k < T; ++k) {
    float y[kFewRows];
    sum_four(sums[k], y);
    float* to = t.q->y + (token + k) * t.q->y_stride + row;
    if (rows == kFewRows)
      std::memcpy(to, y, sizeof y);
    else
      for (int64_t i = 0; i < rows; ++i) to[i] = y[i];
  }
}

template <int Bits, int Group, Store S>
void dot_rows(const Task& t, const uint8_t* codes, int64_t row, int64_t rows, Range tokens) {
  int64_t k = tokens.begin;
  for (; k + 8 <= tokens.end; k += 8) dot_tile<Bits, Group, S, 8>(t, codes, row, rows, k);
  for (; k + 4 <= tokens.end; k += 4) dot_tile<Bits, Group, S, 4>(t, codes, row, rows, k);
  for (; k < tokens.end; ++k) dot_tile<Bits, Group, S, 1>(t, codes, row, rows, k);
}

template <int Bits, int Group, Store S>
void multiply_few(const Qmm& q, const PackedRows& x, Range rows, Range tokens, uint8_t* unpacked) {
  const QuantMatrix& w = q.w;
  const Task t{&q, x, w.bits == Bits ? w.cols * Bits / 8 : round_up(w.cols, 64)};
  for (int64_t row = rows.begin; row < rows.end; row += kFewRows) {
    const int64_t n = smaller(kFewRows, rows.end - row);
    const uint8_t* codes = code_row(w, row);
    if (w.bits != Bits) {
      for (int64_t r = 0; r < n; ++r)
        unpack_codes(w.bits, code_row(w, row + r), w.cols, unpacked + r * t.code_stride);
      codes = unpacked;
    }
    dot_rows<Bits, Group, S>(t, codes, row, n, tokens);
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
