// Matrix products of bfloat16 in tiles, sums in float32, rounded once.
//
// 32 columns of B are a panel: pairs of k down, columns across, as the tile unit wants its right
// operand. 32 rows of A are a strip, read where it lies when its rows are contiguous along k, since
// a row of A is a tile's row as it stands. The sums of a strip and a panel stay in four tiles over
// all of a block of k. A worker packs only what its own part of C needs.
//
// k up to kShallow: a panel fits L1. Strips stream past it from L2, and the next panel is packed
// meanwhile. Deeper: a block of panels lies in L2 and each strip meets all of them, while the next
// strip comes nearer. Both operands then come from L2, which gives 3/4 of the unit's peak.
//
// The unit takes numbers below 2^-126 for zeros, and so does the rounding of the result.
//
// Beside torch 2.15 (oneDNN), one thread of a Xeon that others kept busy (load average 6 on two
// cores), packing inside the time, n x n x n, medians of this / of torch by `bench/compare.py
// --quick --alone --peers torch`: 512 1.1, 1024 1.1, 2048 0.9; of the best rounds 1.3, 1.0, 1.0;
// spreads up to 42 %. The largest error is 2.4e-3, 3.0e-3 and 2.0e-3 of the largest result, as
// torch's: it is the result's rounding.

#include "cpu/heavy_amx_beside.h"

namespace tarn::cpu {

namespace avx512 {
void gemm(const Gemm& g, int worker, int workers);
size_t gemm_scratch(const Gemm& g, int workers);
}  // namespace avx512

namespace TARN_LEVEL {
namespace {

constexpr int64_t kSkinny = 8;     // where avx512 turns to streams
constexpr int64_t kShallow = 640;  // a panel of 40 KiB in an L1 of 48
constexpr int64_t kDeep = 2048;    // a strip of 128 KiB
// What is kept in an L2 of 2048 KiB: of A where the product is shallow, of B where it is deep.
// 1536 KiB are a third slower.
constexpr int64_t kBlockBytes = 1 << 20;
constexpr int64_t kDeepRows = 2048;            // rows whose sums wait for the next block of k
constexpr int64_t kSumBytes = 4 * kTileBytes;  // of a strip and a panel

// One batch item.
struct Product {
  const Gemm* g = nullptr;
  Matrix a{}, b{};
  uint16_t* c = nullptr;
};

Product item_of(const Gemm& g, int64_t item) {
  const auto* a = static_cast<const uint16_t*>(g.a) + item * g.a_batch;
  const auto* b = static_cast<const uint16_t*>(g.b) + item * g.b_batch;
  return {&g,
          {a, g.a_row, g.a_col},
          {b, g.b_col, g.b_row},
          static_cast<uint16_t*>(g.c) + item * g.c_batch};
}

// How a product is cut. Blocks of k are as even as steps allow and depend on k only, so that sums
// have one order.
struct Blocks {
  int64_t depth = 0, rows = 0, cols = 0;
  bool shallow = true;
};

Blocks blocks_of(const Gemm& g) {
  Blocks b;
  b.shallow = g.k <= kShallow;
  b.depth = round_up(ceil_div(g.k, ceil_div(g.k, kDeep)), kStep);
  const int64_t fit = larger(kBlockBytes / panel_bytes(b.depth), 1) * kPanel;
  b.rows = smaller(b.shallow ? fit : kDeepRows, round_up(g.m, kPanel));
  b.cols = b.shallow ? round_up(g.n, kPanel) : smaller(fit, round_up(g.n, kPanel));
  return b;
}

// This worker's memory.
struct Room {
  char* panels = nullptr;    // of B: two in turn, or a block of them
  char* strips = nullptr;    // of A where it is packed: a block of them, or one
  char* finished = nullptr;  // whole sums of two meetings in turn
  char* sums = nullptr;      // those that wait for the next block of k
};

struct RoomBytes {
  int64_t panels = 0, strips = 0, sums = 0;
  int64_t all() const { return panels + strips + 2 * kSumBytes + sums; }
};
RoomBytes bytes_of(const Gemm& g, const Blocks& b) {
  const int64_t panel = panel_bytes(b.depth);
  RoomBytes r;
  r.panels = panel * (b.shallow ? 2 : b.cols / kPanel);
  r.strips = panel * (b.shallow ? b.rows / kPanel : 1);
  r.sums = g.k > b.depth ? b.rows * b.cols * 4 : 0;
  return r;
}

// --- product -----------------------------------------------------------------------------------

// A strip of A, packed or where it lies.
struct Strip {
  const char* base = nullptr;
  int64_t row_bytes = kTileRowBytes, step_bytes = kStepBytes, half_bytes = kTileBytes;
};

// A block of C, and of k.
struct Block {
  Range rows{}, cols{}, k{};
  bool first = true, last = true;  // of the blocks of k
  int64_t steps() const { return ceil_div(k.end - k.begin, kStep); }
  int64_t bytes() const { return steps() * kStepBytes; }  // of a panel or a strip
};

bool lies_in_strips(const Product& p, const Block& b) {
  return p.a.step == 1 && (b.k.end - b.k.begin) % kStep == 0;
}
Strip strip_in_place(const Product& p, const Block& b, int64_t row) {
  const int64_t bytes = p.a.side * 2;
  return {reinterpret_cast<const char*>(p.a.at(row, b.k.begin)), bytes, kTileRowBytes,
          kTileRows * bytes};
}
Strip packed_strip(const Product& p, const Block& b, int64_t row, char* to) {
  pack_panel<false>(p.a, row, p.g->m - row, b.k, to);
  return {to};
}

// Adds the steps' products to tiles 0 to 3: the upper rows by both halves of the panel, then the
// lower rows.
template <int Halves>
TARN_INLINE void multiply_steps(const Strip& a, const char* b, int64_t steps, Beside& beside) {
  const char* at = a.base;
  for (; steps > 0; --steps, at += a.step_bytes, b += kStepBytes) {
    stream_tile<4>(at, a.row_bytes);
    load_tile<6>(b);
    multiply_tiles<0, 4, 6>();
    load_tile<7>(b + kTileBytes);
    multiply_tiles<1, 4, 7>();
    beside.step();
    if constexpr (Halves == 2) {
      stream_tile<5>(at + a.half_bytes, a.row_bytes);
      multiply_tiles<2, 5, 6>();
      multiply_tiles<3, 5, 7>();
    }
  }
}

template <int Halves>
void multiply_panel(const Strip& a, const char* b, const Block& block, const char* from, char* to,
                    Beside& beside) {
  block.first ? clear_sums() : load_sums(from);
  multiply_steps<Halves>(a, b, block.steps(), beside);
  store_sums(to);
}

// One strip by one panel. `sums` is where its sums lie between blocks of k.
TARN_INLINE void meet(const Product& p, const Block& block, const Strip& strip, const char* panel,
                      int64_t i, int64_t j, const Room& room, char* sums, Beside& beside) {
  const bool other = beside.finished.sums == room.finished;
  char* to = block.last ? room.finished + (other ? kSumBytes : 0) : sums;
  beside.rows_a_step = ceil_div(kPanel, block.steps());
  if (p.g->m - i > kTileRows)
    multiply_panel<2>(strip, panel, block, sums, to, beside);
  else
    multiply_panel<1>(strip, panel, block, sums, to, beside);
  beside.end_rows();
  if (block.last)
    beside.finished = {to, p.c + i * p.g->c_row + j, 0, smaller(kPanel, p.g->m - i), p.g->n - j};
}

// Packs columns j .. j + 32, or has them packed beside the tiles.
void begin_panel(const Product& p, const Block& block, int64_t j, char* to, Beside& beside) {
  if (!pairs_up(p.b, p.g->n - j, block.k)) return pack_panel<true>(p.b, j, p.g->n - j, block.k, to);
  beside.pairing = pairing_of(p.b, j, block.k, to);
}

// The strips stream past each panel.
void multiply_shallow(const Product& p, const Block& block, const Room& room, Beside& beside) {
  const int64_t bytes = block.bytes(), strips = ceil_div(block.rows.end - block.rows.begin, kPanel);
  const bool in_place = lies_in_strips(p, block);
  const auto strip_at = [&](int64_t i) {
    return in_place && i + kPanel <= p.g->m
               ? strip_in_place(p, block, i)
               : Strip{room.strips + (i - block.rows.begin) / kPanel * bytes};
  };
  for (int64_t i = block.rows.begin; i < block.rows.end; i += kPanel)
    if (!in_place || i + kPanel > p.g->m)
      packed_strip(p, block, i, room.strips + (i - block.rows.begin) / kPanel * bytes);
  char *panel = room.panels, *next = panel + bytes;
  begin_panel(p, block, block.cols.begin, panel, beside);
  beside.pairs_a_step = ceil_div(kTileRows, strips);
  for (int64_t j = block.cols.begin; j < block.cols.end; j += kPanel) {
    beside.end_pairs();
    if (j + kPanel < block.cols.end) begin_panel(p, block, j + kPanel, next, beside);
    for (int64_t i = block.rows.begin; i < block.rows.end; i += kPanel)
      meet(p, block, strip_at(i), panel, i, j, room, nullptr, beside);
    char* used = panel;
    panel = next, next = used;
  }
}

// Packs a block of panels, step by step, so that rows of B are read along.
void pack_block(const Product& p, const Block& block, char* panels) {
  for (int64_t k = block.k.begin; k < block.k.end; k += kStep, panels += kStepBytes) {
    char* to = panels;
    for (int64_t j = block.cols.begin; j < block.cols.end; j += kPanel, to += block.bytes()) {
      const Range step{k, smaller(k + kStep, block.k.end)};
      if (!pairs_up(p.b, p.g->n - j, step)) {
        pack_panel<true>(p.b, j, p.g->n - j, step, to);
        continue;
      }
      Pairing pairing = pairing_of(p.b, j, step, to);
      while (pairing.pair < pairing.pairs) write_pair(pairing);
    }
  }
}

// Each strip meets the block's panels.
void multiply_deep(const Product& p, const Block& block, const Room& room, Beside& beside) {
  const int64_t panels = ceil_div(block.cols.end - block.cols.begin, kPanel);
  const bool in_place = lies_in_strips(p, block);
  pack_block(p, block, room.panels);
  char* sums = room.sums;
  for (int64_t i = block.rows.begin; i < block.rows.end; i += kPanel) {
    const Strip strip = in_place && i + kPanel <= p.g->m ? strip_in_place(p, block, i)
                                                         : packed_strip(p, block, i, room.strips);
    int64_t rows_ahead = in_place && i + 2 * kPanel <= block.rows.end ? kPanel : 0;
    Ahead ahead{strip.base + kPanel * strip.row_bytes, strip.row_bytes, ceil_div(kPanel, panels)};
    const char* panel = room.panels;
    for (int64_t j = block.cols.begin; j < block.cols.end; j += kPanel, sums += kSumBytes) {
      ahead.rows = smaller(ahead.rows, rows_ahead);
      beside.ahead = ahead;
      meet(p, block, strip, panel, i, j, room, sums, beside);
      panel += block.bytes();
      rows_ahead -= ahead.rows;
      ahead.base += ahead.rows * ahead.row_bytes;
    }
  }
  beside.ahead = {};
}

void multiply_part(const Product& p, const Blocks& blocks, Range rows, Range cols,
                   const Room& room) {
  Beside beside;
  beside.g = p.g;
  for (int64_t i = rows.begin; i < rows.end; i += blocks.rows)
    for (int64_t j = cols.begin; j < cols.end; j += blocks.cols)
      for (int64_t k = 0; k < p.g->k; k += blocks.depth) {
        Block b;
        b.rows = {i, smaller(i + blocks.rows, rows.end)};
        b.cols = {j, smaller(j + blocks.cols, cols.end)};
        b.k = {k, smaller(k + blocks.depth, p.g->k)};
        b.first = k == 0, b.last = b.k.end == p.g->k;
        blocks.shallow ? multiply_shallow(p, b, room, beside) : multiply_deep(p, b, room, beside);
      }
  beside.end_rows();
}

bool takes(const Gemm& g) {
  return g.type == Store::bf16 && g.m > kSkinny && g.n > kSkinny && g.k > 0;
}

}  // namespace

size_t gemm_scratch(const Gemm& g, int workers) {
  if (!takes(g)) return avx512::gemm_scratch(g, workers);
  return static_cast<size_t>(bytes_of(g, blocks_of(g)).all() * workers);
}

// Cuts batch x the columns of C among the workers, or the rows where they are many more: packing a
// strip costs less than packing a panel.
void gemm(const Gemm& g, int worker, int workers) {
  if (!takes(g)) return avx512::gemm(g, worker, workers);
  const Blocks blocks = blocks_of(g);
  const RoomBytes bytes = bytes_of(g, blocks);
  Room room;
  room.panels = static_cast<char*>(g.scratch) + bytes.all() * worker;
  room.strips = room.panels + bytes.panels;
  room.finished = room.strips + bytes.strips;
  room.sums = room.finished + 2 * kSumBytes;
  const bool cut_rows = g.m > 2 * g.n;
  const int64_t side = cut_rows ? g.m : g.n, units = ceil_div(side, kPanel);
  const Range mine = share(g.batch * units, 1, worker, workers);
  const TileScope tiles;
  for (int64_t u = mine.begin; u < mine.end;) {
    const int64_t first = u % units, last = smaller(units, first + mine.end - u);
    const Range cut{first * kPanel, smaller(side, last * kPanel)};
    const Product p = item_of(g, u / units);
    multiply_part(p, blocks, cut_rows ? cut : Range{0, g.m}, cut_rows ? Range{0, g.n} : cut, room);
    u += last - first;
  }
}

}  // namespace TARN_LEVEL
}  // namespace tarn::cpu
