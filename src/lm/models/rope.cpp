#include "lm/models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/printable.h"
#include "base/require.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

double period_of(double theta, int64_t pair, int64_t dims) {
  return std::pow(theta, 2.0 * static_cast<double>(pair) / static_cast<double>(dims));
}

array row(const std::vector<double>& numbers) {
  std::vector<float> floats(numbers.begin(), numbers.end());
  return array(floats.begin(), Shape{static_cast<int64_t>(floats.size())});
}

double yarn_gain(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

}  // namespace

Rope::Rope(const Basis& basis, const RopeScaling& s, const Config& config) : basis_(basis) {
  config.require(
      basis.theta > 0 && basis.dims > 0 && basis.dims % 2 == 0 && basis.dims <= basis.head_size,
      fmt::format("{} of {} numbers of a head cannot be rotated with base {}.", basis.dims,
                  basis.head_size, basis.theta));
  config.require(s.factor > 0, fmt::format("the rope factor {} is not positive.", s.factor));
  std::string name = s.name();
  if (name == "linear")
    scale_ = 1 / s.factor;
  else if (name == "dynamic")
    stretch_ = double{s.factor};
  else if (name == "llama3")
    set_llama3(s, config);
  else if (name == "yarn")
    set_yarn(s);
  else if (name == "longrope" || name == "su")
    set_longrope(s, config);
  else
    config.require(name.empty() || name == "default",
                   fmt::format("rope type \"{}\" is not known; default, linear, dynamic, llama3, "
                               "yarn, longrope and su are.",
                               printable(name)));
}

// Llama 3.1: long waves are slowed by the factor, short ones kept, with a smooth change between.
void Rope::set_llama3(const RopeScaling& s, const Config& config) {
  auto old = static_cast<double>(s.original_max_position_embeddings.value_or(8192));
  double low = double{s.low_freq_factor}, high = double{s.high_freq_factor};
  config.require(
      low > 0 && high > low,
      fmt::format("rope factors {} (low) and {} (high): the high one must be larger.", low, high));
  std::vector<double> periods;
  for (int64_t i = 0; i < basis_.dims / 2; ++i) {
    double period = period_of(basis_.theta, i, basis_.dims);
    double wave = 2 * std::numbers::pi * period;
    double mix = (old / wave - low) / (high - low);
    if (wave > old / low)
      period *= double{s.factor};
    else if (wave >= old / high)
      period /= (1 - mix) / double{s.factor} + mix;
    periods.push_back(period);
  }
  periods_ = row(periods);
}

// Peng et al. 2023 (arXiv 2309.00071): a ramp over the pairs between two numbers of rotations.
void Rope::set_yarn(const RopeScaling& s) {
  auto old = static_cast<double>(s.original_max_position_embeddings.value_or(basis_.context));
  auto dims = static_cast<double>(basis_.dims);
  auto dim_of = [&](double rotations) {
    return dims * std::log(old / (rotations * 2 * std::numbers::pi)) / (2 * std::log(basis_.theta));
  };
  double low = dim_of(double{s.beta_fast}), high = dim_of(double{s.beta_slow});
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  std::vector<double> periods;
  for (int64_t i = 0; i < basis_.dims / 2; ++i) {
    double period = period_of(basis_.theta, i, basis_.dims);
    double slow = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    periods.push_back(1 / (slow / (double{s.factor} * period) + (1 - slow) / period));
  }
  periods_ = row(periods);
  bool both = s.mscale != 0 && s.mscale_all_dim != 0;
  double gain = both ? yarn_gain(double{s.factor}, double{s.mscale}) /
                           yarn_gain(double{s.factor}, double{s.mscale_all_dim})
                     : yarn_gain(double{s.factor}, 1);
  set_gain(s.attention_factor ? double{*s.attention_factor} : gain);
}

// Ding et al. 2024 (arXiv 2402.13753): factors for each pair, others beyond the first context.
void Rope::set_longrope(const RopeScaling& s, const Config& config) {
  auto pairs = static_cast<size_t>(basis_.dims / 2);
  config.require(s.short_factor.size() == pairs && s.long_factor.size() == pairs,
                 fmt::format("{} short and {} long rope factors: {} pairs need as many of each.",
                             s.short_factor.size(), s.long_factor.size(), pairs));
  near_ = s.original_max_position_embeddings.value_or(basis_.context);
  config.require(near_ > 1, fmt::format("the rope's first context is {}.", near_));
  std::vector<double> near, far;
  for (size_t i = 0; i < pairs; ++i) {
    double period = period_of(basis_.theta, static_cast<int64_t>(i), basis_.dims);
    near.push_back(double{s.short_factor[i]} * period);
    far.push_back(double{s.long_factor[i]} * period);
  }
  periods_ = row(near), far_periods_ = row(far);
  auto old = static_cast<double>(near_);
  double factor = s.factor != 1 ? double{s.factor} : static_cast<double>(basis_.context) / old;
  double gain = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(old));
  set_gain(s.attention_factor ? double{*s.attention_factor} : gain);
}

void Rope::set_gain(double gain) {
  if (gain == 1) return;
  std::vector<double> all(static_cast<size_t>(basis_.head_size), 1);
  std::fill_n(all.begin(), basis_.dims, gain);
  gain_ = row(all);
}

std::optional<array> Rope::periods_for(int64_t length) const {
  if (stretch_ == 0 || length <= basis_.context)
    return far_periods_ && length > near_ ? far_periods_ : periods_;
  // The base grows with the length ("NTK-aware" scaling).
  auto dims = static_cast<double>(basis_.dims);
  double ratio = static_cast<double>(length) / static_cast<double>(basis_.context);
  double theta = basis_.theta * std::pow(stretch_ * ratio - (stretch_ - 1), dims / (dims - 2));
  std::vector<double> all;
  for (int64_t i = 0; i < basis_.dims / 2; ++i) all.push_back(period_of(theta, i, basis_.dims));
  return row(all);
}

}  // namespace tarn::lm
