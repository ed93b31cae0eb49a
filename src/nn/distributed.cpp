#include "tarn/nn/distributed.h"

#include <algorithm>
#include <numeric>

#include "base/require.h"
#include "tarn/ops.h"
#include "tarn/transforms.h"

namespace tarn::nn {
namespace {

using distributed::Group;

Group known(const MaybeGroup& group) { return group ? *group : distributed::init(); }

std::vector<int64_t> equal_segments(int64_t size, int count, const std::string& name) {
  require<ShapeError>(count > 0 && size % count == 0,
                      "[shard] {} has an axis of {}; that makes no {} equal segments.", name, size,
                      count);
  return std::vector<int64_t>(static_cast<size_t>(count), size / count);
}

void check_divides(const char* what, int64_t size, const Group& group) {
  require<ShapeError>(size % group.size() == 0,
                      "[init] {} {} cannot be divided over {} ranks: a multiple is needed.", size,
                      what, group.size());
}

template <class Sharded>
Sharded sharded(const Linear& layer, const char* how, int segments, const MaybeGroup& group) {
  require(layer.low_rank.empty(),
          "[from_linear] the layer has low-rank terms; fold them into its weight first.");
  Sharded s;
  static_cast<Linear&>(s) = layer;
  s.group = known(group);
  shard_inplace(static_cast<Linear&>(s), how, segments, s.group);
  detail::take_sizes(s);
  return s;
}

// From the first of `arrays` on, those that go together.
size_t together(std::span<const array> arrays, int64_t bytes_at_once) {
  size_t count = 1;
  auto bytes = static_cast<int64_t>(arrays[0].nbytes());
  while (count < arrays.size() && bytes < bytes_at_once &&
         arrays[count].dtype() == arrays[0].dtype())
    bytes += static_cast<int64_t>(arrays[count++].nbytes());
  return count;
}

}  // namespace

std::vector<array> all_sum_together(const std::vector<array>& arrays, const MaybeGroup& group,
                                    int64_t bytes_at_once, StreamOrDevice s) {
  Group all = known(group);
  if (all.size() == 1) return arrays;
  std::vector<array> sums;
  for (size_t from = 0; from < arrays.size();) {
    size_t count = together(std::span(arrays).subspan(from), bytes_at_once);
    std::vector<array> flat;
    std::vector<int> ends;
    int end = 0;
    for (size_t i = from; i < from + count; ++i) {
      flat.push_back(reshape(arrays[i], {-1}, s));
      ends.push_back(end += static_cast<int>(arrays[i].size()));
    }
    ends.pop_back();
    array sum = distributed::all_sum(concatenate(flat, 0, s), all, s);
    auto parts =
        ends.empty() ? std::vector<array>{sum} : split(sum, Shape(ends.begin(), ends.end()), 0, s);
    for (size_t i = 0; i < count; ++i)
      sums.push_back(reshape(parts[i], arrays[from + i].shape(), s));
    from += count;
  }
  return sums;
}

std::function<array(const array&)> sum_gradients(const MaybeGroup& group) {
  Group all = known(group);
  if (all.size() == 1) return [](const array& x) { return x; };
  using Arrays = std::vector<array>;
  auto f = custom_vjp([](const Arrays& x) { return x; },
                      [all](const Arrays&, const Arrays& g, const Arrays&) {
                        return Arrays{distributed::all_sum(g[0], all)};
                      });
  return [f](const array& x) { return f({x})[0]; };
}

array shard(const array& a, int axis, const std::vector<int64_t>& segments, const Group& group,
            const std::string& name) {
  auto at = static_cast<size_t>(axis < 0 ? axis + static_cast<int>(a.ndim()) : axis);
  require<ShapeError>(at < a.ndim() && std::accumulate(segments.begin(), segments.end(),
                                                       int64_t{0}) == a.shape(static_cast<int>(at)),
                      "[shard] {} has shape {}; its axis {} does not consist of segments of {}.",
                      name, text_of(a.shape()), axis, joined(segments));
  std::vector<array> parts;
  Shape start(a.ndim(), 0), stop = a.shape();
  int64_t before = 0;
  for (int64_t size : segments) {
    require<ShapeError>(size % group.size() == 0,
                        "[shard] {} has shape {}: {} along axis {} cannot be divided over {} "
                        "ranks.",
                        name, text_of(a.shape()), size, axis, group.size());
    int64_t mine = size / group.size();
    start[at] = before + group.rank() * mine;
    stop[at] = start[at] + mine;
    parts.push_back(slice(a, start, stop));
    before += size;
  }
  return contiguous(parts.size() == 1 ? parts[0] : concatenate(parts, static_cast<int>(at)));
}

Shards shards_of(const std::string& sharding, int segments) {
  require(sharding == "all-to-sharded" || sharding == "sharded-to-all",
          "[shard_inplace] the sharding is \"{}\"; it must be all-to-sharded or sharded-to-all.",
          sharding);
  bool rows = sharding == "all-to-sharded";
  return [=](const std::string& path, const array& a) -> std::optional<std::pair<int, int>> {
    if (path.ends_with("bias")) return rows ? std::optional(std::pair(-1, segments)) : std::nullopt;
    return std::pair(rows ? std::max(static_cast<int>(a.ndim()) - 2, 0) : -1, segments);
  };
}

array detail::shard_parameter(const std::string& path, const array& a, const Shards& how,
                              const Group& group) {
  auto chosen = how(path, a);
  if (!chosen) return a;
  auto [axis, segments] = *chosen;
  require<ShapeError>(a.ndim() > 0, "[shard] {} is one number, which cannot be divided.", path);
  return shard(a, axis, equal_segments(a.shape(axis), segments, path), group, path);
}

void detail::take_sizes(Matrix& m) {
  m.rows = m.weight.shape(0);
  m.columns = m.quantised() ? m.weight.shape(1) * 32 / m.bits : m.weight.shape(1);
}

AllToShardedLinear AllToShardedLinear::init(int64_t inputs, int64_t outputs, const array& key,
                                            bool bias, const MaybeGroup& group) {
  check_divides("outputs", outputs, known(group));
  return from_linear(Linear::init(inputs, outputs, key, bias), 1, group);
}
AllToShardedLinear AllToShardedLinear::from_linear(const Linear& layer, int segments,
                                                   const MaybeGroup& group) {
  return sharded<AllToShardedLinear>(layer, "all-to-sharded", segments, group);
}
array AllToShardedLinear::operator()(const array& x) const {
  return Linear::operator()(sum_gradients(group)(x));
}

ShardedToAllLinear ShardedToAllLinear::init(int64_t inputs, int64_t outputs, const array& key,
                                            bool bias, const MaybeGroup& group) {
  check_divides("inputs", inputs, known(group));
  return from_linear(Linear::init(inputs, outputs, key, bias), 1, group);
}
ShardedToAllLinear ShardedToAllLinear::from_linear(const Linear& layer, int segments,
                                                   const MaybeGroup& group) {
  return sharded<ShardedToAllLinear>(layer, "sharded-to-all", segments, group);
}
array ShardedToAllLinear::operator()(const array& x) const {
  array y = distributed::all_sum(times(x), group);
  return bias ? y + *bias : y;
}

}  // namespace tarn::nn
