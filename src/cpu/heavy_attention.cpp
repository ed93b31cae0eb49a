// Attention without the matrix of scores, all in float32: blocks of keys meet a block of rows
// (heavy_attend.h).
//
// Many rows: scores and weighted values are register tiles over packed keys and values
// (heavy_tile.h); a tile of rows leaves out the keys that causality hides from all of it. Few rows
// (decoding): four keys at a time are dotted with the rows as they stream past, nothing is packed.
// Which form runs depends on the number of rows that share a key head only, so a result depends
// neither on the cut nor on the workers.

#include "cpu/heavy_attend.h"
#include "cpu/heavy_dot.h"
#include "cpu/heavy_levels.h"
#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kFewRows = 8;
// A block of keys and values is packed once for this many rows, whole tiles: for the first number
// where that leaves every worker kUnitsAWorker blocks, so that none waits long for another.
constexpr int64_t kBlockOfRows = 224 / kTileRows<float> * kTileRows<float>;
constexpr int64_t kShortBlock = 112 / kTileRows<float> * kTileRows<float>;
constexpr int64_t kUnitsAWorker = 8;

int64_t rows_of_head(const Attention& a) { return a.q_heads / a.kv_heads * a.queries; }
int64_t rows_of_block(const Attention& a, int workers) {
  const int64_t blocks = a.batch * a.kv_heads * ceil_div(rows_of_head(a), kBlockOfRows);
  return blocks >= kUnitsAWorker * workers ? kBlockOfRows : kShortBlock;
}
int64_t most_rows(const Attention& a) { return rows_of_block(a, 1); }

size_t block_floats(const Attention& a) {
  const int64_t key = round_up(a.key_dim, kTileCols<float>);
  const int64_t value = round_up(a.value_dim, kTileCols<float>);
  return static_cast<size_t>(most_rows(a) * (key + kKeys + value + 2 * kLanes) +
                             kKeys * (key + value) + 4 * kPackSlack);
}

struct Packed {
  float* keys = nullptr;
  float* values = nullptr;
};

Block block_in(const Attention& a, float* at, Packed& packed) {
  Block b;
  b.a = &a;
  b.heads = a.q_heads / a.kv_heads;
  const int64_t rows = most_rows(a);
  b.key_width = round_up(a.key_dim, kTileCols<float>);
  b.value_width = round_up(a.value_dim, kTileCols<float>);
  const auto take = [&](int64_t n) {
    float* p = at;
    at += n;
    return p;
  };
  b.q = take(rows * b.key_width);
  b.scores = take(rows * kKeys);
  b.out = take(rows * b.value_width);
  b.top = take(rows * kLanes);
  b.total = take(rows * kLanes);
  packed.keys = take(kKeys * b.key_width + kPackSlack);
  packed.values = take(kKeys * b.value_width + kPackSlack);
  return b;
}

// --- many rows ---------------------------------------------------------------------------------

template <int Rows>
[[gnu::noinline]] void tile_of_rows(const float* a, int64_t a_row, const float* b, int64_t depth,
                                    float* c, int64_t c_row, bool add) {
  tile<float, Rows>(a, a_row, 1, b, kTileCols<float>, depth, c, c_row, add);
}

// Calls f with a constant number of rows for each tile of the block's rows: f<N>(first row).
template <class F>
TARN_INLINE void each_tile(const Block& b, F f) {
  constexpr int kRows = kTileRows<float>;
  for (int64_t i = 0; i < b.rows; i += kRows)
    with_rows<kRows>(smaller(kRows, b.rows - i), [&]<int N>() { f.template operator()<N>(i); });
}

// How many of a block's keys each tile needs: later rows see more, so its last one says it.
struct Seen {
  int64_t keys[kBlockOfRows / kTileRows<float> + 1];
  TARN_INLINE int64_t operator[](int64_t row) const { return keys[row / kTileRows<float>]; }
};
Seen seen_by_tiles(const Block& b, int64_t key, int64_t n) {
  Seen seen;
  each_tile(b,
            [&]<int N>(int64_t i) { seen.keys[i / kTileRows<float>] = b.seen(i + N - 1, key, n); });
  return seen;
}

// Asks for `count` rows of keys or values from `row` on.
template <Store S>
TARN_INLINE void fetch_rows(const void* rows, int64_t stride, int64_t dim, int64_t row,
                            int64_t count) {
  for (int64_t r = row; r < row + count; ++r)
    for (int64_t b = 0; b < dim * store_bytes(S); b += 64)
      __builtin_prefetch(static_cast<const char*>(at(rows, S, r * stride)) + b);
}

template <Store S>
void score_rows(const Block& b, const Seen& seen, const float* packed, int64_t n,
                const void* values) {
  for (int64_t j = 0; j < n; j += kTileCols<float>) {
    fetch_rows<S>(values, b.a->v_at.row, b.a->value_dim, j, smaller(kTileCols<float>, n - j));
    each_tile(b, [&]<int N>(int64_t i) {
      if (j < seen[i])
        tile_of_rows<N>(b.q + i * b.key_width, b.key_width, packed + j * b.a->key_dim, b.a->key_dim,
                        b.scores + i * kKeys + j, kKeys, false);
    });
  }
}

// A blind tile's rows weigh hidden keys as well, all the same.
bool sees_nothing(const Block& b, int64_t i, int n) {
  for (int64_t r = i; r < i + n; ++r)
    if (b.top[r] <= kMasked) return true;
  return false;
}

template <Store S>
void gather_rows(const Block& b, const Seen& seen, const float* packed, int64_t n, Range next) {
  const void* keys = row_at(b.a->k, S, b.a->k_at, b.batch, b.kv_head, next.begin);
  const int64_t strips = ceil_div(b.a->value_dim, kTileCols<float>);
  for (int64_t strip = 0; strip < strips; ++strip) {
    const int64_t d = strip * kTileCols<float>;
    const Range part =
        share(next.end - next.begin, 1, static_cast<int>(strip), static_cast<int>(strips));
    fetch_rows<S>(keys, b.a->k_at.row, b.a->key_dim, part.begin, part.end - part.begin);
    each_tile(b, [&]<int N>(int64_t i) {
      const int64_t depth = sees_nothing(b, i, N) ? n : seen[i];
      if (depth > 0)
        tile_of_rows<N>(b.scores + i * kKeys, kKeys, packed + d * n, depth,
                        b.out + i * b.value_width + d, b.value_width, true);
    });
  }
}

// Values are asked for while the scores are computed, the `next` keys while the values are
// gathered: packing would wait for each line of them.
template <Store S>
void many_rows(const Block& b, const Packed& packed, int64_t key, int64_t n, Range next) {
  using Kind = Stored<S>;
  const Attention& a = *b.a;
  constexpr int kCols = kTileCols<float>;
  const Operand<Kind> keys{row_at(a.k, S, a.k_at, b.batch, b.kv_head, key), a.k_at.row, 1, 1};
  const Operand<Kind> values{row_at(a.v, S, a.v_at, b.batch, b.kv_head, key), 1, a.v_at.row, 1};
  for (int64_t j = 0; j < n; j += kCols)
    pack_strip<Kind, kCols>(keys, j, smaller(kCols, n - j), 0, a.key_dim,
                            packed.keys + j * a.key_dim);
  const Seen seen = seen_by_tiles(b, key, n);
  score_rows<S>(b, seen, packed.keys, n, values.base);
  weigh_block(b, key, n);
  for (int64_t d = 0; d < a.value_dim; d += kCols)
    pack_strip<Kind, kCols>(values, d, smaller(kCols, a.value_dim - d), 0, n,
                            packed.values + d * n);
  gather_rows<S>(b, seen, packed.values, n, next);
}

// --- few rows ----------------------------------------------------------------------------------

// Scores of R rows with four keys; those past the n-th repeat it, and weigh nothing.
template <Store S, int R>
void dot_four_keys(const Block& b, int64_t r0, const void* keys, int64_t j, int64_t n) {
  constexpr int kFour = 4;
  int64_t at_key[kFour];
  for (int i = 0; i < kFour; ++i) at_key[i] = smaller(j + i, n - 1) * b.a->k_at.row;
  const int64_t dim = b.a->key_dim;
  const float* rows[R];
  Vf sum[R][kFour];
  each<R>([&]<int r>() __attribute__((always_inline)) {
    rows[r] = b.q + (r0 + r) * b.key_width;
    each<kFour>([&]<int i>() __attribute__((always_inline)) { sum[r][i] = Vf{}; });
  });
  const auto step = [&](int64_t d, auto key_lanes) __attribute__((always_inline)) {
    Vf q[R];
    each<R>([&]<int r>() __attribute__((always_inline)) { q[r] = load(rows[r] + d); });
    each<kFour>([&]<int i>() __attribute__((always_inline)) {
      const Vf k = key_lanes(at_key[i] + d);
      each<R>([&]<int r>() __attribute__((always_inline)) { sum[r][i] += q[r] * k; });
    });
  };
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes)
    step(
        d, [&](int64_t i) __attribute__((always_inline)) { return get_vector<S>(keys, i); });
  if (d < dim) step(d, [&](int64_t i) { return get_part<S>(keys, i, dim - d, 0.f); });
  each<R>([&]<int r>() __attribute__((always_inline)) {
    sum_four(sum[r], b.scores + (r0 + r) * kKeys + j);
  });
}

// Adds n weighted values to V vectors of R rows' sums, and asks for as many keys from `next` on.
template <Store S, int R, int V>
void gather_values(const Block& b, int64_t r0, const void* values, int64_t d, int64_t n,
                   const void* next) {
  const float* weights[R];
  float* out[R];
  Vf sum[R][V];
  const int64_t part = b.a->value_dim - d, row = b.a->v_at.row;
  each<R>([&]<int r>() __attribute__((always_inline)) {
    weights[r] = b.scores + (r0 + r) * kKeys;
    out[r] = b.out + (r0 + r) * b.value_width + d;
    each<V>([&]<int i>() __attribute__((always_inline)) { sum[r][i] = load(out[r] + i * kLanes); });
  });
  for (int64_t j = 0; j < n; ++j) {
    if (next != nullptr) fetch_rows<S>(next, b.a->k_at.row, b.a->key_dim, j, 1);
    Vf weight[R];
    each<R>([&]<int r>() __attribute__((always_inline)) { weight[r] = splat(weights[r][j]); });
    each<V>([&]<int i>() __attribute__((always_inline)) {
      const int64_t from = j * row + d + i * kLanes;
      const Vf v = V > 1 || part >= kLanes ? get_vector<S>(values, from)
                                           : get_part<S>(values, from, part, 0.f);
      each<R>([&]<int r>() __attribute__((always_inline)) { sum[r][i] += weight[r] * v; });
    });
  }
  each<R>([&]<int r>() __attribute__((always_inline)) {
    each<V>([&]<int i>() __attribute__((always_inline)) { store(out[r] + i * kLanes, sum[r][i]); });
  });
}

// Calls f<R>(first row) for the block's rows, as evenly as it goes. At most as many at once as
// their sums with four keys, or with as many vectors of values, fit into the registers: 32, or 16.
template <class F>
TARN_INLINE void each_few(const Block& b, F f) {
  constexpr int kMost = kFloatTile.rows > 6 ? 4 : 3;
  const int64_t step = ceil_div(b.rows, ceil_div(b.rows, kMost));
  for (int64_t r = 0; r < b.rows; r += step)
    with_rows<kMost>(smaller(step, b.rows - r), [&]<int R>() { f.template operator()<R>(r); });
}

// Keys are asked for while the values before them are gathered, values while their keys are met: in
// decoding all come from far away, and neither half of the work alone takes as long as memory does.
template <Store S>
void few_rows(const Block& b, int64_t key, int64_t n, const void* next_keys) {
  constexpr int kWide = 4;        // vectors of values at once
  constexpr int64_t kAhead = 32;  // keys: 4 KiB of halves
  const Attention& a = *b.a;
  const void* keys = row_at(a.k, S, a.k_at, b.batch, b.kv_head, key);
  const void* values = row_at(a.v, S, a.v_at, b.batch, b.kv_head, key);
  each_few(b, [&]<int R>(int64_t r) {
    for (int64_t j = 0; j < n; j += 4) {
      fetch_rows<S>(keys, a.k_at.row, a.key_dim, j + kAhead, r == 0 ? 4 : 0);
      fetch_rows<S>(values, a.v_at.row, a.value_dim, j, r == 0 ? 4 : 0);
      dot_four_keys<S, R>(b, r, keys, j, n);
    }
  });
  weigh_block(b, key, n);
  each_few(b, [&]<int R>(int64_t r) {
    int64_t d = 0;
    for (; d + kWide * kLanes <= a.value_dim; d += kWide * kLanes)
      gather_values<S, R, kWide>(b, r, values, d, n, r == 0 && d == 0 ? next_keys : nullptr);
    for (; d < a.value_dim; d += kLanes) gather_values<S, R, 1>(b, r, values, d, n, nullptr);
  });
}

// --- shares ------------------------------------------------------------------------------------

void meet_keys(const Block& b, const Packed& packed, bool few, Range keys) {
  const Attention& a = *b.a;
  with_store(a.kv_type, [&]<Store S>() {
    for (int64_t key = keys.begin; key < keys.end; key += kKeys) {
      const int64_t next = key + kKeys, n = smaller(kKeys, keys.end - key);
      if (few)
        few_rows<S>(b, key, n,
                    next < keys.end ? row_at(a.k, S, a.k_at, b.batch, b.kv_head, next) : a.next_k);
      else
        many_rows<S>(b, packed, key, n, {key + n, smaller(next + kKeys, keys.end)});
    }
  });
}

// The keys that causality hides from the block's last row are met only when some row saw nothing
// else: all its scores are then the lowest number, and every key weighs the same. The other rows
// gain zeros.
void run_block(Block& b, const Packed& packed, bool few) {
  begin_rows(b);
  const int64_t seen = larger(0, smaller(b.a->length, b.visible(b.rows - 1)));
  meet_keys(b, packed, few, {0, seen});
  if (is_blind(b)) meet_keys(b, packed, few, {seen, b.a->length});
  end_rows(b);
}

// How many of a key head's few rows go together: all of them read the keys once, fewer of them
// share the work more evenly. The least work for the busiest worker; ties read less. What a block
// costs beside its rows is as much as two of them: 192 keys of 64 halves take one row 1.56 us, two
// 2.03 and three 2.51.
int64_t even_rows(int64_t rows, int64_t groups, int workers) {
  constexpr int64_t kBlock = 2;
  int64_t best = rows, least = INT64_MAX;
  for (int64_t n = rows; n > 0; --n) {
    const int64_t busiest = ceil_div(groups * ceil_div(rows, n), workers) * (n + kBlock);
    if (busiest < least) best = n, least = busiest;
  }
  return best;
}

// Which worker takes the first block. The rows of a batch are calls side by side, often of an odd
// number of blocks: by where each call writes, not always the same worker has one more.
int first_worker(const void* out, int workers) {
  const auto line = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(out)) / 64;
  return static_cast<int>((line * 0x9e3779b97f4a7c15u >> 33) % static_cast<unsigned>(workers));
}

}  // namespace

size_t attention_scratch(const Attention& a, int workers) {
  return static_cast<size_t>(round_up(static_cast<int64_t>(block_floats(a)), 16)) * sizeof(float) *
         static_cast<size_t>(workers);
}

void attention(const Attention& a, int worker, int workers) {
  const size_t floats = attention_scratch(a, 1) / sizeof(float);
  Packed packed;
  Block b =
      block_in(a, static_cast<float*>(a.scratch) + floats * static_cast<size_t>(worker), packed);
  const int64_t rows = rows_of_head(a), groups = a.batch * a.kv_heads;
  if (rows == 0) return;
  const bool few = rows <= kFewRows;
  const int64_t step = few ? even_rows(rows, groups, workers) : rows_of_block(a, workers);
  const int64_t blocks = ceil_div(rows, step);
  // Every workers-th block: under a causal mask later blocks of a head have more keys.
  const int first = few ? first_worker(a.out, workers) : 0;
  for (int64_t u = (worker + first) % workers; u < groups * blocks; u += workers) {
    b.batch = u / blocks / a.kv_heads;
    b.kv_head = u / blocks % a.kv_heads;
    b.first = u % blocks * step;
    b.rows = smaller(step, rows - b.first);
    run_block(b, packed, few);
  }
}

}  // namespace tarn::cpu::TARN_LEVEL
