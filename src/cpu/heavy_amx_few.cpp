// y = x · Wᵀ on activations of two int8 digits for 5 to 15 rows of x, in int8 tiles.
//
// A tile's rows are 16 rows of W, its columns the high digits and the low ones of 8 tokens. A unit
// of 32 columns of W, unpacked to bytes, meets them in one instruction. The squares of sums of a
// chunk of units go through memory, where the vector unit joins the digits, scales and adds them to
// one vector for each row of W and two units. A square keeps the tile unit busy for 31 cycles, 16
// of them storing; meanwhile the next chunk is unpacked. Sums are the integers of the vnni level
// and are added in the order of heavy_units.h, so the numbers are that level's.

#include "cpu/heavy_amx_few.h"

#include "cpu/heavy_amx_few_rows.h"
#include "cpu/heavy_term.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu {

namespace avx512 {
void pack_activations(const PackActivations& p, int worker, int workers);
}  // namespace avx512

namespace TARN_LEVEL {
namespace {

constexpr int64_t kSetTokens = 8;  // share a tile's columns
constexpr int64_t kUnitQuads = kUnitCols / 4;
constexpr int64_t kDigitTile = kUnitQuads * kTileRowBytes;

// Tiles 0 and 1 take sums, 4 and 5 a unit of W, 6 and 7 digits.
constexpr TileShapes kFewTiles{.row_bytes = {64, 64, 64, 64, 32, 32, 64, 64},
                               .rows = {16, 16, 16, 16, 16, 16, kUnitQuads, kUnitQuads}};

// --- activations -------------------------------------------------------------------------------

// 128 columns of 8 tokens. Digits: a tile for each unit, quads of columns down; across, in each
// quarter, two tokens' high digits and then their low ones. Then d and u of each step: lane 2 t + i
// is the step's unit i of token t.
struct FewBlock {
  int8_t digits[kBlockUnits][kDigitTile];
  float scales[kBlockSteps][kLanes];
  float sums[kBlockSteps][kLanes];
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
      const int64_t unit = bits == 4 ? i / 4 : half * 2 + i / kUnitQuads;
      const int64_t quad = bits == 4 ? half * 4 + i % 4 : i % kUnitQuads;
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
  avx512::pack_activations(part, 0, 1);
  const PackedRows rows = packed_rows(room, part.cols, p.group);
  turn_digits(rows, part.m, p.bits, to);
  for (int64_t unit = 0; unit < kBlockUnits; ++unit)
    for (int64_t t = 0; t < kSetTokens; ++t) {
      const int64_t step = unit / kStepUnits, lane = kStepUnits * t + unit % kStepUnits;
      to.scales[step][lane] = t < part.m ? rows.scales(t)[unit * kUnitFloats] : 0.f;
      to.sums[step][lane] = t < part.m ? rows.sums(t)[unit * kUnitFloats] : 0.f;
    }
}

// --- product -----------------------------------------------------------------------------------

// Of a step: a square for each unit.
using StepSums = int32_t[kStepUnits][kTileRows][kLanes];

TARN_INLINE void multiply_step(const uint8_t* codes, int64_t stride, const FewBlock* x,
                               int64_t step, StepSums& to) {
  const auto* digits = x[step / kBlockSteps].digits + step % kBlockSteps * kStepUnits;
  clear_tile<0>();
  load_tile<4>(codes, stride);
  load_tile<6>(digits[0]);
  multiply_codes<0, 4, 6>();
  store_tile<0>(to[0]);
  clear_tile<1>();
  load_tile<5>(codes + kUnitCols, stride);
  load_tile<7>(digits[1]);
  multiply_codes<1, 5, 7>();
  store_tile<1>(to[1]);
}

// Adds a step to the sums of the rows.
TARN_INLINE void weigh_step(const Groups& groups, const FewBlock* x, int64_t step,
                            const StepSums& sums, Vf (&to)[kTileRows]) {
  const float* scales = groups.scales + step * kStepUnits;
  const float* biases = groups.biases + step * kStepUnits;
  const auto both_units = [&](const float* first, int64_t row) {
    double both;
    std::memcpy(&both, first + row * groups.stride, sizeof both);
    return bits_as<Vf>(_mm512_set1_pd(both));
  };
  const FewBlock& block = x[step / kBlockSteps];
  const Vf d = load(block.scales[step % kBlockSteps]), u = load(block.sums[step % kBlockSteps]);
  TARN_UNROLL
  for (int64_t r = 0; r < kTileRows; ++r) {
    const __m512i a = _mm512_load_si512(sums[0][r]), b = _mm512_load_si512(sums[1][r]);
    const __m512i high = _mm512_slli_epi32(_mm512_unpacklo_epi32(a, b), 8);
    const Vi dot = bits_as<Vi>(_mm512_add_epi32(high, _mm512_unpackhi_epi32(a, b)));
    to[r] += both_units(biases, r) * u;
    to[r] += __builtin_convertvector(dot, Vf) * (both_units(scales, r) * d);
  }
}

// Of 8 tokens: the sums of the even steps, which are the units of quarters 0 and 1, and those of
// the odd ones, quarters 2 and 3.
using SetSums = Vf[2][kTileRows];

// Adds a chunk's steps. Tiles and float arithmetic take turns: for 36 cycles after an instruction
// on tiles one of the two ports for float vectors is closed.
void add_chunk(const Chunk& w, const Groups& groups, const FewBlock* x, Range steps,
               const Ahead& ahead, Filling& next, SetSums& to) {
  alignas(64) StepSums squares[kChunkSteps];
  const int64_t count = steps.end - steps.begin;
  for (int64_t i = 0; i < count; ++i) {
    multiply_step(w.codes + i * kStepCols, w.stride, x, steps.begin + i, squares[i]);
    next.go_on();
    ahead.fetch(steps.begin + i);
  }
  for (int64_t odd = 0; odd < 2; ++odd) {
    Vf sum[kTileRows];
    TARN_UNROLL
    for (int64_t r = 0; r < kTileRows; ++r) sum[r] = steps.begin == 0 ? Vf{} : to[odd][r];
    for (int64_t i = odd; i < count; i += 2)
      weigh_step(groups, x, steps.begin + i, squares[i], sum);
    TARN_UNROLL
    for (int64_t r = 0; r < kTileRows; ++r) to[odd][r] = sum[r];
  }
}

// Up to 8 tokens from `token` on.
void store_set(const Qmm& q, int64_t row, int64_t token, const SetSums& sums) {
  Vf y[kTileRows];
  for (int64_t r = 0; r < kTileRows; ++r) y[r] = sums[0][r] + sums[1][r];
  transpose(y);
  const auto mask = static_cast<__mmask16>((1u << smaller(kTileRows, q.w.rows - row)) - 1);
  float* to = q.y + token * q.y_stride + row;
  for (int64_t t = 0; t < smaller(kSetTokens, q.m - token); ++t)
    _mm512_mask_storeu_ps(to + t * q.y_stride, mask, bits_as<__m512>(y[2 * t] + y[2 * t + 1]));
}

constexpr int64_t kMostSets = 2;

// This worker's memory: two chunks in turn, scales and biases.
struct Room {
  uint8_t* chunks[2];
  Groups groups{};
};
int64_t room_bytes(const QuantMatrix& w) {
  return 2 * kTileRows * kChunkCols +
         2 * row_groups_floats(w) * static_cast<int64_t>(sizeof(float));
}
Room room_in(char* at, const QuantMatrix& w) {
  auto* bytes = reinterpret_cast<uint8_t*>(at);
  auto* floats = reinterpret_cast<float*>(at + 2 * kTileRows * kChunkCols);
  return {{bytes, bytes + kTileRows * kChunkCols},
          {floats, floats + row_groups_floats(w), group_stride(w)}};
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
  return static_cast<size_t>(room_bytes(q.w) * workers);
}

void multiply_few(const Qmm& q, int worker, int workers) {
  const Room room = room_in(static_cast<char*>(q.scratch) + room_bytes(q.w) * worker, q.w);
  const Range mine = share(q.w.rows, kTileRows, worker, workers);
  const auto* x = static_cast<const FewBlock*>(q.packed);
  const int64_t blocks = ceil_div(q.w.cols, kPackBlock), steps = ceil_div(q.w.cols, kStepCols);
  const TileScope tiles(kFewTiles);
  int64_t turn = 0;
  const auto filling = [&](int64_t row, int64_t col) {
    if (col >= q.w.cols) col = 0, row += kTileRows;
    return row < mine.end ? Filling(q.w, row, col, room.chunks[turn++ % 2]) : Filling();
  };
  Filling next = filling(mine.begin, 0);
  for (int64_t row = mine.begin; row < mine.end; row += kTileRows) {
    fill_groups_of(q.w, row, room.groups);
    SetSums sums[kMostSets];  // of each, what the chunks so far give
    const Ahead ahead = ahead_of(q.w, row);
    for (int64_t col = 0; col < q.w.cols; col += kChunkCols) {
      const Chunk chunk = next.finished();
      next = filling(row, col + kChunkCols);
      const int64_t step = col / kStepCols;
      for (int64_t set = 0; set * kSetTokens < q.m; ++set)
        add_chunk(chunk, room.groups, x + set * blocks, {step, smaller(step + kChunkSteps, steps)},
                  ahead, next, sums[set]);
    }
    for (int64_t set = 0; set * kSetTokens < q.m; ++set)
      store_set(q, row, set * kSetTokens, sums[set]);
    add_term(q, {row, smaller(row + kTileRows, q.w.rows)}, {0, q.m});
  }
}

}  // namespace TARN_LEVEL
}  // namespace tarn::cpu
