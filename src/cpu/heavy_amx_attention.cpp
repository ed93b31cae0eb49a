// Attention of bfloat16 in tiles: scores and weighted values turned, keys or values by queries
// (heavy_amx_attend.h).
//
// Scores are K · Qᵀ, so that a key's row is a tile's row as it lies. Only values are turned, once
// for all queries of a block, queries, once, and results.
//
// A strip is 32 queries of one head. A block is the strips of the heads that share keys, about
// kBlockRows rows: its values are packed and its keys come from L2 once for them all.
//
// Few queries, masks of numbers and queries that see nothing are left to the level below.
//
// 9 heads, 1024 x 64, causal, one thread of a shared Xeon: 358 GFLOP/s where torch 2.15 gives 181
// and float32 here 105; largest error against float64 2.5e-3 of the largest result, torch's 2.5e-3.

#include "cpu/heavy_amx_attend.h"

namespace tarn::cpu {

namespace avx512 {
void attention(const Attention& a, int worker, int workers);
size_t attention_scratch(const Attention& a, int workers);
}  // namespace avx512

namespace TARN_LEVEL {
namespace {

constexpr int64_t kFewQueries = 16;

bool takes(const Attention& a) {
  return a.type == Store::bf16 && a.kv_type == Store::bf16 && a.mask_kind == MaskKind::none &&
         a.queries >= kFewQueries && a.length > 0 && (!a.causal || a.length >= a.queries);
}

struct WorkBytes {
  int64_t strips = 0, keys = 0, values = 0;
  int64_t all() const { return strips + keys + values + kKeys * kPanel * 10; }
};
WorkBytes bytes_of(const Sizes& s) {
  return {s.strips() * s.strip_bytes, kKeys / kPanel * s.key_steps * kStepBytes,
          s.value_panels * kKeys / kStep * kStepBytes};
}

void begin_strip(const Work& w, int64_t i) {
  const Attention& a = *w.a;
  const Strip s = w.strip(i);
  pack_panel<true>(w.rows_of(a.q, a.q_at, w.head(i)), w.query(i), a.queries - w.query(i),
                   {0, a.key_dim}, s.queries);
  std::memset(s.sums, 0, static_cast<size_t>(w.size.value_panels * kSumBytes));
  const float sink = a.sinks != nullptr ? a.sinks[w.head(i)] * 1.44269504f : -kInfinity;
  for (int64_t l = 0; l < kPanel; l += kLanes) {
    store(s.tops + l, splat(sink));
    store(s.totals + l, splat(a.sinks != nullptr ? 1.f : 0.f));
  }
}

// --- scores ------------------------------------------------------------------------------------

// The tiles of 32 keys, packed or as they lie.
struct KeyRows {
  const char* base = nullptr;
  int64_t row_bytes = 0, step_bytes = 0, half_bytes = 0;
};

KeyRows key_rows(const Work& w, int64_t key) {
  const Attention& a = *w.a;
  const Matrix k = w.rows_of(a.k, a.k_at, w.kv_head);
  if (a.key_dim % kStep == 0 && key + kPanel <= a.length) {
    const int64_t bytes = k.side * 2;
    return {reinterpret_cast<const char*>(k.at(key, 0)), bytes, kTileRowBytes, kTileRows * bytes};
  }
  char* to = w.keys + key % kKeys / kPanel * w.size.key_steps * kStepBytes;
  return {to, kTileRowBytes, kStepBytes, kTileBytes};
}

void pack_keys(const Work& w, Range keys) {
  const Attention& a = *w.a;
  for (int64_t key = keys.begin; key < keys.end; key += kPanel) {
    const KeyRows rows = key_rows(w, key);
    if (rows.row_bytes == kTileRowBytes && rows.step_bytes == kStepBytes)
      pack_panel<false>(w.rows_of(a.k, a.k_at, w.kv_head), key, a.length - key, {0, a.key_dim},
                        const_cast<char*>(rows.base));
  }
}

void score_keys(const Work& w, const Strip& s, Range keys, char* scores) {
  for (int64_t key = keys.begin; key < keys.end; key += kPanel, scores += kSumBytes) {
    const KeyRows k = key_rows(w, key);
    clear_sums();
    for (int64_t step = 0; step < w.size.key_steps; ++step)
      multiply_square(k.base + step * k.step_bytes, k.row_bytes, k.half_bytes,
                      s.queries + step * kStepBytes);
    store_sums(scores);
  }
}

// --- values ------------------------------------------------------------------------------------

void gather_values(const Work& w, const Strip& s, int64_t steps) {
  for (int64_t panel = 0; panel < w.size.value_panels; ++panel) {
    const char* v = w.values + panel * (kKeys / kStep) * kStepBytes;
    char* sums = s.sums + panel * kSumBytes;
    load_sums(sums);
    for (int64_t step = 0; step < steps; ++step)
      multiply_square(v + step * kStepBytes, kTileRowBytes, kTileBytes,
                      w.weights + step * kStepBytes);
    store_sums(sums);
  }
}

void pack_values(const Work& w, Range keys) {
  const Attention& a = *w.a;
  Matrix v = w.rows_of(a.v, a.v_at, w.kv_head);
  v = {v.base, 1, v.side};  // the sides are dimensions
  for (int64_t panel = 0; panel < w.size.value_panels; ++panel)
    pack_panel<false>(v, panel * kPanel, a.value_dim - panel * kPanel, keys,
                      w.values + panel * (kKeys / kStep) * kStepBytes);
}

// 16 values of 16 queries, turned into out.
void end_square(const Work& w, int64_t i, int64_t panel, int64_t tile) {
  const Attention& a = *w.a;
  const Strip s = w.strip(i);
  const int64_t half = tile % 2, d = panel * kPanel + tile / 2 * kTileRows;
  const Vf inverse = 1.f / load(s.totals + half * kLanes);
  Vf square[kTileRows];
  for (int r = 0; r < kTileRows; ++r)
    square[r] = load(reinterpret_cast<const float*>(s.sums + panel * kSumBytes + tile * kTileBytes +
                                                    r * kTileRowBytes)) *
                inverse;
  transpose(square);
  const int64_t query = w.query(i) + half * kLanes, n = smaller(kTileRows, a.value_dim - d);
  const auto mask = static_cast<__mmask16>(first_lanes(n));
  auto* out = static_cast<uint16_t*>(a.out) + w.batch * a.out_at.batch + w.head(i) * a.out_at.head +
              query * a.out_at.row + d;
  for (int64_t r = 0; n > 0 && r < smaller(kTileRows, a.queries - query); ++r)
    _mm256_mask_storeu_epi16(out + r * a.out_at.row, mask,
                             bits_as<__m256i>(_mm512_cvtneps_pbh(bits_as<__m512>(square[r]))));
}

// --- shares ------------------------------------------------------------------------------------

// The keys of a block that strip i meets: none where causality hides them all.
Range met_keys(const Work& w, int64_t i, Range keys) {
  const Attention& a = *w.a;
  const int64_t last = smaller(a.queries, w.query(i) + kPanel);
  const int64_t seen = a.causal ? last + a.length - a.queries : a.length;
  return {keys.begin, w.query(i) < a.queries ? smaller(keys.end, seen) : keys.begin};
}

// All strips by a block of keys. The next strip's scores are multiplied between a strip's weights
// and its values, so that the unit works while weights are on their way to where it finds them.
void meet_keys(const Work& w, Range keys) {
  const int64_t hidden = w.a->length - w.a->queries;
  int64_t before = -1, turn = 0;
  const auto finish = [&] {
    const Range met = met_keys(w, before, keys);
    gather_values(w, w.strip(before), ceil_div(met.end - met.begin, kStep));
  };
  for (int64_t i = 0; i < w.size.strips(); ++i) {
    const Range met = met_keys(w, i, keys);
    if (met.end <= met.begin) continue;
    char* scores = w.scores + turn * kScoreBytes;
    score_keys(w, w.strip(i), met, scores);
    if (before >= 0) finish();
    weigh_keys(w, w.strip(i), scores, met, w.query(i) + hidden + 1);
    before = i, turn = 1 - turn;
  }
  if (before >= 0) finish();
}

void run_block(const Work& w) {
  const Attention& a = *w.a;
  const int64_t strips = w.size.strips();
  for (int64_t i = 0; i < strips; ++i)
    if (w.query(i) < a.queries) begin_strip(w, i);
  const int64_t last = smaller(a.queries, w.first_query + w.size.queries);
  const int64_t all = a.causal ? last + a.length - a.queries : a.length;
  for (int64_t key = 0; key < all; key += kKeys) {
    const Range keys{key, smaller(key + kKeys, all)};
    pack_keys(w, keys);
    pack_values(w, keys);
    meet_keys(w, keys);
  }
  for (int64_t i = 0; i < strips; ++i)
    for (int64_t tile = 0; w.query(i) < a.queries && tile < 4 * w.size.value_panels; ++tile)
      end_square(w, i, tile / 4, tile % 4);
}

}  // namespace

size_t attention_scratch(const Attention& a, int workers) {
  const auto own = static_cast<size_t>(bytes_of(sizes_of(a)).all() * workers);
  const size_t below = avx512::attention_scratch(a, workers);
  return a.type == Store::bf16 && own > below ? own : below;
}

void attention(const Attention& a, int worker, int workers) {
  if (!takes(a)) return avx512::attention(a, worker, workers);
  Work w;
  w.a = &a;
  w.size = sizes_of(a);
  const WorkBytes bytes = bytes_of(w.size);
  w.strips = static_cast<char*>(a.scratch) + bytes.all() * worker;
  w.keys = w.strips + bytes.strips;
  w.values = w.keys + bytes.keys;
  w.scores = w.values + bytes.values;
  w.weights = w.scores + 2 * kScoreBytes;
  const int64_t blocks = ceil_div(a.queries, w.size.queries);
  const TileScope tiles;
  // Every workers-th block: under a causal mask later blocks of a head have more keys.
  for (int64_t u = worker; u < a.batch * a.kv_heads * blocks; u += workers) {
    w.batch = u / blocks / a.kv_heads;
    w.kv_head = u / blocks % a.kv_heads;
    w.first_query = u % blocks * w.size.queries;
    run_block(w);
  }
}

}  // namespace TARN_LEVEL
}  // namespace tarn::cpu
