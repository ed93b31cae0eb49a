// What attention in tiles works on, and the way from scores to weights.
//
// Scores lie turned, keys by queries, so a vector holds one key's scores of 16 queries: maxima,
// sums and masks need no look across lanes. Two keys' weights interleave into a row of pairs,
// which is how the unit wants its right operand. Exponentials take most of the time: 2^x by a
// polynomial of degree 4, whose error of 3e-6 is far below the rounding of weights to bfloat16.
#pragma once

#include "cpu/heavy_amx_pack.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kKeys = 128;       // a block of keys: scores of a strip are 16 KiB
constexpr int64_t kBlockRows = 256;  // whose sums of 64 values are 64 KiB
constexpr int64_t kSumBytes = 4 * kTileBytes;
constexpr int64_t kScoreBytes = kKeys * kPanel * 4;
constexpr float kInfinity = __builtin_inff();

// Sizes that follow from the shapes.
struct Sizes {
  int64_t heads = 0;                        // that share a key head
  int64_t queries = 0;                      // of each head in a block
  int64_t key_steps = 0, value_panels = 0;  // 32 of a dimension each
  int64_t strip_bytes = 0;                  // queries, sums, maxima and totals of a strip
  int64_t strips() const { return heads * queries / kPanel; }
};
Sizes sizes_of(const Attention& a) {
  Sizes s;
  s.heads = a.q_heads / a.kv_heads;
  s.queries =
      smaller(round_up(larger(kBlockRows / s.heads, 1), kPanel), round_up(a.queries, kPanel));
  s.key_steps = ceil_div(a.key_dim, kStep);
  s.value_panels = ceil_div(a.value_dim, kPanel);
  s.strip_bytes = s.key_steps * kStepBytes + s.value_panels * kSumBytes + 2 * kPanel * 4;
  return s;
}

// One strip's place: its queries as pairs of dimensions, Vᵀ · weights so far in squares of 32
// values by 32 queries, and the running maxima (times log2 e) and sums.
struct Strip {
  char* queries = nullptr;
  char* sums = nullptr;
  float* tops = nullptr;
  float* totals = nullptr;
};

// This worker's memory, and what it works on.
struct Work {
  const Attention* a = nullptr;
  Sizes size{};
  int64_t batch = 0, kv_head = 0, first_query = 0;
  char* strips = nullptr;
  char* keys = nullptr;     // packed, where they do not lie in tiles
  char* values = nullptr;   // turned
  char* scores = nullptr;   // of two strips in turn, tiles of 16 keys by 16 queries
  char* weights = nullptr;  // of one strip, as pairs of keys

  Strip strip(int64_t i) const {
    Strip s;
    s.queries = strips + i * size.strip_bytes;
    s.sums = s.queries + size.key_steps * kStepBytes;
    s.tops = reinterpret_cast<float*>(s.sums + size.value_panels * kSumBytes);
    s.totals = s.tops + kPanel;
    return s;
  }
  int64_t head(int64_t i) const { return kv_head * size.heads + i / (size.queries / kPanel); }
  int64_t query(int64_t i) const { return first_query + i % (size.queries / kPanel) * kPanel; }
  Matrix rows_of(const void* base, const HeadStrides& t, int64_t head) const {
    return {static_cast<const uint16_t*>(base) + batch * t.batch + head * t.head, t.row, 1};
  }
};

// 2^x for x of at most 0, 1 for 0, below -126 zero; NaN stays.
TARN_INLINE Vf power_of_two(Vf x) {
  const __m512 whole =
      _mm512_roundscale_ps(bits_as<__m512>(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __mmask16 kept =
      _mm512_cmp_ps_mask(bits_as<__m512>(x), _mm512_set1_ps(-126.f), _CMP_NLT_UQ);
  const Vf r = x - bits_as<Vf>(whole);
  Vf p = r * 0.009582852f + 0.055906426f;
  p = p * r + 0.24024099f;
  p = p * r + 0.6931242f;
  p = p * r + 1.f;
  return bits_as<Vf>(_mm512_maskz_scalef_ps(kept, bits_as<__m512>(p), whole));
}

// What turns scores into exponents: scale * log2 e, and how many of the block's keys each of 16
// queries sees, where some do not see all.
struct Exponents {
  float factor = 1;
  Vf limits{};
};

// 16 keys' exponents of 16 queries. Some: those that are not seen are -inf.
template <bool Some>
TARN_INLINE Vf exponent(const Exponents& e, const char* scores, int64_t first, int row) {
  const Vf x = load(reinterpret_cast<const float*>(scores + row * kTileRowBytes)) * e.factor;
  if constexpr (!Some) return x;
  return splat(static_cast<float>(first + row)) < e.limits ? x : splat(-kInfinity);
}

// Two keys' weights to a row of pairs. cvtne2 puts one after the other.
TARN_INLINE void put_pair(Vf even, Vf odd, char* to) {
  alignas(64) static constexpr uint16_t kOrder[kPanel] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const auto both =
      bits_as<__m512i>(_mm512_cvtne2ps_pbh(bits_as<__m512>(odd), bits_as<__m512>(even)));
  _mm512_store_si512(to, _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), both));
}

// The scores of a step's 32 keys for 16 queries are two tiles, kStepBytes apart.
template <bool Some>
TARN_INLINE Vf top_exponents(const Exponents& e, const char* scores, int64_t steps, Vf old) {
  Vf best[4] = {old, old, old, old};
  for (int64_t t = 0; t < 2 * steps; ++t, scores += kStepBytes) {
    TARN_UNROLL
    for (int r = 0; r < kTileRows; ++r)
      best[r % 4] = max_of(exponent<Some>(e, scores, t * kTileRows, r), best[r % 4]);
  }
  return max_of(max_of(best[0], best[1]), max_of(best[2], best[3]));
}

// Their weights, to eight rows of pairs a tile, and the sums of them.
template <bool Some>
TARN_INLINE Vf put_weights(const Exponents& e, const char* scores, int64_t steps, Vf shift,
                           char* to) {
  Vf sum[2] = {};
  for (int64_t t = 0; t < 2 * steps; ++t, scores += kStepBytes) {
    char* rows = to + t / 2 * kStepBytes + t % 2 * (kTileBytes / 2);
    TARN_UNROLL
    for (int r = 0; r < kTileRows; r += 2) {
      const Vf even = power_of_two(exponent<Some>(e, scores, t * kTileRows, r) - shift);
      const Vf odd = power_of_two(exponent<Some>(e, scores, t * kTileRows, r + 1) - shift);
      sum[0] += even, sum[1] += odd;
      put_pair(even, odd, rows + r / 2 * kTileRowBytes);
    }
  }
  return sum[0] + sum[1];
}

// The weights of one half of the strip's queries, and what their sums so far are multiplied by.
template <bool Some>
Vf weigh_half(const Work& w, const Strip& s, const char* scores, const Exponents& e, int64_t half,
              int64_t steps) {
  const Vf old = load(s.tops + half * kLanes);
  const Vf top = top_exponents<Some>(e, scores + half * kTileBytes, steps, old);
  const Vf shift = top == -kInfinity ? Vf{} : top;  // all -inf so far: weights 0, not NaN
  const Vf keep = power_of_two(old - shift);
  const Vf sum =
      put_weights<Some>(e, scores + half * kTileBytes, steps, shift, w.weights + half * kTileBytes);
  store(s.tops + half * kLanes, top);
  store(s.totals + half * kLanes, load(s.totals + half * kLanes) * keep + sum);
  return keep;
}

void rescale_sums(const Work& w, const Strip& s, int64_t half, Vf keep) {
  if (_mm512_cmp_ps_mask(bits_as<__m512>(keep), _mm512_set1_ps(1.f), _CMP_NEQ_UQ) == 0) return;
  for (int64_t tile = half; tile < 4 * w.size.value_panels; tile += 2)
    for (int64_t r = 0; r < kTileRows; ++r) {
      auto* at = reinterpret_cast<float*>(s.sums + tile * kTileBytes + r * kTileRowBytes);
      store(at, load(at) * keep);
    }
}

// Scores of the keys to weights, zeros up to a whole step. Query l of the strip sees keys below
// `visible` + l.
void weigh_keys(const Work& w, const Strip& s, const char* scores, Range keys, int64_t visible) {
  const int64_t n = keys.end - keys.begin, steps = ceil_div(n, kStep);
  Exponents e;
  e.factor = w.a->scale * 1.44269504f;
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t first = w.a->causal ? visible - keys.begin + half * kLanes : n;
    for (int l = 0; l < kLanes; ++l)
      e.limits[l] = static_cast<float>(smaller(n, w.a->causal ? first + l : n));
    const bool some = first < n || n % kStep != 0;
    rescale_sums(w, s, half,
                 some ? weigh_half<true>(w, s, scores, e, half, steps)
                      : weigh_half<false>(w, s, scores, e, half, steps));
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
