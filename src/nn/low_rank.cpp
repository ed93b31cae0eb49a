// What low-rank terms amount to, alone and folded into the weight.
#include "tarn/nn/low_rank.h"

#include <concepts>

#include "base/require.h"
#include "nn/draw.h"
#include "nn/terms.h"
#include "tarn/ops.h"

namespace tarn::nn {
namespace {

// The thin matrices as W's rows see them: left (rank, rows), right (columns, rank).
array left_of(const Linear&, const LowRank& t) { return t.lora_b; }
array left_of(const Embedding&, const LowRank& t) { return transpose(t.lora_a); }
array right_of(const Linear&, const LowRank& t) { return t.lora_a; }
array right_of(const Embedding&, const LowRank& t) { return transpose(t.lora_b); }

array in_float(const array& a) { return astype(a, float32); }
array row_squares(const Matrix& w) { return sum(square(w.dense()), 1); }

// The lengths of the rows of W + scale * D, without making either: of w + d it is the root of
// w w + 2 w d + d d, where w d and d d go through the rank.
template <class L>
array row_lengths(const L& layer, const LowRank& t) {
  PrecisionScope exact(Precision::exact);
  array left = in_float(left_of(layer, t)), right = in_float(right_of(layer, t)), s(t.scale);
  array by_rank = layer.quantize_input ? matmul(transpose(right), transpose(layer.dense()))
                                       : in_float(layer.times(transpose(right)));
  array crossed = sum(by_rank * left, 0);
  array own = sum(matmul(matmul(transpose(right), right), left) * left, 0);
  array squares = t.squares ? *t.squares : row_squares(layer);
  return sqrt(maximum(squares + array(2.0f) * s * crossed + s * s * own, array(0.0f)));
}

// m over the lengths; rows of zeros stay zeros.
template <class L>
array factor_of(const L& layer, const LowRank& t) {
  array lengths = stop_gradient(row_lengths(layer, t)), zero(0.0f), one(1.0f);
  array some = lengths > zero;
  return where(some, in_float(*t.m) / where(some, lengths, one), zero);
}

template <class L>
Effect computed(const L& layer, const LowRank& t) {
  array a = in_float(t.lora_a), b = in_float(t.lora_b) * array(t.scale * t.weight);
  if (!t.m) return {a, b, std::nullopt};
  array factor = factor_of(layer, t);
  array gain = (factor - array(1.0f)) * array(t.weight);
  if constexpr (std::same_as<L, Linear>) return {a, b * factor, gain};
  return {a * expand_dims(factor, 1), b, gain};
}

template <class L>
std::vector<array> settle_terms(L& layer) {
  std::vector<array> made;
  for (LowRank& t : layer.low_rank.terms) {
    if (t.m && !t.squares) t.squares = row_squares(layer);
    if (!t.settled || !t.settled->is_of(t))
      t.settled = std::make_shared<const SettledTerm>(
          SettledTerm{t.lora_a, t.lora_b, t.m, t.scale, t.weight, computed(layer, t)});
    const Effect& e = t.settled->effect;
    made.insert(made.end(), {e.a, e.b});
    if (e.gain) made.push_back(*e.gain);
  }
  layer.low_rank.gathered = std::make_shared<GatheredTerms>();
  return made;
}

template <class L>
LowRank fresh(const L& layer, int64_t rows, int64_t columns, int64_t rank, const array& key,
              bool dora) {
  require(rank > 0, "[LowRank] the rank is {}; it must be positive.", rank);
  LowRank t;
  t.lora_a = within_root("LowRank", {rows, rank}, rows, key);
  t.lora_b = zeros({rank, columns});
  if (!dora) return t;
  t.squares = row_squares(layer);
  t.m = sqrt(*t.squares);
  return t;
}

template <class L>
array fused_terms(const L& layer) {
  array w = layer.dense(), all = w;
  for (const LowRank& t : layer.low_rank.terms) {
    if (t.on_request) continue;
    Effect e = effect_of(layer, t);
    array d = matmul(e.a, e.b);
    all = all + (std::same_as<L, Linear> ? transpose(d) : d);
    if (e.gain) all = all + w * expand_dims(*e.gain, 1);
  }
  return all;
}

}  // namespace

bool SettledTerm::is_of(const LowRank& t) const {
  bool same_m = m.has_value() == t.m.has_value() && (!m || m->id() == t.m->id());
  return lora_a.id() == t.lora_a.id() && lora_b.id() == t.lora_b.id() && same_m &&
         scale == t.scale && weight == t.weight;
}

Effect effect_of(const Linear& layer, const LowRank& t) {
  return t.settled && t.settled->is_of(t) ? t.settled->effect : computed(layer, t);
}
Effect effect_of(const Embedding& layer, const LowRank& t) {
  return t.settled && t.settled->is_of(t) ? t.settled->effect : computed(layer, t);
}

std::vector<array> settle(Linear& layer) { return settle_terms(layer); }
std::vector<array> settle(Embedding& layer) { return settle_terms(layer); }

array fused(const Linear& layer) { return fused_terms(layer); }
array fused(const Embedding& layer) { return fused_terms(layer); }

LowRank LowRank::init(const Linear& layer, int64_t rank, const array& key, bool dora) {
  return fresh(layer, layer.columns, layer.rows, rank, key, dora);
}
LowRank LowRank::init(const Embedding& layer, int64_t rank, const array& key, bool dora) {
  return fresh(layer, layer.rows, layer.columns, rank, key, dora);
}

}  // namespace tarn::nn
