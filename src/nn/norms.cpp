#include "tarn/nn/norms.h"

#include "base/require.h"
#include "nn/weak.h"
#include "tarn/fast.h"
#include "tarn/ops.h"

namespace tarn::nn {
namespace {

using MaybeArray = std::optional<array>;

void check_eps(const char* layer, float eps) {
  require(eps > 0, "[{}] eps is {}; it must be positive.", layer, eps);
}

array scaled(const array& x, const MaybeArray& weight, const MaybeArray& bias) {
  array y = weight ? *weight * x : x;
  return bias ? y + *bias : y;
}

MaybeArray ones_if(bool wanted, int64_t n) { return wanted ? MaybeArray(ones({n})) : std::nullopt; }
MaybeArray zeros_if(bool wanted, int64_t n) {
  return wanted ? MaybeArray(zeros({n})) : std::nullopt;
}

std::vector<int> all_but_last(const array& x) {
  std::vector<int> axes;
  for (size_t i = 0; i + 1 < x.ndim(); ++i) axes.push_back(static_cast<int>(i));
  return axes;
}

}  // namespace

RMSNorm RMSNorm::of(int64_t size, float eps) { return {.eps = eps, .size = size}; }
RMSNorm RMSNorm::init(int64_t size, float eps) {
  check_eps("RMSNorm", eps);
  return {.weight = ones({size}), .eps = eps, .size = size};
}
array RMSNorm::operator()(const array& x) const { return fast::rms_norm(x, weight, eps); }

LayerNorm LayerNorm::init(int64_t dims, float eps, bool affine, bool bias) {
  check_eps("LayerNorm", eps);
  return {.weight = ones_if(affine, dims), .bias = zeros_if(affine && bias, dims), .eps = eps};
}
array LayerNorm::operator()(const array& x) const { return fast::layer_norm(x, weight, bias, eps); }

InstanceNorm InstanceNorm::init(int64_t dims, float eps, bool affine) {
  check_eps("InstanceNorm", eps);
  return {.weight = ones_if(affine, dims), .bias = zeros_if(affine, dims), .eps = eps};
}
array InstanceNorm::operator()(const array& x) const {
  require<ShapeError>(x.ndim() >= 3,
                      "[InstanceNorm] x has shape {}: a batch, positions and channels are needed.",
                      text_of(x.shape()));
  array by_channel = moveaxis(x, -1, 1);
  array flat = reshape(by_channel, {x.shape(0), x.shape(-1), -1});
  array y = reshape(fast::layer_norm(flat, std::nullopt, std::nullopt, eps), by_channel.shape());
  return scaled(moveaxis(y, 1, -1), weight, bias);
}

GroupNorm GroupNorm::init(int64_t num_groups, int64_t dims, float eps, bool affine,
                          bool pytorch_compatible) {
  check_eps("GroupNorm", eps);
  require(num_groups > 0 && dims > 0 && dims % num_groups == 0,
          "[GroupNorm] {} channels do not make {} equal groups.", dims, num_groups);
  return {.weight = ones_if(affine, dims),
          .bias = zeros_if(affine, dims),
          .num_groups = num_groups,
          .eps = eps,
          .pytorch_compatible = pytorch_compatible};
}
array GroupNorm::operator()(const array& x) const {
  require<ShapeError>(x.ndim() >= 2 && num_groups > 0 && x.shape(-1) % num_groups == 0,
                      "[GroupNorm] x has shape {}: its channels do not make {} groups.",
                      text_of(x.shape()), num_groups);
  int64_t batch = x.shape(0), size = x.shape(-1) / num_groups;
  array y = x;
  if (pytorch_compatible) {
    y = transpose(reshape(x, {batch, -1, num_groups, size}), {0, 2, 1, 3});
    Shape apart = y.shape();
    y = fast::layer_norm(reshape(y, {batch, num_groups, -1}), std::nullopt, std::nullopt, eps);
    y = transpose(reshape(y, apart), {0, 2, 1, 3});
  } else {
    y = reshape(x, {batch, -1, num_groups});
    y = (y - mean(y, 1, true)) * rsqrt(var(y, 1, true) + Weak(eps));
  }
  return scaled(reshape(y, x.shape()), weight, bias);
}

BatchNorm BatchNorm::init(int64_t num_features, float eps, float momentum, bool affine,
                          bool track_running_stats) {
  check_eps("BatchNorm", eps);
  return {.weight = ones_if(affine, num_features),
          .bias = zeros_if(affine, num_features),
          .running_mean = zeros_if(track_running_stats, num_features),
          .running_var = ones_if(track_running_stats, num_features),
          .eps = eps,
          .momentum = momentum};
}

namespace {
void check_batch(const array& x) {
  require<ShapeError>(x.ndim() >= 2 && x.ndim() <= 4,
                      "[BatchNorm] x has shape {}: 2, 3 or 4 axes are needed, channels last.",
                      text_of(x.shape()));
}
array normalised(const BatchNorm& n, const array& x, const array& mean, const array& var) {
  return scaled((x - mean) * rsqrt(var + Weak(n.eps)), n.weight, n.bias);
}
}  // namespace

array BatchNorm::operator()(const array& x) const {
  check_batch(x);
  if (running_mean && running_var) return normalised(*this, x, *running_mean, *running_var);
  return normalised(*this, x, mean(x, all_but_last(x)), var(x, all_but_last(x)));
}

std::pair<array, BatchNorm> BatchNorm::train(const array& x) const {
  check_batch(x);
  require<ShapeError>(x.size() != static_cast<size_t>(x.shape(-1)),
                      "[BatchNorm] x has shape {}: training needs more than one value a channel.",
                      text_of(x.shape()));
  auto axes = all_but_last(x);
  array mu = mean(x, axes);
  BatchNorm next = *this;
  auto moved = [&](const array& from, const array& to) {
    return stop_gradient(Weak(1 - double{momentum}) * from + Weak(momentum) * to);
  };
  if (running_mean) next.running_mean = moved(*running_mean, mu);
  if (running_var) next.running_var = moved(*running_var, var(x, axes, false, 1));
  return {normalised(*this, x, mu, var(x, axes)), next};
}

}  // namespace tarn::nn
