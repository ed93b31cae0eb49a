// Layers and gradients that the ranks of a group share, as mlx.nn has them. docs/distributed.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/distributed.h"
#include "tarn/nn/layers.h"
#include "tarn/nn/module.h"

namespace tarn::nn {

using MaybeGroup = std::optional<distributed::Group>;  // nothing: all processes

// The sum over the ranks of each array. Neighbours of one dtype go in one communication, as many as
// make up `bytes_at_once`; 0: each goes alone. Every rank gives the same shapes and dtypes.
std::vector<array> all_sum_together(const std::vector<array>& arrays, const MaybeGroup& group = {},
                                    int64_t bytes_at_once = int64_t{32} << 20,
                                    StreamOrDevice s = {});

// The mean over the ranks of each leaf of a gradient; absent ones stay so.
template <Tree T>
T average_gradients(T gradients, const MaybeGroup& group = {},
                    int64_t all_reduce_size = int64_t{32} << 20, StreamOrDevice s = {}) {
  distributed::Group all = group ? *group : distributed::init();
  if (all.size() == 1) return gradients;
  std::vector<array> leaves;
  each_leaf(gradients, [&](const std::string&, const array& a) {
    if (a.size() > 0) leaves.push_back(a);
  });
  std::vector<array> sums = all_sum_together(leaves, all, all_reduce_size, s);
  size_t at = 0;
  each_leaf(gradients, [&](const std::string&, array& a) {
    if (a.size() == 0) return;
    a = divide(sums[at], array(static_cast<double>(all.size()), a.dtype()), s);
    ++at;
  });
  return gradients;
}

// x -> x, whose cotangent is the sum of all ranks'.
std::function<array(const array&)> sum_gradients(const MaybeGroup& group = {});

// This rank's part of `a` along an axis that consists of segments of these sizes: the same part of
// each, one after the other. Throws ShapeError, with `name`, where a segment cannot be divided.
array shard(const array& a, int axis, const std::vector<int64_t>& segments,
            const distributed::Group& group, const std::string& name);

// Along which axis a parameter is divided, of how many equal segments; nothing: every rank has all.
using Shards =
    std::function<std::optional<std::pair<int, int>>(const std::string& path, const array&)>;
// "all-to-sharded": rows, and biases with them. "sharded-to-all": columns. Throws ValueError.
Shards shards_of(const std::string& sharding, int segments = 1);

namespace detail {
array shard_parameter(const std::string& path, const array& a, const Shards& how,
                      const distributed::Group& group);
// After its parameters were replaced.
void take_sizes(Matrix& matrix);
}  // namespace detail

// Leaves each parameter of `m` this rank's part. What the parts are to give, the module has to do
// with what it has: layers like those below exchange nothing of themselves.
template <Tree M>
void shard_inplace(M& m, const Shards& how, const MaybeGroup& group = {}) {
  distributed::Group all = group ? *group : distributed::init();
  each_parameter(m, [&](const std::string& path, array& a) {
    a = detail::shard_parameter(path, a, how, all);
  });
  auto sizes = [](const std::string&, auto& layer) { detail::take_sizes(layer); };
  each<Linear>(m, sizes);
  each<Embedding>(m, sizes);
}
template <Tree M>
void shard_inplace(M& m, const std::string& sharding, int segments = 1,
                   const MaybeGroup& group = {}) {
  shard_inplace(m, shards_of(sharding, segments), group);
}

// Each rank has some rows of W, so x, which all ranks have, becomes this rank's part of the
// outputs. Gradients with respect to x are summed over the ranks.
struct AllToShardedLinear : Linear {
  MaybeGroup group{};
  // Of a layer (inputs, outputs) that all ranks have together. Throws ShapeError.
  static AllToShardedLinear init(int64_t inputs, int64_t outputs, const array& key,
                                 bool bias = true, const MaybeGroup& group = {});
  // A layer with low-rank terms is refused: ValueError.
  static AllToShardedLinear from_linear(const Linear& layer, int segments = 1,
                                        const MaybeGroup& group = {});
  array operator()(const array& x) const;
};
// Each rank has some columns of W, for the part of the inputs that it has; the products are summed
// over the ranks, so that all have the outputs.
struct ShardedToAllLinear : Linear {
  MaybeGroup group{};
  static ShardedToAllLinear init(int64_t inputs, int64_t outputs, const array& key,
                                 bool bias = true, const MaybeGroup& group = {});
  static ShardedToAllLinear from_linear(const Linear& layer, int segments = 1,
                                        const MaybeGroup& group = {});
  array operator()(const array& x) const;
};
// Quantised or not is a state of the layer.
using QuantizedAllToShardedLinear = AllToShardedLinear;
using QuantizedShardedToAllLinear = ShardedToAllLinear;

// One of the two: shard_linear<AllToShardedLinear>(layer).
template <class Sharded>
Sharded shard_linear(const Linear& layer, int segments = 1, const MaybeGroup& group = {}) {
  return Sharded::from_linear(layer, segments, group);
}

}  // namespace tarn::nn
