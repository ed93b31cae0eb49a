// y = x · Wᵀ for many rows of x in bfloat16 tiles, sums in float32: bound by the tile unit and by
// the bytes that reach it from L2.
//
// W is the left operand and y comes out turned, 16 rows of W by 16 tokens a tile: a row of W,
// decoded, is a tile's row as it stands. Only the activations, packed once for all that read them,
// and the results are turned, 16 x 16 at a time.
//
// Columns go in blocks of at most kBlockCols. A panel of 32 rows of W is decoded for one block and
// stays in L1 while the tokens' tiles, laid out in the order of use, stream past L1 from L2. Sums
// of 32 rows and 32 tokens wait for the next block in scratch of their own, 4 KiB each. A worker
// does up to kStripPanels panels a block, so that the block's tiles come from L3 once for them all.
//
// Fewer tokens than kManyTokens keep the vnni level's numbers: from kFewTokens on in int8 tiles
// (heavy_amx_few.cpp), below them by its own functions.
//
// 512 tokens, 4 bits in groups of 32, GFLOP/s with packing, one of two workers' share by processor
// time on a shared Xeon, times two (best; in brackets with blocks of 320 columns and tokens that
// go through L1): 576x576 1990 (1560), 1536x576 1890 (1630), 576x1536 1610 (1470), 4096x4096 in
// groups of 64 1710 (1490). A prompt of 512 tokens of the default model takes 0.86 of the time.
// Error against float64 2.3e-3, with the two digits of the vnni level 2e-5.

#include "cpu/heavy_amx_few.h"
#include "cpu/heavy_amx_rank.h"
#include "cpu/heavy_amx_weights.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu {

namespace vnni {
void qmm_balanced(const Qmm& q, int worker, int workers);
size_t qmm_balanced_scratch(const Qmm& q, int workers);
}  // namespace vnni
namespace avx512 {
void pack_activations(const PackActivations& p, int worker, int workers);
size_t packed_bytes(int64_t m, int64_t cols, int group);
}  // namespace avx512

namespace TARN_LEVEL {
namespace {

constexpr int64_t kFewTokens = 5;    // 4 cost less in the form of the vnni level
constexpr int64_t kManyTokens = 16;  // where vnni turns to panels as well
constexpr int64_t kBlockCols = 640;  // a panel is then 40 KiB of an L1 of 48
constexpr int64_t kStripPanels = 4;  // sums of 4 panels and 512 tokens are 256 KiB of an L2 of 2048
constexpr int64_t kTokenBlock = 512;   // the same, and a block of tokens is 640 KiB
constexpr int64_t kChunkTokens = 128;  // a share's unit: even when panels are fewer than workers

constexpr int64_t kSumBytes = 4 * kTileBytes;
constexpr int64_t kPanelBytes = kBlockCols / kTileCols * kStepBytes;

// Blocks of columns are as even as tiles allow. They depend on cols only, so that packing and
// product agree and sums are added in one order.
int64_t block_cols(int64_t cols) {
  return round_up(ceil_div(cols, ceil_div(cols, kBlockCols)), kTileCols);
}

// Where the tiles of a pair of strips begin: blocks of columns, in each the pairs, in each the
// steps of 32 columns, in each two tiles.
int64_t pair_offset(Range cols, int64_t m, int64_t pair) {
  return (cols.begin * round_up(m, kPairRows) + (cols.end - cols.begin) * pair * kPairRows) * 2;
}

Range block_at(int64_t cols, int64_t col) {
  const int64_t each = block_cols(cols), begin = col / each * each;
  return {begin, smaller(begin + each, cols)};
}

// --- activations -------------------------------------------------------------------------------

// 32 columns of 16 tokens to a tile: pairs of columns down, tokens across.
void pack_tile(const PackActivations& p, int64_t token, int64_t col, char* to) {
  Vf row[kTileRows];
  TARN_UNROLL
  for (int i = 0; i < kTileRows; ++i) {
    const float* x = p.x + (token + i) * p.x_stride + col;
    row[i] = token + i < p.m ? bits_as<Vf>(_mm512_cvtne2ps_pbh(bits_as<__m512>(load(x + kLanes)),
                                                               bits_as<__m512>(load(x))))
                             : Vf{};
  }
  transpose(row);
  TARN_UNROLL
  for (int i = 0; i < kTileRows; ++i) std::memcpy(to + i * kTileRowBytes, &row[i], sizeof row[i]);
}

// --- product -----------------------------------------------------------------------------------

// Adds `steps` times 32 columns of 32 rows of W and of one or two strips of 16 tokens to tiles 0 to
// 3: rows 0 to 15 by the strips, then rows 16 to 31.
template <int Strips>
TARN_INLINE void multiply_steps(const char* w, const char* x, int64_t steps) {
  for (; steps > 0; --steps, w += kStepBytes, x += kStepBytes) {
    load_tile<4>(w);
    stream_tile<6>(x);
    multiply_tiles<0, 4, 6>();
    if constexpr (Strips == 2) {
      stream_tile<7>(x + kTileBytes);
      multiply_tiles<1, 4, 7>();
    }
    load_tile<5>(w + kTileBytes);
    multiply_tiles<2, 5, 6>();
    if constexpr (Strips == 2) multiply_tiles<3, 5, 7>();
  }
}

// Whole sums of a panel and a pair of strips, on their way into y.
struct Finished {
  const char* sums = nullptr;
  int64_t row = 0, token = 0;
};

// One of the four tiles, turned into y.
TARN_INLINE void write_tile(const Qmm& q, const Finished& f, int64_t tile) {
  const int64_t row = f.row + tile / 2 * kTileRows, token = f.token + tile % 2 * kTileRows;
  const int64_t rows = smaller(kTileRows, q.w.rows - row), tokens = smaller(kTileRows, q.m - token);
  if (rows <= 0 || tokens <= 0) return;
  Vf square[kTileRows];
  const char* from = f.sums + tile * kTileBytes;
  TARN_UNROLL
  for (int i = 0; i < kTileRows; ++i) std::memcpy(&square[i], from + i * kTileRowBytes, sizeof(Vf));
  transpose(square);
  const auto mask = static_cast<__mmask16>((1u << rows) - 1);
  float* y = q.y + token * q.y_stride + row;
  TARN_UNROLL
  for (int i = 0; i < kTileRows; ++i)
    if (i < tokens) _mm512_mask_storeu_ps(y + i * q.y_stride, mask, bits_as<__m512>(square[i]));
}

// Tiles that meet: a panel and a strip or two, over some steps.
struct Meeting {
  const char* w = nullptr;
  const char* x = nullptr;
  int64_t steps = 0;
};

// One panel by one pair of strips in one block of columns, added to `from`, where there are sums
// already, with the term's in the last one, and stored to `to`. Meanwhile the pair before is
// written, a tile each quarter of the way: nothing else uses the vector unit, and the stores have
// time to find their lines.
template <int Strips>
void multiply_pair(const Meeting& m, const Meeting& term, const char* from, char* to, const Qmm& q,
                   const Finished& before) {
  from != nullptr ? load_sums(from) : clear_sums();
  multiply_steps<Strips>(term.w, term.x, term.steps);
  for (int64_t tile = 0; tile < 4; ++tile) {
    const int64_t done = m.steps * tile / 4, end = m.steps * (tile + 1) / 4;
    multiply_steps<Strips>(m.w + done * kStepBytes, m.x + done * kStepBytes, end - done);
    if (before.sums != nullptr) write_tile(q, before, tile);
  }
  store_sums(to);
}

// Asks for the lines of y that a pair of strips will fill: they come while it is multiplied.
TARN_INLINE void fetch_result(const Qmm& q, int64_t row, int64_t token) {
  const int64_t end = smaller(token + kPairRows, q.m);
  for (int64_t t = token; t < end; ++t) {
    const float* y = q.y + t * q.y_stride + row;
    __builtin_prefetch(y, 1);
    __builtin_prefetch(y + kTileRows, 1);
  }
}

// One panel by the pairs. `sums` is what the blocks before have left, and what this one leaves.
void multiply_panel(const Qmm& q, const RankTiles& term, const char* panel, Range cols, int64_t row,
                    Range pairs, char* sums) {
  alignas(64) char finished[2][kSumBytes];
  const bool first = cols.begin == 0, last = cols.end == q.w.cols;
  const int64_t steps = (cols.end - cols.begin) / kTileCols;
  Finished before;
  for (int64_t pair = pairs.begin; pair < pairs.end; ++pair, sums += kSumBytes) {
    const Meeting own{panel, static_cast<const char*>(q.packed) + pair_offset(cols, q.m, pair),
                      steps};
    const Meeting also{term.columns, term.pair(pair), last ? term.steps : 0};
    const char* from = first ? nullptr : sums;
    char* to = last ? finished[pair % 2] : sums;
    if (last) fetch_result(q, row, pair * kPairRows);
    if (q.m - pair * kPairRows > kTileRows)
      multiply_pair<2>(own, also, from, to, q, before);
    else
      multiply_pair<1>(own, also, from, to, q, before);
    if (last) before = {to, row, pair * kPairRows};
  }
  for (int64_t tile = 0; last && tile < 4; ++tile) write_tile(q, before, tile);
}

// At most kStripPanels panels and kTokenBlock tokens.
void multiply_strip(const Qmm& q, const RankTiles& term, Range panels, Range pairs, char* scratch) {
  for (int64_t c = 0; c < q.w.cols;) {
    const Range cols = block_at(q.w.cols, c);
    char* sums = scratch + kPanelBytes;
    for (int64_t p = panels.begin; p < panels.end; ++p) {
      with_store(q.w.scale_type,
                 [&]<Store S>() { decode_panel<S>(q.w, p * kPairRows, cols, scratch); });
      if (term.steps > 0 && cols.end == q.w.cols)
        pack_rank_columns<false>(q, p * kPairRows, q.w.rows, term.columns);
      multiply_panel(q, term, scratch, cols, p * kPairRows, pairs, sums);
      sums += (pairs.end - pairs.begin) * kSumBytes;
    }
    c = cols.end;
  }
}

void multiply_tokens(const Qmm& q, const RankTiles& term, Range panels, Range tokens,
                     char* scratch) {
  for (int64_t t = tokens.begin; t < tokens.end; t += kTokenBlock) {
    const int64_t end = smaller(t + kTokenBlock, tokens.end);
    multiply_strip(q, term, panels, {t / kPairRows, ceil_div(end, kPairRows)}, scratch);
  }
}

}  // namespace

size_t packed_bytes(int64_t m, int64_t cols, int group) {
  if (m < kFewTokens) return avx512::packed_bytes(m, cols, group);
  if (m < kManyTokens) return few_packed_bytes(m, cols);
  return static_cast<size_t>(round_up(m, kPairRows) * cols * 2);
}

void pack_activations(const PackActivations& p, int worker, int workers) {
  if (p.m < kFewTokens) return avx512::pack_activations(p, worker, workers);
  if (p.m < kManyTokens) return pack_few(p, worker, workers);
  const int64_t steps = p.cols / kTileCols;
  const Range mine = share(round_up(p.m, kPairRows) / kTileRows * steps, 1, worker, workers);
  for (int64_t i = mine.begin; i < mine.end; ++i) {
    const int64_t strip = i / steps, col = i % steps * kTileCols;
    const Range cols = block_at(p.cols, col);
    char* to = static_cast<char*>(p.packed) + pair_offset(cols, p.m, strip / 2);
    pack_tile(p, strip * kTileRows, col,
              to + (col - cols.begin) / kTileCols * kStepBytes + strip % 2 * kTileBytes);
  }
}

size_t qmm_balanced_scratch(const Qmm& q, int workers) {
  if (q.m < kFewTokens) return vnni::qmm_balanced_scratch(q, workers);
  if (q.m < kManyTokens) return multiply_few_scratch(q, workers);
  const int64_t pairs = smaller(ceil_div(q.m, kPairRows), kTokenBlock / kPairRows);
  const int64_t sums = q.w.cols > kBlockCols ? kStripPanels * pairs * kSumBytes : 0;
  return static_cast<size_t>((kPanelBytes + sums + rank_tile_bytes(q)) * workers);
}

// Units of one panel and one chunk of tokens, panel by panel. A worker's whole panels go together;
// the panels that it shares with its neighbours go alone.
void qmm_balanced(const Qmm& q, int worker, int workers) {
  if (q.m < kFewTokens) return vnni::qmm_balanced(q, worker, workers);
  if (q.m < kManyTokens) return multiply_few(q, worker, workers);
  char* scratch =
      static_cast<char*>(q.scratch) + qmm_balanced_scratch(q, 1) * static_cast<size_t>(worker);
  const int64_t chunks = ceil_div(q.m, kChunkTokens);
  Range mine = share(ceil_div(q.w.rows, kPairRows) * chunks, 1, worker, workers);
  const RankTiles term =
      rank_tiles<true>(q, scratch + qmm_balanced_scratch(q, 1) - rank_tile_bytes(q));
  const TileScope tiles;
  while (mine.begin < mine.end) {
    const int64_t panel = mine.begin / chunks, chunk = mine.begin % chunks;
    const int64_t left = mine.end - mine.begin, whole = chunk == 0 ? left / chunks : 0;
    const int64_t panels = whole > 0 ? smaller(whole, kStripPanels) : 1;
    const int64_t each = whole > 0 ? chunks : smaller(left, chunks - chunk);
    multiply_tokens(q, term, {panel, panel + panels},
                    {chunk * kChunkTokens, smaller((chunk + each) * kChunkTokens, q.m)}, scratch);
    mine.begin += panels * each;
  }
}

}  // namespace TARN_LEVEL
}  // namespace tarn::cpu
