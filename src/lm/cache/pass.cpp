// A call of a model with the sequences that go on in it.
#include <algorithm>
#include <atomic>
#include <numeric>

#include "base/require.h"
#include "base/text.h"
#include "lm/cache/training.h"
#include "tarn/fast.h"
#include "tarn/lm/model.h"
#include "tarn/ops.h"
#include "tarn/ops/ragged.h"

namespace tarn::lm {
namespace {

array heads_first(const array& x) { return transpose(x, {0, 2, 1, 3}); }
array heads_joined(const array& x) {
  return reshape(heads_first(x), {x.shape(0), x.shape(2), x.shape(1) * x.shape(3)});
}

// [from, from + n) of an axis.
array part(const array& x, size_t axis, int64_t from, int64_t n) {
  Shape start(x.ndim(), 0), stop = x.shape();
  start[axis] = from, stop[axis] = from + n;
  return slice(x, start, stop);
}

}  // namespace

bool Pass::can_truncate(int64_t length) const {
  return std::all_of(rows.begin(), rows.end(),
                     [&](const Cache& row) { return row.can_truncate(length); });
}
void Pass::truncate(int64_t length) {
  for (auto& row : rows) row.truncate(length);
}
void Pass::collect(std::vector<array>& into) const {
  for (const auto& row : rows) row.collect(into);
}

bool Pass::goes_on() const {
  return rows.size() == 1 && counts.empty() &&
         std::all_of(rows[0].layers.begin(), rows[0].layers.end(),
                     [](const LayerCache& layer) { return layer.goes_on(); });
}
void Pass::add_position() {
  for (LayerCache& layer : rows[0].layers) layer.add_position();
}

void Pass::check(const array& ids) const {
  require<ShapeError>(ids.ndim() == 2, "[model] ids have shape ({}); rows of tokens are needed.",
                      joined(ids.shape()));
  size_t sequences = rows.empty() ? static_cast<size_t>(ids.shape(0)) : rows.size();
  require<ShapeError>(adapters.size() <= 1 || adapters.size() == sequences,
                      "[model] {} adapters are chosen for {} sequences: one for each, one for all "
                      "or none is needed.",
                      adapters.size(), sequences);
  if (counts.empty()) {
    require<ShapeError>(rows.empty() || ids.shape(0) == static_cast<int64_t>(rows.size()),
                        "[model] ids have shape ({}) for {} sequences: a row for each is needed.",
                        joined(ids.shape()), rows.size());
    return;
  }
  int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  bool positive = std::all_of(counts.begin(), counts.end(), [](int64_t n) { return n > 0; });
  require<ShapeError>(
      positive && counts.size() == rows.size() && ids.shape(0) == 1 && ids.shape(1) == sum,
      "[model] ids have shape ({}) for {} sequences with {} tokens: (1, {}) and a "
      "positive count for each are needed.",
      joined(ids.shape()), rows.size(), joined(counts), sum);
}

std::optional<array> Pass::attend_rows(size_t layer, const array& q, const array& k, const array& v,
                                       const TurnRows& turn_rows, const Attend& how) {
  // On a GPU there is no kernel for rows of different lengths.
  if (q.dtype() == float64 || default_device() != Device::cpu) return std::nullopt;
  std::optional<Dtype> kept = rows[0].layers[layer].takes_rows(how);
  std::vector<int64_t> offsets;
  for (const Cache& row : rows) {
    const LayerCache& cache = row.layers[layer];
    if (!kept || cache.takes_rows(how) != kept) return std::nullopt;
    offsets.push_back(cache.length());
  }
  array at(offsets.begin(), Shape{static_cast<int64_t>(offsets.size())}, int64);
  array queries = turn_rows(q, at), new_keys = astype(turn_rows(k, at), *kept);
  array new_values = astype(v, *kept);
  std::vector<array> keys, values;
  std::vector<int64_t> lengths;
  for (size_t row = 0; row < rows.size(); ++row) {
    Filled filled =
        rows[row].layers[layer].append_row(new_keys, new_values, static_cast<int64_t>(row));
    keys.push_back(std::move(filled.keys)), values.push_back(std::move(filled.values));
    lengths.push_back(filled.length);
  }
  return ragged_attention(queries, keys, values, lengths, how.scale);
}

array Pass::attend(size_t layer, const array& q, const array& k, const array& v, const Turn& turn,
                   const Attend& how, const TurnRows& turn_rows) {
  const bool even = counts.empty();
  const bool last = q.shape(1) != k.shape(1) || q.shape(0) != k.shape(0);  // (rows, 1, heads, size)
  if (rows.empty()) {
    fast::AttentionOptions o{
        .scale = how.scale, .causal = true, .window = how.window, .softcap = how.softcap};
    return heads_joined(fast::attention(turn(heads_first(q), k.shape(1) - q.shape(1)),
                                        turn(heads_first(k), 0), heads_first(v), o));
  }
  // Heads first, as are the results.
  auto one = [&](size_t row, const array& q_row, const array& k_row, const array& v_row) {
    LayerCache& cache = rows[row].layers[layer];
    int64_t offset = cache.length(), behind = k_row.shape(2) - q_row.shape(2);
    Attend with = how;
    with.by_position = turn_rows != nullptr;
    return cache.attend(turn(q_row, offset + behind), turn(k_row, offset), v_row, with);
  };
  if (rows.size() == 1) return heads_joined(one(0, heads_first(q), heads_first(k), heads_first(v)));
  // Rows of one length lie behind each other, of several side by side.
  array all_q = heads_first(q), all_k = heads_first(k), all_v = heads_first(v);
  if (turn_rows && even && k.shape(1) == 1)
    if (auto y = attend_rows(layer, all_q, all_k, all_v, turn_rows, how)) return heads_joined(*y);
  std::vector<array> results;
  const size_t axis = even ? 0 : 2, q_axis = last ? 0 : axis;
  int64_t from = 0, q_from = 0;
  for (size_t row = 0; row < rows.size(); ++row) {
    const int64_t count = even ? 1 : counts[row], q_count = last ? 1 : count;
    auto of_row = [&](const array& x) { return part(x, axis, from, count); };
    results.push_back(one(row, part(all_q, q_axis, q_from, q_count), of_row(all_k), of_row(all_v)));
    from += count, q_from += q_count;
  }
  return reshape(heads_joined(concatenate(results, static_cast<int>(q_axis))),
                 {q.shape(0), q.shape(1), -1});
}

array Pass::wanted(const array& x) const {
  int64_t n = x.shape(1);
  if (const auto& places = TrainingScope::current().places)
    return take(reshape(x, {1, -1, x.shape(2)}), *places, 1);
  if (!last_only || n == 1) return x;
  if (counts.size() < 2) return slice(x, {0, n - 1, 0}, x.shape());
  std::vector<int32_t> last;
  int32_t at = -1;
  for (int64_t count : counts) last.push_back(at += static_cast<int32_t>(count));
  array indices(last.begin(), Shape{static_cast<int64_t>(last.size())}, int32);
  return reshape(take(x, indices, 1), {static_cast<int64_t>(last.size()), 1, x.shape(2)});
}

array Pass::going_on(const array& x, bool last_layer) const {
  return last_layer && !TrainingScope::current().places ? wanted(x) : x;
}

uint64_t Model::new_version() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

array Model::operator()(const array& ids, Pass& pass) const {
  bool asks = std::any_of(pass.adapters.begin(), pass.adapters.end(),
                          [](const nn::AdapterChoice& a) { return !a.name.empty(); });
  if (!asks && !pass.dropout_key) return it_->forward(ids, pass);
  nn::LowRankScope scope({pass.adapters, pass.counts, pass.dropout_key});
  return it_->forward(ids, pass);
}

Cache Model::new_cache(const CacheOptions& options) const {
  lm::check(options);
  Cache cache{.options = options};
  for (const LayerShape& layer : shape().cached) cache.layers.emplace_back(layer, options);
  return cache;
}

Pass Model::new_pass(const CacheOptions& options, size_t rows) const {
  Pass pass;
  for (size_t i = 0; i < rows; ++i) pass.rows.push_back(new_cache(options));
  return pass;
}

}  // namespace tarn::lm
