#include "lm/train/batches.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "lm/train/shuffle.h"

namespace tarn::lm {
namespace {

// So many batches' examples are sorted by length together: enough for little padding, few enough
// that epochs of large sets have other batches.
constexpr size_t batches_sorted_together = 64;

// Eight sizes an octave: at most an eighth is padding. Not below 16, where kernels change.
int64_t rounded_up(int64_t n) {
  auto octave =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(n, 1))));
  int64_t step = std::max<int64_t>(octave / 8, 1);
  return std::max<int64_t>((n + step - 1) / step * step, 16);
}

size_t length(const TrainSet& set, size_t i) { return set.samples[i].ids.size(); }

std::vector<Rows> cut(const TrainSet& set, std::vector<size_t>& order, size_t from, size_t to,
                      size_t size) {
  std::stable_sort(order.begin() + static_cast<int64_t>(from),
                   order.begin() + static_cast<int64_t>(to),
                   [&](size_t a, size_t b) { return length(set, a) < length(set, b); });
  std::vector<Rows> batches;
  for (size_t at = from; at < to; at += size) {
    auto end = static_cast<int64_t>(std::min(at + size, to));
    batches.emplace_back(order.begin() + static_cast<int64_t>(at), order.begin() + end);
  }
  return batches;
}

}  // namespace

std::vector<Rows> epoch_batches(const TrainSet& set, int batch_size, uint64_t seed, int64_t epoch) {
  Random64 random(seed * 0x9e3779b97f4a7c15 + static_cast<uint64_t>(epoch) + 1);
  std::vector<size_t> order(set.samples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  shuffle(order, random);
  auto size = static_cast<size_t>(batch_size);
  size_t together = size * batches_sorted_together;
  std::vector<Rows> all;
  for (size_t from = 0; from < order.size(); from += together) {
    auto some = cut(set, order, from, std::min(from + together, order.size()), size);
    shuffle(some, random);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<Rows> plain_batches(const TrainSet& set, int batch_size) {
  std::vector<size_t> order(set.samples.size());
  std::iota(order.begin(), order.end(), size_t{0});
  return cut(set, order, 0, order.size(), static_cast<size_t>(batch_size));
}

std::vector<Rows> parts_of(const TrainSet& set, const Rows& rows, int64_t most) {
  std::vector<Rows> parts;
  int64_t longest = 0;
  for (size_t r : rows) {
    longest = std::max(longest, rounded_up(static_cast<int64_t>(length(set, r)) - 1));
    bool fits = !parts.empty() && longest * static_cast<int64_t>(parts.back().size() + 1) <= most;
    if (!fits) {
      parts.emplace_back();
      longest = rounded_up(static_cast<int64_t>(length(set, r)) - 1);
    }
    parts.back().push_back(r);
  }
  return parts;
}

Batch make_batch(const TrainSet& set, const Rows& rows) {
  int64_t longest = 2, counted = 0;
  for (size_t r : rows) {
    longest = std::max(longest, static_cast<int64_t>(length(set, r)));
    counted += set.samples[r].counted();
  }
  int64_t n = rounded_up(longest - 1), k = rounded_up(counted);
  std::vector<int32_t> ids, places, targets;
  for (size_t row = 0; row < rows.size(); ++row) {
    const TrainSample& s = set.samples[rows[row]];
    for (size_t i = 1; i < s.ids.size(); ++i)
      if (s.counts[i]) {
        places.push_back(static_cast<int32_t>(static_cast<int64_t>(row) * n) +
                         static_cast<int32_t>(i) - 1);
        targets.push_back(s.ids[i]);
      }
    ids.insert(ids.end(), s.ids.begin(), s.ids.end() - 1);
    ids.resize((row + 1) * static_cast<size_t>(n), 0);
  }
  std::vector<float> weights(places.size(), 1.0f);
  places.resize(static_cast<size_t>(k), 0);
  targets.resize(static_cast<size_t>(k), 0);
  weights.resize(static_cast<size_t>(k), 0.0f);
  Batch batch;
  batch.ids = array(ids.begin(), {static_cast<int64_t>(rows.size()), n}, int32);
  batch.places = array(places.begin(), {k}, int32);
  batch.targets = array(targets.begin(), {k}, int32);
  batch.weights = array(weights.begin(), {k}, float32);
  batch.counted = counted;
  return batch;
}

}  // namespace tarn::lm
