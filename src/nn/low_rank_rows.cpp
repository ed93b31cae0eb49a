// Layers with low-rank terms, where rows may ask for different ones.
#include <algorithm>
#include <numeric>

#include "base/require.h"
#include "base/text.h"
#include "nn/terms.h"
#include "tarn/nn/dropout.h"
#include "tarn/ops.h"
#include "tarn/ops/low_rank.h"
#include "tarn/random.h"

namespace tarn::nn {
namespace {

thread_local LowRankState* state = nullptr;

// How x meets a layer: as a linear map, a table's row numbers, or a table as the output layer.
enum class Role : uint8_t { linear, rows, head };

bool is_in(const LowRank& term, Role role) { return role != Role::head || term.in_head; }

array dropped(const array& x, float p) {
  if (p == 0 || !state || !state->context.dropout_key) return x;
  auto [rest, key] = random::split(*state->context.dropout_key);
  state->context.dropout_key = rest;
  return Dropout{p}(x, key);
}

// x (..., n) times a b. With all positions in one axis, since a stack of vectors would be as many
// products.
array through_rank(const array& x, const array& a, const array& b) {
  int64_t n = x.shape(-1), positions = static_cast<int64_t>(x.size()) / std::max<int64_t>(n, 1);
  array flat = reshape(x, {positions, n});
  Shape shape = x.shape();
  shape.back() = b.shape(1);
  return reshape(matmul(matmul(flat, a), b), shape);
}

// What an effect adds to y = x W^T, or to the rows y of W with the numbers x.
array change(const Effect& e, const array& x, const array& y, Role role, float dropout) {
  array product;
  if (role == Role::linear)
    product = through_rank(dropped(x, dropout), e.a, e.b);
  else if (role == Role::head)
    product = through_rank(dropped(x, dropout), transpose(e.b), transpose(e.a));
  else
    product = dropped(matmul(take(e.a, x, 0), e.b), dropout);
  if (!e.gain) return product;
  return product + y * (role == Role::rows ? expand_dims(take(*e.gain, x, 0), -1) : *e.gain);
}

// The one choice of all rows, if it is one.
std::optional<AdapterChoice> common_choice() {
  if (!state || state->context.rows.empty()) return AdapterChoice{};
  const auto& rows = state->context.rows;
  bool same = std::all_of(rows.begin(), rows.end(), [&](const auto& r) { return r == rows[0]; });
  return same ? std::optional(rows[0]) : std::nullopt;
}

// Which row each of the positions belongs to; x has `axes` axes of positions.
std::vector<size_t> rows_of_positions(const array& x, size_t axes) {
  const auto& [rows, counts, key] = state->context;
  int64_t positions = 1;
  for (size_t i = 0; i < axes; ++i) positions *= x.shape(static_cast<int>(i));
  auto n = static_cast<int64_t>(rows.size());
  std::vector<int64_t> each = counts;
  int64_t sum = std::accumulate(each.begin(), each.end(), int64_t{0});
  if (each.size() != rows.size() || sum != positions) {
    // One for each sequence, or equally many.
    bool fits = positions == n || (counts.empty() && axes > 0 && x.shape(0) == n);
    require<ShapeError>(fits,
                        "[LowRank] x has shape {}, and {} sequences choose their adapters: a "
                        "row for each is needed.",
                        text_of(x.shape()), n);
    each.assign(rows.size(), positions / n);
  }
  std::vector<size_t> result;
  for (size_t row = 0; row < rows.size(); ++row)
    result.insert(result.end(), static_cast<size_t>(each[row]), row);
  return result;
}

std::shared_ptr<const Chosen> make_chosen(const std::vector<std::string>& names,
                                          const std::vector<size_t>& rows) {
  std::vector<int32_t> index;
  std::vector<float> weights;
  for (size_t row : rows) {
    const AdapterChoice& choice = state->context.rows[row];
    auto at = std::find(names.begin(), names.end(), choice.name) - names.begin();
    index.push_back(static_cast<int32_t>(at));
    weights.push_back(choice.weight);
  }
  auto n = static_cast<int64_t>(rows.size());
  Chosen made{names, n, array(index.begin(), {n}, int32), std::nullopt};
  if (std::any_of(weights.begin(), weights.end(), [](float w) { return w != 1; }))
    made.weights = array(weights.begin(), {n, 1, 1});
  return std::make_shared<const Chosen>(std::move(made));
}

// The same for all layers that have the same adapters.
std::shared_ptr<const Chosen> choose(const std::vector<std::string>& names, const array& x,
                                     size_t axes) {
  std::vector<size_t> rows = rows_of_positions(x, axes);
  for (const auto& made : state->chosen)
    if (made->names == names && made->positions == static_cast<int64_t>(rows.size())) return made;
  return state->chosen.emplace_back(make_chosen(names, rows));
}

// (n, rank) or (rank, n) with zeros up to another rank.
array padded(const array& a, int axis, int64_t rank) {
  int64_t missing = rank - a.shape(axis);
  return missing == 0 ? a : pad(a, std::vector<int>{axis}, Shape{0}, Shape{missing}, array(0.0f));
}

Stack stack_of(const std::vector<const LowRank*>& terms, std::vector<Effect> effects, Role role) {
  Stack stack;
  int64_t rank = 0, rows = 0;
  bool gains = false;
  for (Effect& e : effects) {
    if (role == Role::head) e = {transpose(e.b), transpose(e.a), e.gain};
    rank = std::max(rank, e.a.shape(1));
    if (e.gain) gains = true, rows = e.gain->shape(0);
  }
  std::vector<array> a, b, gain;
  for (size_t i = 0; i < effects.size(); ++i) {
    stack.names.push_back(terms[i]->adapter);
    a.push_back(padded(effects[i].a, 1, rank)), b.push_back(padded(effects[i].b, 0, rank));
    gain.push_back(effects[i].gain.value_or(zeros({rows})));
  }
  a.push_back(zeros_like(a[0])), b.push_back(zeros_like(b[0])), gain.push_back(zeros({rows}));
  stack.a = tarn::stack(a, 0), stack.b = tarn::stack(b, 0);
  if (gains) stack.gain = tarn::stack(gain, 0);
  return stack;
}

// Made once while the terms are settled and the same.
template <class L>
Stack stack_for(const L& layer, const std::vector<const LowRank*>& terms, Role role) {
  std::vector<Effect> effects;
  std::vector<std::shared_ptr<const SettledTerm>> of;
  bool settled = layer.low_rank.gathered != nullptr;
  for (const LowRank* t : terms) {
    effects.push_back(effect_of(layer, *t)), of.push_back(t->settled);
    settled = settled && t->settled && t->settled->is_of(*t);
  }
  if (!settled) return stack_of(terms, std::move(effects), role);
  GatheredTerms& kept = *layer.low_rank.gathered;
  std::lock_guard lock(kept.mutex);
  auto& entry = role == Role::head ? kept.turned : kept.plain;
  if (!entry || entry->of != of) entry = {of, stack_of(terms, std::move(effects), role)};
  return entry->stack;
}

// What each position's own effect adds to y, of a table's rows or where effects scale y.
array own_changes(const Stack& stack, const Chosen& chosen, const array& x, const array& y,
                  Role role) {
  const array& index = chosen.index;
  array thin, gain;
  if (role == Role::rows) {
    array ids = astype(flatten(x), int64), count(stack.a.shape(1));
    ids = where(ids < array(int64_t{0}), ids + count, ids) + astype(index, int64) * count;
    thin = expand_dims(take(flatten(stack.a, 0, 1), ids, 0), 1);
    if (stack.gain) gain = expand_dims(take(flatten(*stack.gain), ids, 0), {1, 2});
  } else {
    array each = reshape(x, {chosen.positions, 1, x.shape(-1)});
    thin = gather_mm(each, stack.a, std::nullopt, index);
    if (stack.gain) gain = expand_dims(take(*stack.gain, index, 0), 1);
  }
  array change = gather_mm(thin, stack.b, std::nullopt, index);
  if (stack.gain) change = change + reshape(y, change.shape()) * gain;
  if (chosen.weights) change = change * *chosen.weights;
  return reshape(change, y.shape());
}

// `all` and what each position's own effect adds to y.
template <class L>
array with_own_changes(const L& layer, const std::vector<const LowRank*>& terms, const array& x,
                       const array& y, const array& all, Role role) {
  Stack stack = stack_for(layer, terms, role);
  auto chosen = choose(stack.names, x, role == Role::rows ? x.ndim() : x.ndim() - 1);
  if (role == Role::rows || stack.gain)
    return all + astype(own_changes(stack, *chosen, x, y, role), y.dtype());
  Shape each(x.ndim(), 1);
  std::copy(x.shape().begin(), x.shape().end() - 1, each.begin());
  array weighed = chosen->weights ? x * reshape(*chosen->weights, each) : x;
  return low_rank_rows(all, weighed, stack.a, stack.b, chosen->index);
}

// Whether all rows want a term, and what they want is no different from row to row.
bool is_common(const LowRank& t, const std::optional<AdapterChoice>& common) {
  return !t.on_request || (common && common->name == t.adapter);
}

// The first term that may go along with the product of a quantised layer.
const LowRank* term_beside(const Linear& layer, const array& x) {
  auto common = common_choice();
  if (!layer.quantised() || layer.quantize_input || x.dtype() != float32 || x.ndim() < 2)
    return nullptr;
  for (const LowRank& t : layer.low_rank.terms) {
    bool whole = !t.on_request || (common && common->weight == 1);
    bool drops = t.dropout != 0 && state && state->context.dropout_key;
    if (is_common(t, common) && whole && !drops && !t.m) return &t;
  }
  return nullptr;
}

// What the terms but `done` add to y.
template <class L>
array with_all_terms(const L& layer, const array& x, const array& y, Role role,
                     const LowRank* done = nullptr) {
  array all = y;
  auto common = common_choice();
  std::vector<const LowRank*> requested;
  for (const LowRank& t : layer.low_rank.terms) {
    if (!is_in(t, role) || &t == done) continue;
    if (!is_common(t, common)) {
      if (!common) requested.push_back(&t);
      continue;
    }
    array more = change(effect_of(layer, t), x, y, role, t.dropout);
    if (t.on_request && common->weight != 1) more = more * array(common->weight);
    all = all + astype(more, y.dtype());
  }
  if (requested.empty()) return all;
  return with_own_changes(layer, requested, x, y, all, role);
}

}  // namespace

array with_terms(const Linear& layer, const array& x) {
  const LowRank* beside = term_beside(layer, x);
  if (!beside) return with_all_terms(layer, x, layer.times(x), Role::linear);
  Effect e = effect_of(layer, *beside);
  array y = low_rank_matmul(x, layer.weight, *layer.scales, layer.biases, e.a, e.b,
                            layer.group_size, layer.bits, layer.mode);
  return with_all_terms(layer, x, y, Role::linear, beside);
}
array with_terms(const Embedding& table, const array& x) {
  return with_all_terms(table, x, table.times(x), Role::head);
}
array rows_with_terms(const Embedding& table, const array& ids) {
  return with_all_terms(table, ids, table.take_rows(ids), Role::rows);
}

LowRankScope::LowRankScope(LowRankContext context)
    : state_(std::make_unique<LowRankState>(LowRankState{std::move(context), {}})), before_(state) {
  state = state_.get();
}
LowRankScope::~LowRankScope() { state = before_; }
LowRankContext LowRankScope::current() { return state ? state->context : LowRankContext{}; }

}  // namespace tarn::nn
