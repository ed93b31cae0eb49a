// y = x · W for many rows of x in bfloat16 tiles, W (K, N) quantised along N, sums in float32: what
// brings a derivative back through x · Wᵀ. W is never made whole.
//
// A row of x, rounded and packed once for all that read it, is a tile's row as it stands. Rows of W
// are decoded in pairs, 32 columns at a time, and interleave into pairs of k down and columns
// across, as the unit wants its right operand. A panel of 32 columns is decoded for a block of at
// most kBlockRows rows of W and stays in L1 while the tiles of x stream past it from L2. Sums of
// several blocks wait in y itself.

#include "cpu/heavy_amx_pack.h"
#include "cpu/heavy_amx_rank.h"
#include "cpu/heavy_amx_weights.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kBlockRows = 640;    // a panel is then 40 KiB of an L1 of 48
constexpr int64_t kTokenBlock = 512;   // of whom a block of rows is 640 KiB of an L2 of 2048
constexpr int64_t kChunkTokens = 128;  // a share's unit: even when panels are fewer than workers
constexpr int64_t kBackPanelBytes = kBlockRows / kTileCols * kStepBytes;

// Blocks of rows are as even as tiles allow, and depend on the number of rows only, so that packing
// and product agree and sums are added in one order.
Range rows_at(int64_t rows, int64_t row) {
  const int64_t each = round_up(ceil_div(rows, ceil_div(rows, kBlockRows)), kTileCols);
  const int64_t begin = row / each * each;
  return {begin, smaller(begin + each, round_up(rows, kTileCols))};
}

// Where the tiles of a pair of strips begin: blocks of rows of W, in each the pairs, in each the
// steps of 32, in each two tiles.
int64_t pair_offset(Range rows, int64_t m, int64_t pair) {
  return (rows.begin * round_up(m, kPairRows) + (rows.end - rows.begin) * pair * kPairRows) * 2;
}

// --- x -----------------------------------------------------------------------------------------

// 16 numbers of a row from column `col` on, zeros past its end.
TARN_INLINE __m512 part_of_row(const float* x, int64_t col, int64_t cols) {
  const int64_t n = larger(0, smaller(cols - col, kLanes));
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), x + col);
}

void pack_tile(const PackActivations& p, int64_t token, int64_t col, char* to) {
  for (int64_t i = 0; i < kTileRows; ++i, to += kTileRowBytes) {
    __m512i row{};
    if (token + i < p.m) {
      const float* x = p.x + (token + i) * p.x_stride;
      row = bits_as<__m512i>(
          _mm512_cvtne2ps_pbh(part_of_row(x, col + kLanes, p.cols), part_of_row(x, col, p.cols)));
    }
    std::memcpy(to, &row, sizeof row);
  }
}

// --- W -----------------------------------------------------------------------------------------

// 32 columns from `col` on of one row.
template <Store S>
TARN_INLINE __m512i decode_piece(const QuantMatrix& w, int64_t row, int64_t col) {
  if (row >= w.rows) return __m512i{};
  if (w.bits == 4) {
    const int64_t group = (row * w.cols + col) / w.group;
    return nibble_weights(code_row(w, row) + col / 2,
                          nibble_values(get<S>(w.scales, group), get<S>(w.biases, group)));
  }
  Vf half[2];
  each_decoded<S>(w, row, col, kTileCols, [&](int64_t i, Vf v) { half[i / kLanes] = v; });
  return bits_as<__m512i>(_mm512_cvtne2ps_pbh(bits_as<__m512>(half[1]), bits_as<__m512>(half[0])));
}

template <Store S>
void decode_columns(const QuantMatrix& w, Range rows, int64_t col, char* panel) {
  for (int64_t row = rows.begin; row < rows.end; row += 2)
    put_pairs(decode_piece<S>(w, row, col), decode_piece<S>(w, row + 1, col),
              panel + (row - rows.begin) / kTileCols * kStepBytes +
                  (row - rows.begin) % kTileCols / 2 * kTileRowBytes);
}

// --- product -----------------------------------------------------------------------------------

template <int Strips>
TARN_INLINE void multiply_steps(const char* x, const char* w, int64_t steps) {
  for (; steps > 0; --steps, x += kStepBytes, w += kStepBytes) {
    stream_tile<4>(x);
    load_tile<6>(w);
    multiply_tiles<0, 4, 6>();
    load_tile<7>(w + kTileBytes);
    multiply_tiles<1, 4, 7>();
    if constexpr (Strips == 2) {
      stream_tile<5>(x + kTileBytes);
      multiply_tiles<2, 5, 6>();
      multiply_tiles<3, 5, 7>();
    }
  }
}

// Tiles that meet: a strip or two and a panel, over some steps.
struct Meeting {
  const char* x = nullptr;
  const char* w = nullptr;
  int64_t steps = 0;
};

// 16 or 32 rows of y by 32 columns, beginning with the term's sums or with what lies there.
template <int Strips>
void multiply_square(const Meeting& m, const Meeting& term, float* y, int64_t y_stride,
                     bool first) {
  const int64_t bytes = y_stride * 4;
  float* lower = y + kTileRows * y_stride;
  clear_sums();
  if (!first) {
    load_tile<0>(y, bytes);
    load_tile<1>(y + kTileRows, bytes);
    if constexpr (Strips == 2) load_tile<2>(lower, bytes), load_tile<3>(lower + kTileRows, bytes);
  }
  multiply_steps<Strips>(term.x, term.w, term.steps);
  multiply_steps<Strips>(m.x, m.w, m.steps);
  store_tile<0>(y, bytes);
  store_tile<1>(y + kTileRows, bytes);
  if constexpr (Strips == 2) store_tile<2>(lower, bytes), store_tile<3>(lower + kTileRows, bytes);
}

void copy_rows(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t rows) {
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(to + i * to_stride, from + i * from_stride, kTileCols * sizeof(float));
}

// One panel by one pair of strips. Tiles that y's last rows do not fill are filled elsewhere.
void multiply_pair(const Qmm& q, const RankTiles& rank, const char* panel, Range rows, int64_t col,
                   int64_t pair) {
  const int64_t token = pair * kPairRows, tokens = smaller(kPairRows, q.m - token);
  const Meeting own{static_cast<const char*>(q.packed) + pair_offset(rows, q.m, pair), panel,
                    (rows.end - rows.begin) / kTileCols};
  const bool first = rows.begin == 0;
  const Meeting term{rank.pair(pair), rank.columns, first ? rank.steps : 0};
  float* y = q.y + token * q.y_stride + col;
  if (tokens == kPairRows) return multiply_square<2>(own, term, y, q.y_stride, first);
  if (tokens == kTileRows) return multiply_square<1>(own, term, y, q.y_stride, first);
  alignas(64) float part[kPairRows * kTileCols] = {};
  if (!first) copy_rows(y, q.y_stride, part, kTileCols, tokens);
  multiply_square<2>(own, term, part, kTileCols, first);
  copy_rows(part, kTileCols, y, q.y_stride, tokens);
}

void multiply_tokens(const Qmm& q, const RankTiles& term, Range panels, Range tokens, char* panel) {
  for (int64_t t = tokens.begin; t < tokens.end; t += kTokenBlock) {
    const int64_t end = smaller(t + kTokenBlock, tokens.end);
    for (int64_t row = 0; row < q.w.rows;) {
      const Range rows = rows_at(q.w.rows, row);
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        with_store(q.w.scale_type,
                   [&]<Store S>() { decode_columns<S>(q.w, rows, p * kTileCols, panel); });
        if (term.steps > 0 && rows.begin == 0)
          pack_rank_columns<true>(q, p * kTileCols, q.w.cols, term.columns);
        for (int64_t pair = t / kPairRows; pair * kPairRows < end; ++pair)
          multiply_pair(q, term, panel, rows, p * kTileCols, pair);
      }
      row = rows.end;
    }
  }
}

}  // namespace

size_t back_packed_bytes(int64_t m, int64_t cols) {
  return static_cast<size_t>(round_up(m, kPairRows) * round_up(cols, kTileCols) * 2);
}

void pack_back(const PackActivations& p, int worker, int workers) {
  const int64_t steps = ceil_div(p.cols, kTileCols);
  const Range mine = share(round_up(p.m, kPairRows) / kTileRows * steps, 1, worker, workers);
  for (int64_t i = mine.begin; i < mine.end; ++i) {
    const int64_t strip = i / steps, col = i % steps * kTileCols;
    const Range rows = rows_at(p.cols, col);
    pack_tile(p, strip * kTileRows, col,
              static_cast<char*>(p.packed) + pair_offset(rows, p.m, strip / 2) +
                  (col - rows.begin) / kTileCols * kStepBytes + strip % 2 * kTileBytes);
  }
}

size_t qmm_back_scratch(const Qmm& q, int workers) {
  return static_cast<size_t>((kBackPanelBytes + rank_tile_bytes(q)) * workers);
}

// Units of one panel and one chunk of tokens, panel by panel. A worker's whole panels go together;
// those that it shares with its neighbours go alone.
void qmm_back(const Qmm& q, int worker, int workers) {
  char* scratch =
      static_cast<char*>(q.scratch) + qmm_back_scratch(q, 1) * static_cast<size_t>(worker);
  const int64_t chunks = ceil_div(q.m, kChunkTokens);
  Range mine = share(q.w.cols / kTileCols * chunks, 1, worker, workers);
  const RankTiles term = rank_tiles<false>(q, scratch + kBackPanelBytes);
  const TileScope tiles;
  while (mine.begin < mine.end) {
    const int64_t panel = mine.begin / chunks, chunk = mine.begin % chunks;
    const int64_t left = mine.end - mine.begin, whole = chunk == 0 ? left / chunks : 0;
    const int64_t panels = larger(whole, 1);
    const int64_t each = whole > 0 ? chunks : smaller(left, chunks - chunk);
    multiply_tokens(q, term, {panel, panel + panels},
                    {chunk * kChunkTokens, smaller((chunk + each) * kChunkTokens, q.m)}, scratch);
    mine.begin += panels * each;
  }
}

}  // namespace tarn::cpu::TARN_LEVEL
