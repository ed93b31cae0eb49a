// A block of rows on its way through attention: what it is, its buffers, and what lies between
// scores and weights.
//
// A row is one query of one head; the heads that share a key head are rows of the same block, so
// keys and values are read once for them. Row by row the block keeps a running maximum and sum,
// and what was gathered before is rescaled where the maximum rises (online softmax).
#pragma once

#include "cpu/heavy_store.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kKeys = 128;               // a block of keys
constexpr float kMasked = -3.40282347e+38f;  // the lowest finite float
constexpr float kInfinity = __builtin_inff();

// The rows of one key head, and this worker's buffers for a block of them.
struct Block {
  const Attention* a = nullptr;
  int64_t batch = 0, kv_head = 0, first = 0, rows = 0;
  int64_t heads = 1;                       // that share the key head
  int64_t key_width = 0, value_width = 0;  // dims padded to whole tiles
  float* q = nullptr;                      // rows x key_width, scaled
  float* scores = nullptr;                 // rows x kKeys
  float* out = nullptr;                    // rows x value_width
  float* top = nullptr;                    // running maximum of each row
  float* total = nullptr;                  // running sum

  // Asked for each row and each block of keys, where a division takes long.
  TARN_INLINE int64_t query(int64_t r) const {
    return heads == 1 ? first + r : (first + r) / heads;
  }
  TARN_INLINE int64_t head(int64_t r) const { return kv_head * heads + (first + r) % heads; }
  // How many keys row r sees when only causality hides some; not above 0 where it hides all.
  TARN_INLINE int64_t visible(int64_t r) const {
    return a->causal ? query(r) + a->length - a->queries + 1 : a->length;
  }
  // Of n keys from `key` on, how many row r sees.
  TARN_INLINE int64_t seen(int64_t r, int64_t key, int64_t n) const {
    return larger(0, smaller(visible(r) - key, n));
  }
};

TARN_INLINE const void* row_at(const void* base, Store s, const HeadStrides& t, int64_t batch,
                               int64_t head, int64_t row) {
  return at(base, s, batch * t.batch + head * t.head + row * t.row);
}

void begin_rows(Block& b) {
  with_store(b.a->type, [&]<Store S>() {
    for (int64_t r = 0; r < b.rows; ++r) {
      const void* q = row_at(b.a->q, S, b.a->q_at, b.batch, b.head(r), b.query(r));
      float* to = b.q + r * b.key_width;
      int64_t d = 0;
      for (; d + kLanes <= b.a->key_dim; d += kLanes)
        store(to + d, get_vector<S>(q, d) * b.a->scale);
      for (; d < b.key_width; ++d) to[d] = d < b.a->key_dim ? get<S>(q, d) * b.a->scale : 0.f;
      for (int64_t i = 0; i < b.value_width; ++i) b.out[r * b.value_width + i] = 0;
      b.top[r] = b.a->sinks != nullptr ? b.a->sinks[b.head(r)] : -kInfinity;
      b.total[r] = b.a->sinks != nullptr ? 1.f : 0.f;
    }
  });
}

void end_rows(const Block& b) {
  with_store(b.a->type, [&]<Store S>() {
    for (int64_t r = 0; r < b.rows; ++r) {
      void* to =
          const_cast<void*>(row_at(b.a->out, S, b.a->out_at, b.batch, b.head(r), b.query(r)));
      const float inverse = b.a->length == 0 ? 0.f : 1.f / b.total[r];
      const float* from = b.out + r * b.value_width;
      int64_t d = 0;
      for (; d + kLanes <= b.a->value_dim; d += kLanes)
        put_vector<S>(to, d, load(from + d) * inverse);
      for (; d < b.a->value_dim; ++d) put<S>(to, d, from[d] * inverse);
    }
  });
}

// Adds the mask's part to n scores of row r. Causality is seen to by weigh_rows.
void mask_row(const Block& b, int64_t r, int64_t key, int64_t n, float* scores) {
  const Attention& a = *b.a;
  if (a.mask_kind == MaskKind::none) return;
  const int64_t start = b.batch * a.mask_at.batch + b.head(r) * a.mask_at.head +
                        b.query(r) * a.mask_at.row + key * a.mask_key;
  if (a.mask_kind == MaskKind::additive) {
    const auto* mask = static_cast<const float*>(a.mask) + start;
    if (a.mask_key == 1)
      for (int64_t j = 0; j < n; ++j) scores[j] += mask[j];
    else
      for (int64_t j = 0; j < n; ++j) scores[j] += mask[j * a.mask_key];
  } else {
    const auto* mask = static_cast<const uint8_t*>(a.mask) + start;
    for (int64_t j = 0; j < n; ++j) scores[j] = mask[j * a.mask_key] != 0 ? scores[j] : kMasked;
  }
}

// The largest of the first n scores, lane by lane; what fills the last vector weighs nothing.
TARN_INLINE Vf top_of(float* scores, int64_t n) {
  for (int64_t j = n; j % kLanes != 0; ++j) scores[j] = -kInfinity;
  Vf best = splat(-kInfinity);
  for (int64_t j = 0; j < n; j += kLanes) best = max_of(load(scores + j), best);
  return best;
}

// Halves of a square's rows meet until one is left: lane r is then row r's, in the order in which
// sum_lanes and max_lanes would have met.
template <class F>
TARN_INLINE Vf fold_rows_of(Vf (&square)[kLanes], F f) {
  transpose(square);
  TARN_UNROLL
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) square[l] = f(square[l], square[l + half]);
  return square[0];
}

// Rows r0 .. r0 + count, at most kLanes, and how many of a block's n keys each of them weighs.
struct Weighed {
  int64_t r0 = 0, count = 0, n = 0;
  int64_t keys[kLanes] = {};
};

// The rows' new maxima. A row that has nothing but masked scores so far weighs hidden keys as well:
// all are the lowest number, and all weigh the same.
TARN_INLINE Vf new_tops(const Block& b, Weighed& w, int64_t key) {
  alignas(64) float old[kLanes];
  for (int r = 0; r < kLanes; ++r) old[r] = r < w.count ? b.top[w.r0 + r] : 0.f;
  Vf tops[kLanes];
  for (int r = 0; r < kLanes; ++r) tops[r] = splat(-kInfinity);
  for (int64_t r = 0; r < w.count; ++r) {
    float* scores = b.scores + (w.r0 + r) * kKeys;
    w.keys[r] = b.seen(w.r0 + r, key, w.n);
    mask_row(b, w.r0 + r, key, w.keys[r], scores);
    tops[r] = top_of(scores, w.keys[r]);
    if (w.keys[r] == w.n || old[r] > kMasked || max_lanes(tops[r]) > kMasked) continue;
    for (int64_t j = w.keys[r]; j < w.n; ++j) scores[j] = kMasked;
    w.keys[r] = w.n;
    tops[r] = top_of(scores, w.n);
  }
  const Vf top = fold_rows_of(tops, [](Vf a, Vf x) { return max_of(x, a); });
  return max_of(top, load(old));
}

// Scores of n keys to weights, zeros up to n and to a whole vector; the sums so far are rescaled.
void weigh_rows(const Block& b, Weighed w, int64_t key) {
  const Vf top = new_tops(b, w, key);
  const Vf shift = top == -kInfinity ? Vf{} : top;  // all -inf so far: weights 0, not NaN
  alignas(64) float shifts[kLanes], keeps[kLanes], old[kLanes], totals[kLanes];
  for (int r = 0; r < kLanes; ++r) {
    old[r] = r < w.count ? b.top[w.r0 + r] : 0.f;
    totals[r] = r < w.count ? b.total[w.r0 + r] : 0.f;
  }
  const Vf keep = exp_of(load(old) - shift);
  store(shifts, shift), store(keeps, keep);
  Vf sums[kLanes] = {};
  for (int64_t r = 0; r < w.count; ++r) {
    float* scores = b.scores + (w.r0 + r) * kKeys;
    const Vf less = splat(shifts[r]);
    int64_t j = 0;
    for (; j < w.keys[r]; j += kLanes) {
      const Vf weight = exp_of(load(scores + j) - less);
      store(scores + j, weight);
      sums[r] += weight;
    }
    for (; j < w.n; j += kLanes) store(scores + j, Vf{});
    if (keeps[r] == 1.f) continue;
    float* out = b.out + (w.r0 + r) * b.value_width;
    for (int64_t d = 0; d < b.value_width; d += kLanes) store(out + d, load(out + d) * keeps[r]);
  }
  const Vf sum = fold_rows_of(sums, [](Vf a, Vf x) { return a + x; });
  store(totals, load(totals) * keep + sum);
  alignas(64) float tops[kLanes];
  store(tops, top);
  for (int64_t r = 0; r < w.count; ++r) b.top[w.r0 + r] = tops[r], b.total[w.r0 + r] = totals[r];
}

void weigh_block(const Block& b, int64_t key, int64_t n) {
  for (int64_t r = 0; r < b.rows; r += kLanes)
    weigh_rows(b, {r, smaller(kLanes, b.rows - r), n}, key);
}

// Whether some row has met nothing but masked scores.
bool is_blind(const Block& b) {
  for (int64_t r = 0; r < b.rows; ++r)
    if (b.top[r] <= kMasked) return true;
  return false;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
