// y = x · Wᵀ on activations of two int8 digits for 5 to 15 rows of x, in int8 tiles.
//
// A tile's rows are 16 rows of W, its columns the high digits and the low ones of 8 tokens. A unit
// of 32 columns of W, unpacked to bytes, meets them in one instruction; the square of sums goes
// through memory, where the vector unit joins the digits, scales the sums and adds them to one
// vector for each two rows of W. Sums are the integers of the vnni level and are added in the order
// of heavy_units.h, quarter by quarter, so the numbers are that level's.

#include "cpu/heavy_amx_few.h"

#include "cpu/heavy_amx.h"
#include "cpu/heavy_codes.h"
#include "cpu/heavy_dot.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu {

namespace vnni {
void pack_activations(const PackActivations& p, int worker, int workers);
}  // namespace vnni

namespace TARN_LEVEL {
namespace {

constexpr int64_t kSetTokens = 8;  // share a tile's columns: a high digit and a low one of each
constexpr int64_t kUnits = 4;      // in a block of packed activations
constexpr int64_t kQuads = kUnitCols / 4;
constexpr int64_t kDigitTile = kQuads * kTileRowBytes;

// Tile 0 takes sums, 4 a unit of W, 6 digits.
constexpr TileShapes kFewTiles{.row_bytes = {64, 64, 64, 64, 32, 32, 64, 64},
                               .rows = {16, 16, 16, 16, 16, 16, kQuads, kQuads}};

// --- activations -------------------------------------------------------------------------------

// 128 columns of 8 tokens. Digits: a tile for each unit, quads of columns down; across, in each
// quarter, two tokens' high digits and then their low ones. Then d and u of each unit, twice for
// each token, since two rows of W are weighed at once.
struct FewBlock {
  int8_t digits[kUnits][kDigitTile];
  float scales[kUnits][2 * kSetTokens];
  float sums[kUnits][2 * kSetTokens];
};

void turn_digits(const PackedRows& rows, int64_t tokens, int bits, FewBlock& to) {
  for (int64_t half = 0; half < 2; ++half) {
    Vf square[kTileRows] = {};
    for (int64_t i = 0; i < kTileRows; ++i) {
      const int64_t t = i / 4 * 2 + i % 2, digit = i % 4 / 2;
      const int8_t* from = rows.digits(t) + digit * kPackBlock + half * kPackBlock / 2;
      if (t < tokens) square[i] = load(reinterpret_cast<const float*>(from));
    }
    transpose(square);
    for (int64_t i = 0; i < kTileRows; ++i) {
      const int64_t unit = bits == 4 ? i / 4 : half * 2 + i / kQuads;
      const int64_t quad = bits == 4 ? half * 4 + i % 4 : i % kQuads;
      std::memcpy(to.digits[unit] + quad * kTileRowBytes, &square[i], sizeof square[i]);
    }
  }
}

// Up to 8 tokens from `token` on in the block's columns.
void pack_few_block(const PackActivations& p, int64_t token, int64_t block, FewBlock& to) {
  alignas(64) char room[kSetTokens * (kBlockBytes + 2 * kPackFloats * 4)];
  PackActivations part = p;
  part.x = p.x + token * p.x_stride + block * kPackBlock;
  part.m = smaller(kSetTokens, p.m - token);
  part.cols = smaller(kPackBlock, p.cols - block * kPackBlock);
  part.packed = room;
  vnni::pack_activations(part, 0, 1);
  const PackedRows rows = packed_rows(room, part.cols, p.group);
  turn_digits(rows, part.m, p.bits, to);
  for (int64_t unit = 0; unit < kUnits; ++unit)
    for (int64_t i = 0; i < 2 * kSetTokens; ++i) {
      const bool is_there = i / 2 < part.m;
      to.scales[unit][i] = is_there ? rows.scales(i / 2)[unit * kUnitFloats] : 0.f;
      to.sums[unit][i] = is_there ? rows.sums(i / 2)[unit * kUnitFloats] : 0.f;
    }
}

// --- rows of W ---------------------------------------------------------------------------------

// 16 rows of W: bytes of 32 columns a unit, in the order of the digits; scales and biases, group by
// group, of all rows.
struct FewRows {
  uint8_t* room = nullptr;  // of unpacked rows
  const uint8_t* codes = nullptr;
  int64_t code_stride = 0;
  float* scales = nullptr;
  float* biases = nullptr;
};

int64_t code_stride(const QuantMatrix& w) {
  return round_up(w.cols, kPackBlock) + kTileRowBytes;  // rows 4 KiB apart would share a set of L1
}
int64_t padded_groups(const QuantMatrix& w) { return round_up(w.cols / w.group, kLanes); }

FewRows rows_in(char* scratch, const QuantMatrix& w) {
  FewRows r;
  r.room = reinterpret_cast<uint8_t*>(scratch);
  r.scales = reinterpret_cast<float*>(scratch + kTileRows * code_stride(w));
  r.biases = r.scales + kTileRows * padded_groups(w);
  return r;
}

// 4 bits: a unit's even columns, then its odd ones.
void spread_nibbles(const uint8_t* from, int64_t bytes, uint8_t* to) {
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  for (int64_t i = 0; i < bytes; i += kVectorBytes, to += 2 * kVectorBytes) {
    const Codes c =
        i + kVectorBytes <= bytes ? load_bytes(from + i) : load_codes(from + i, bytes - i);
    const auto even = bits_as<__m512i>(low_nibbles(c)), odd = bits_as<__m512i>(high_nibbles(c));
    _mm512_storeu_si512(to, _mm512_permutex2var_epi64(even, first, odd));
    _mm512_storeu_si512(to + kVectorBytes, _mm512_permutex2var_epi64(even, second, odd));
  }
}

template <Store S>
void fill_groups(const QuantMatrix& w, int64_t row, const void* from, float* to) {
  const int64_t groups = w.cols / w.group, total = w.rows * groups;
  for (int64_t g = 0; g < groups; g += kLanes) {
    Vf square[kTileRows];
    TARN_UNROLL
    for (int64_t r = 0; r < kTileRows; ++r)
      square[r] = load_groups<S>(from, smaller(row + r, w.rows - 1) * groups + g,
                                 smaller(kLanes, groups - g), total);
    transpose(square);
    TARN_UNROLL
    for (int64_t r = 0; r < kTileRows; ++r) store(to + (g + r) * kTileRows, square[r]);
  }
}

// Rows past the end repeat the last, and are not stored. Bytes are used where they lie.
void fill_codes(const QuantMatrix& w, int64_t row, FewRows& to) {
  constexpr int64_t kPage = 4096;
  if (w.bits == 8 && row + kTileRows <= w.rows && w.cols % kPage != 0) {
    to.codes = code_row(w, row);
    to.code_stride = w.cols;
    return;
  }
  to.codes = to.room;
  to.code_stride = code_stride(w);
  for (int64_t r = 0; r < kTileRows; ++r) {
    const uint8_t* from = code_row(w, smaller(row + r, w.rows - 1));
    uint8_t* codes = to.room + r * to.code_stride;
    if (w.bits == 4)
      spread_nibbles(from, w.cols / 2, codes);
    else
      unpack_codes(w.bits, from, w.cols, codes);
  }
}

template <Store S>
void fill_rows(const QuantMatrix& w, int64_t row, FewRows& to) {
  fill_codes(w, row, to);
  fill_groups<S>(w, row, w.scales, to.scales);
  fill_groups<S>(w, row, w.biases, to.biases);
}

// What the next 16 rows need, asked for a part at a time.
struct Ahead {
  const char* at[3];
  int64_t bytes[3];  // of each for one unit

  TARN_INLINE void fetch(int64_t unit) const {
    TARN_UNROLL
    for (int i = 0; i < 3; ++i)
      for (int64_t b = 0; b < bytes[i]; b += kTileRowBytes)
        __builtin_prefetch(at[i] + unit * bytes[i] + b);
  }
};

Ahead ahead_of(const QuantMatrix& w, int64_t row) {
  const int64_t next = row + kTileRows, groups = w.cols / w.group, units = w.cols / kUnitCols;
  const int64_t bytes = kTileRows * groups * store_bytes(w.scale_type) / units;
  return {{reinterpret_cast<const char*>(code_row(w, next)),
           static_cast<const char*>(at(w.scales, w.scale_type, next * groups)),
           static_cast<const char*>(at(w.biases, w.scale_type, next * groups))},
          {kTileRows * kUnitCols * w.bits / 8, bytes, bytes}};
}

// --- product -----------------------------------------------------------------------------------

constexpr int64_t kPairs = kTileRows / 2;  // of rows of W, weighed together

using UnitSums = int32_t[kTileRows][2 * kSetTokens];

TARN_INLINE void multiply_unit(const FewRows& w, const FewBlock* x, int64_t unit, UnitSums& to) {
  clear_tile<0>();
  load_tile<4>(w.codes + unit * kUnitCols, w.code_stride);
  load_tile<6>(x[unit / kUnits].digits[unit % kUnits]);
  multiply_codes<0, 4, 6>();
  store_tile<0>(to);
}

// Adds a unit to the sums of pairs of rows, whose lanes are those of FewBlock's d and u.
TARN_INLINE void weigh_unit(const float* scales, const float* biases, const FewBlock* x,
                            int64_t unit, const UnitSums& sums, Vf (&to)[kPairs]) {
  const auto pair_of = [](const float* rows, int64_t pair) {
    double both;
    std::memcpy(&both, rows + 2 * pair, sizeof both);
    return bits_as<Vf>(_mm512_set1_pd(both));
  };
  const FewBlock& block = x[unit / kUnits];
  const Vf d = load(block.scales[unit % kUnits]), u = load(block.sums[unit % kUnits]);
  TARN_UNROLL
  for (int64_t i = 0; i < kPairs; ++i) {
    const __m512i a = _mm512_load_si512(sums[2 * i]), b = _mm512_load_si512(sums[2 * i + 1]);
    const __m512i high = _mm512_slli_epi32(_mm512_unpacklo_epi32(a, b), 8);
    const Vi dot = bits_as<Vi>(_mm512_add_epi32(high, _mm512_unpackhi_epi32(a, b)));
    to[i] += pair_of(biases, i) * u;
    to[i] += __builtin_convertvector(dot, Vf) * (pair_of(scales, i) * d);
  }
}

// Units in the order of their sums: those of quarter 0, 0, 4, 8, ..., then those of quarter 1.
TARN_INLINE int64_t unit_after(int64_t unit, int64_t units) {
  return unit + kUnits < units ? unit + kUnits : unit % kUnits + 1;
}

// The sums of each quarter. The tiles are three units ahead: a square of sums is 100 cycles on its
// way through the unit and memory.
void sum_quarters(const Qmm& q, const FewRows& rows, const FewBlock* x, const Ahead& ahead,
                  Vf (&result)[kUnits][kPairs]) {
  constexpr int64_t kAhead = 3;
  alignas(64) UnitSums ring[kAhead + 1];
  const FewRows w = rows;
  const int64_t units = q.w.cols / kUnitCols;
  const int shift = __builtin_ctz(static_cast<unsigned>(q.w.group / kUnitCols));
  int64_t begun = 0, next = 0, done = 0;
  const auto begin_one = [&] {
    if (begun == units) return;
    multiply_unit(w, x, next, ring[begun++ % (kAhead + 1)]);
    next = unit_after(next, units);
  };
  for (int64_t i = 0; i < kAhead; ++i) begin_one();
  for (int64_t quarter = 0; quarter < kUnits; ++quarter) {
    Vf sum[kPairs] = {};
    for (int64_t u = quarter; u < units; u += kUnits) {
      begin_one();
      ahead.fetch(u);
      const int64_t at = (u >> shift) * kTileRows;
      weigh_unit(w.scales + at, w.biases + at, x, u, ring[done++ % (kAhead + 1)], sum);
    }
    TARN_UNROLL
    for (int64_t i = 0; i < kPairs; ++i) result[quarter][i] = sum[i];
  }
}

// 16 rows of W by up to 8 tokens from `token` on.
void multiply_set(const Qmm& q, const FewRows& w, int64_t row, int64_t token) {
  const FewBlock* x =
      static_cast<const FewBlock*>(q.packed) + token / kSetTokens * ceil_div(q.w.cols, kPackBlock);
  const Ahead ahead = ahead_of(q.w, row);
  Vf part[kUnits][kPairs];
  sum_quarters(q, w, x, ahead, part);
  Vec<double> y[kSetTokens];
  for (int64_t i = 0; i < kPairs; ++i)
    y[i] = bits_as<Vec<double>>((part[0][i] + part[2][i]) + (part[1][i] + part[3][i]));
  transpose(y);
  const auto mask = static_cast<__mmask16>((1u << smaller(kTileRows, q.w.rows - row)) - 1);
  float* to = q.y + token * q.y_stride + row;
  for (int64_t t = 0; t < smaller(kSetTokens, q.m - token); ++t)
    _mm512_mask_storeu_ps(to + t * q.y_stride, mask, bits_as<__m512>(y[t]));
}

}  // namespace

size_t few_packed_bytes(int64_t m, int64_t cols) {
  return static_cast<size_t>(ceil_div(m, kSetTokens) * ceil_div(cols, kPackBlock)) *
         sizeof(FewBlock);
}

void pack_few(const PackActivations& p, int worker, int workers) {
  const int64_t blocks = ceil_div(p.cols, kPackBlock);
  const Range mine = share(ceil_div(p.m, kSetTokens) * blocks, 1, worker, workers);
  for (int64_t i = mine.begin; i < mine.end; ++i)
    pack_few_block(p, i / blocks * kSetTokens, i % blocks, static_cast<FewBlock*>(p.packed)[i]);
}

size_t multiply_few_scratch(const Qmm& q, int workers) {
  const int64_t floats = 2 * padded_groups(q.w) * static_cast<int64_t>(sizeof(float));
  return static_cast<size_t>(kTileRows * (code_stride(q.w) + floats) * workers);
}

void multiply_few(const Qmm& q, int worker, int workers) {
  FewRows w = rows_in(
      static_cast<char*>(q.scratch) + multiply_few_scratch(q, 1) * static_cast<size_t>(worker),
      q.w);
  const Range mine = share(q.w.rows, kTileRows, worker, workers);
  const TileScope tiles(kFewTiles);
  for (int64_t row = mine.begin; row < mine.end; row += kTileRows) {
    with_store(q.w.scale_type, [&]<Store S>() { fill_rows<S>(q.w, row, w); });
    for (int64_t token = 0; token < q.m; token += kSetTokens) multiply_set(q, w, row, token);
  }
}

}  // namespace TARN_LEVEL
}  // namespace tarn::cpu
