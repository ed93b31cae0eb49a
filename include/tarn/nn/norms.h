// Normalising layers. Channels come last. weight and bias are absent without `affine`.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

// x / sqrt(mean(x^2) + eps) * weight over the last axis. Zhang, Sennrich 2019.
struct RMSNorm {
  array weight{};
  float eps = 1e-5f;
  int64_t size = 0;
  TARN_FIELDS(weight)
  // The shape only; loading fills in the numbers.
  static RMSNorm of(int64_t size, float eps = 1e-5f);
  static RMSNorm init(int64_t size, float eps = 1e-5f);
  array operator()(const array& x) const;
};

// (x - mean) / sqrt(var + eps) * weight + bias over the last axis. Ba et al. 2016.
struct LayerNorm {
  std::optional<array> weight{}, bias{};
  float eps = 1e-5f;
  TARN_FIELDS(weight, bias)
  static LayerNorm init(int64_t dims, float eps = 1e-5f, bool affine = true, bool bias = true);
  array operator()(const array& x) const;
};

// Each channel of each sample over its positions: x (N, ..., C). Ulyanov et al. 2016.
struct InstanceNorm {
  std::optional<array> weight{}, bias{};
  float eps = 1e-5f;
  TARN_FIELDS(weight, bias)
  static InstanceNorm init(int64_t dims, float eps = 1e-5f, bool affine = false);
  array operator()(const array& x) const;
};

// Groups of channels of each sample: x (N, ..., C). Group g is channels g, g + num_groups, ..., or,
// pytorch_compatible, the C / num_groups channels from g * C / num_groups on. Wu, He 2018.
struct GroupNorm {
  std::optional<array> weight{}, bias{};
  int64_t num_groups = 1;
  float eps = 1e-5f;
  bool pytorch_compatible = false;
  TARN_FIELDS(weight, bias)
  static GroupNorm init(int64_t num_groups, int64_t dims, float eps = 1e-5f, bool affine = true,
                        bool pytorch_compatible = false);
  array operator()(const array& x) const;
};

// Each channel over batch and positions: x (N, C), (N, L, C) or (N, H, W, C). Ioffe, Szegedy 2015.
// Nothing changes behind your back: `train` returns the layer with the next running statistics,
//   auto [y, next] = norm.train(x);  norm = next;
// which a loss hands on beside its value. running_mean and running_var do not train.
struct BatchNorm {
  std::optional<array> weight{}, bias{}, running_mean{}, running_var{};
  float eps = 1e-5f, momentum = 0.1f;
  TARN_FIELDS(weight, bias, running_mean, running_var)
  bool trains(std::string_view field) const { return field == "weight" || field == "bias"; }
  static BatchNorm init(int64_t num_features, float eps = 1e-5f, float momentum = 0.1f,
                        bool affine = true, bool track_running_stats = true);
  // Evaluation: by the running statistics, or, without them, those of x.
  array operator()(const array& x) const;
  // Training: by the statistics of x. Throws ShapeError for one value a channel.
  std::pair<array, BatchNorm> train(const array& x) const;
};

}  // namespace tarn::nn
