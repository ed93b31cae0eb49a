// Attention without the matrix of scores: blocks of keys meet a block of rows, and a running
// maximum and sum rescale what was gathered before (online softmax), all in float32.
//
// A row is one query of one head; the heads that share a key head are rows of the same block, so
// keys and values are read once for them. Many rows: scores and weighted values are register tiles
// over packed keys and values (heavy_tile.h). Few rows (decoding): four keys at a time are dotted
// with the rows as they stream past, nothing is packed. Which form runs depends on the number of
// rows that share a key head only, so a result depends neither on the cut nor on the workers.

#include "cpu/heavy_levels.h"
#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kFewRows = 8;
constexpr int64_t kBlockOfRows = 4 * kTileRows<float>;
constexpr int64_t kKeys = 128;  // a block of keys: scores 28 KiB, packed keys of 64 floats 32 KiB
constexpr float kMasked = -3.40282347e+38f;  // the lowest finite float
constexpr float kInfinity = __builtin_inff();

// The rows of one key head, and this worker's buffers for a block of them.
struct Block {
  const Attention* a = nullptr;
  int64_t batch = 0, kv_head = 0, first = 0, rows = 0;
  int64_t key_width = 0, value_width = 0;  // dims padded to whole tiles
  float* q = nullptr;                      // rows x key_width, scaled
  float* scores = nullptr;                 // rows x kKeys
  float* out = nullptr;                    // rows x value_width
  float* top = nullptr;                    // running maximum of each row
  float* total = nullptr;                  // running sum
  float* packed_k = nullptr;
  float* packed_v = nullptr;

  TARN_INLINE int64_t heads() const { return a->q_heads / a->kv_heads; }
  TARN_INLINE int64_t query(int64_t r) const { return (first + r) / heads(); }
  TARN_INLINE int64_t head(int64_t r) const { return kv_head * heads() + (first + r) % heads(); }
  // How many keys row r sees when only causality hides some; not above 0 where it hides all.
  TARN_INLINE int64_t visible(int64_t r) const {
    return a->causal ? query(r) + a->length - a->queries + 1 : a->length;
  }
};

TARN_INLINE const void* row_at(const void* base, Store s, const HeadStrides& t, int64_t batch,
                               int64_t head, int64_t row) {
  return at(base, s, batch * t.batch + head * t.head + row * t.row);
}

size_t block_floats(const Attention& a) {
  const int64_t key = round_up(a.key_dim, kTileCols<float>);
  const int64_t value = round_up(a.value_dim, kTileCols<float>);
  return static_cast<size_t>(kBlockOfRows * (key + kKeys + value + 2 * kLanes) +
                             kKeys * (key + value) + 4 * kPackSlack);
}

Block block_in(const Attention& a, float* at) {
  Block b;
  b.a = &a;
  b.key_width = round_up(a.key_dim, kTileCols<float>);
  b.value_width = round_up(a.value_dim, kTileCols<float>);
  const auto take = [&](int64_t n) {
    float* p = at;
    at += n;
    return p;
  };
  b.q = take(kBlockOfRows * b.key_width);
  b.scores = take(kBlockOfRows * kKeys);
  b.out = take(kBlockOfRows * b.value_width);
  b.top = take(kBlockOfRows * kLanes);
  b.total = take(kBlockOfRows * kLanes);
  b.packed_k = take(kKeys * b.key_width + kPackSlack);
  b.packed_v = take(kKeys * b.value_width + kPackSlack);
  return b;
}

void begin_rows(Block& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const auto* q = static_cast<const float*>(
        row_at(b.a->q, Store::f32, b.a->q_at, b.batch, b.head(r), b.query(r)));
    float* to = b.q + r * b.key_width;
    for (int64_t d = 0; d < b.a->key_dim; ++d) to[d] = q[d] * b.a->scale;
    for (int64_t d = b.a->key_dim; d < b.key_width; ++d) to[d] = 0;
    for (int64_t d = 0; d < b.value_width; ++d) b.out[r * b.value_width + d] = 0;
    b.top[r] = b.a->sinks != nullptr ? b.a->sinks[b.head(r)] : -kInfinity;
    b.total[r] = b.a->sinks != nullptr ? 1.f : 0.f;
  }
}

void end_rows(const Block& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const HeadStrides& t = b.a->out_at;
    float* to = b.a->out + b.batch * t.batch + b.head(r) * t.head + b.query(r) * t.row;
    const float inverse = b.a->length == 0 ? 0.f : 1.f / b.total[r];
    for (int64_t d = 0; d < b.a->value_dim; ++d) to[d] = b.out[r * b.value_width + d] * inverse;
  }
}

// --- between scores and weights ----------------------------------------------------------------

void mask_row(const Block& b, int64_t r, int64_t key, int64_t n, float* scores) {
  const Attention& a = *b.a;
  const int64_t start = b.batch * a.mask_at.batch + b.head(r) * a.mask_at.head +
                        b.query(r) * a.mask_at.row + key * a.mask_key;
  if (a.mask_kind == MaskKind::additive) {
    const auto* mask = static_cast<const float*>(a.mask) + start;
    if (a.mask_key == 1)
      for (int64_t j = 0; j < n; ++j) scores[j] += mask[j];
    else
      for (int64_t j = 0; j < n; ++j) scores[j] += mask[j * a.mask_key];
  } else if (a.mask_kind == MaskKind::boolean) {
    const auto* mask = static_cast<const uint8_t*>(a.mask) + start;
    for (int64_t j = 0; j < n; ++j) scores[j] = mask[j * a.mask_key] != 0 ? scores[j] : kMasked;
  }
  for (int64_t j = larger(0, b.visible(r) - key); j < n; ++j) scores[j] = kMasked;
}

// Scores of n keys to weights, zeros up to a whole vector; the row's sums so far are rescaled.
void weigh_row(const Block& b, int64_t r, int64_t n, float* scores) {
  const int64_t width = round_up(n, kLanes);
  for (int64_t j = n; j < width; ++j) scores[j] = -kInfinity;
  Vf best = load(scores);
  for (int64_t j = kLanes; j < width; j += kLanes) best = max_of(load(scores + j), best);
  const float block_top = max_lanes(best), old = b.top[r];
  const float top = block_top > old ? block_top : old;
  const float shift = top == -kInfinity ? 0.f : top;  // all -inf so far: weights 0, not NaN
  Vf sum{};
  for (int64_t j = 0; j < width; j += kLanes) {
    const Vf w = exp_of(load(scores + j) - shift);
    store(scores + j, w);
    sum += w;
  }
  const float keep = exp_of(splat(old - shift))[0];
  b.total[r] = b.total[r] * keep + sum_lanes<float>(sum);
  b.top[r] = top;
  if (keep == 1.f) return;
  for (int64_t d = 0; d < b.value_width; d += kLanes) {
    float* o = b.out + r * b.value_width + d;
    store(o, load<float>(o) * keep);
  }
}

// --- many rows ---------------------------------------------------------------------------------

template <int Rows>
[[gnu::noinline]] void tile_of_rows(const float* a, int64_t a_row, const float* b, int64_t depth,
                                    float* c, int64_t c_row, bool add) {
  tile<float, Rows>(a, a_row, 1, b, kTileCols<float>, depth, c, c_row, add);
}

// c (rows x width) (+)= a (rows x depth) times packed strips.
void multiply_rows(const float* a, int64_t a_row, int64_t rows, const float* strips, int64_t width,
                   int64_t depth, float* c, int64_t c_row, bool add) {
  constexpr int kRows = kTileRows<float>, kCols = kTileCols<float>;
  for (int64_t j = 0; j < width; j += kCols)
    for (int64_t i = 0; i < rows; i += kRows)
      with_rows<kRows>(smaller(kRows, rows - i), [&]<int N>() {
        tile_of_rows<N>(a + i * a_row, a_row, strips + j * depth, depth, c + i * c_row + j, c_row,
                        add);
      });
}

template <Store S>
void many_rows(const Block& b, int64_t key, int64_t n) {
  using Kind = Stored<S>;
  const Attention& a = *b.a;
  constexpr int kCols = kTileCols<float>;
  const Operand<Kind> keys{row_at(a.k, S, a.k_at, b.batch, b.kv_head, key), a.k_at.row, 1, 1};
  const Operand<Kind> values{row_at(a.v, S, a.v_at, b.batch, b.kv_head, key), 1, a.v_at.row, 1};
  for (int64_t j = 0; j < n; j += kCols)
    pack_strip<Kind, kCols>(keys, j, smaller(kCols, n - j), 0, a.key_dim,
                            b.packed_k + j * a.key_dim);
  multiply_rows(b.q, b.key_width, b.rows, b.packed_k, n, a.key_dim, b.scores, kKeys, false);
  for (int64_t r = 0; r < b.rows; ++r) {
    mask_row(b, r, key, n, b.scores + r * kKeys);
    weigh_row(b, r, n, b.scores + r * kKeys);
  }
  for (int64_t d = 0; d < a.value_dim; d += kCols)
    pack_strip<Kind, kCols>(values, d, smaller(kCols, a.value_dim - d), 0, n, b.packed_v + d * n);
  multiply_rows(b.scores, kKeys, b.rows, b.packed_v, a.value_dim, n, b.out, b.value_width, true);
}

// --- few rows ----------------------------------------------------------------------------------

// Scores of R rows with four keys; keys past the n-th repeat it and are not kept.
template <Store S, int R>
void dot_four_keys(const Block& b, int64_t r0, const void* keys, int64_t j, int64_t n) {
  constexpr int kFour = 4;
  int64_t at_key[kFour];
  for (int i = 0; i < kFour; ++i) at_key[i] = smaller(j + i, n - 1) * b.a->k_at.row;
  const int64_t dim = b.a->key_dim;
  Vf sum[R][kFour] = {};
  const auto step = [&](int64_t d, auto&& key_lanes) {
    Vf k[kFour];
    TARN_UNROLL
    for (int i = 0; i < kFour; ++i) k[i] = key_lanes(at_key[i] + d);
    TARN_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vf q = load(b.q + (r0 + r) * b.key_width + d);
      TARN_UNROLL
      for (int i = 0; i < kFour; ++i) sum[r][i] += q * k[i];
    }
  };
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) step(d, [&](int64_t i) { return get_vector<S>(keys, i); });
  if (d < dim) step(d, [&](int64_t i) { return get_part<S>(keys, i, dim - d, 0.f); });
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < kFour && j + i < n; ++i)
      b.scores[(r0 + r) * kKeys + j + i] = sum_lanes<float>(sum[r][i]);
}

// Adds n weighted values to V vectors of R rows' sums.
template <Store S, int R, int V>
void gather_values(const Block& b, int64_t r0, const void* values, int64_t d, int64_t n) {
  Vf sum[R][V];
  const int64_t part = b.a->value_dim - d;
  TARN_UNROLL
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < V; ++i)
      sum[r][i] = load<float>(b.out + (r0 + r) * b.value_width + d + i * kLanes);
  for (int64_t j = 0; j < n; ++j) {
    Vf v[V];
    TARN_UNROLL
    for (int i = 0; i < V; ++i) {
      const int64_t from = j * b.a->v_at.row + d + i * kLanes;
      v[i] = V > 1 || part >= kLanes ? get_vector<S>(values, from)
                                     : get_part<S>(values, from, part, 0.f);
    }
    TARN_UNROLL
    for (int r = 0; r < R; ++r)
      for (int i = 0; i < V; ++i) sum[r][i] += b.scores[(r0 + r) * kKeys + j] * v[i];
  }
  TARN_UNROLL
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < V; ++i) store(b.out + (r0 + r) * b.value_width + d + i * kLanes, sum[r][i]);
}

template <Store S>
void few_rows(const Block& b, int64_t key, int64_t n) {
  constexpr int kMost = 4, kWide = 4;  // rows at once; vectors of values at once
  const Attention& a = *b.a;
  const void* keys = row_at(a.k, S, a.k_at, b.batch, b.kv_head, key);
  const void* values = row_at(a.v, S, a.v_at, b.batch, b.kv_head, key);
  for (int64_t r = 0; r < b.rows; r += kMost)
    with_rows<kMost>(smaller(kMost, b.rows - r), [&]<int R>() {
      for (int64_t j = 0; j < n; j += 4) dot_four_keys<S, R>(b, r, keys, j, n);
    });
  for (int64_t r = 0; r < b.rows; ++r) {
    mask_row(b, r, key, n, b.scores + r * kKeys);
    weigh_row(b, r, n, b.scores + r * kKeys);
  }
  for (int64_t r = 0; r < b.rows; r += kMost)
    with_rows<kMost>(smaller(kMost, b.rows - r), [&]<int R>() {
      int64_t d = 0;
      for (; d + kWide * kLanes <= a.value_dim; d += kWide * kLanes)
        gather_values<S, R, kWide>(b, r, values, d, n);
      for (; d < a.value_dim; d += kLanes) gather_values<S, R, 1>(b, r, values, d, n);
    });
}

// --- shares ------------------------------------------------------------------------------------

void meet_keys(const Block& b, bool few, Range keys) {
  with_store(b.a->kv_type, [&]<Store S>() {
    for (int64_t key = keys.begin; key < keys.end; key += kKeys) {
      const int64_t n = smaller(kKeys, keys.end - key);
      few ? few_rows<S>(b, key, n) : many_rows<S>(b, key, n);
    }
  });
}

// The keys that causality hides from the block's last row are met only when some row saw nothing
// else: all its scores are then the lowest number, and every key weighs the same. The other rows
// gain zeros.
void run_block(Block& b, bool few) {
  begin_rows(b);
  const int64_t seen = larger(0, smaller(b.a->length, b.visible(b.rows - 1)));
  meet_keys(b, few, {0, seen});
  bool blind = false;
  for (int64_t r = 0; r < b.rows; ++r) blind |= b.top[r] <= kMasked;
  if (blind) meet_keys(b, few, {seen, b.a->length});
  end_rows(b);
}

// How many of a key head's few rows go together: all of them read the keys once, fewer of them
// share the work more evenly. The least work for the busiest worker; ties read less.
int64_t even_rows(int64_t rows, int64_t groups, int workers) {
  int64_t best = rows, least = INT64_MAX;
  for (int64_t n = rows; n > 0; --n) {
    const int64_t busiest = ceil_div(groups * ceil_div(rows, n), workers) * n;
    if (busiest < least) best = n, least = busiest;
  }
  return best;
}

}  // namespace

size_t attention_scratch(const Attention& a, int workers) {
  return static_cast<size_t>(round_up(static_cast<int64_t>(block_floats(a)), 16)) * sizeof(float) *
         static_cast<size_t>(workers);
}

void attention(const Attention& a, int worker, int workers) {
  Block b = block_in(a, static_cast<float*>(a.scratch) +
                            attention_scratch(a, 1) / sizeof(float) * static_cast<size_t>(worker));
  const int64_t rows = a.q_heads / a.kv_heads * a.queries, groups = a.batch * a.kv_heads;
  if (rows == 0) return;
  const bool few = rows <= kFewRows;
  const int64_t step = few ? even_rows(rows, groups, workers) : kBlockOfRows;
  const int64_t blocks = ceil_div(rows, step);
  // Every workers-th block: under a causal mask later blocks of a head have more keys.
  for (int64_t u = worker; u < groups * blocks; u += workers) {
    b.batch = u / blocks / a.kv_heads;
    b.kv_head = u / blocks % a.kv_heads;
    b.first = u % blocks * step;
    b.rows = smaller(step, rows - b.first);
    run_block(b, few);
  }
}

}  // namespace tarn::cpu::TARN_LEVEL
