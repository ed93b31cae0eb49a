#include "lm/models/rope_scaling.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace tarn::lm {

std::optional<array> scaled_periods(const std::optional<RopeScaling>& scaling, float theta,
                                    int64_t head_size) {
  if (!scaling || scaling->rope_type != "llama3") return std::nullopt;
  const auto& s = *scaling;
  auto old = static_cast<double>(s.original_max_position_embeddings);
  std::vector<float> periods;
  for (int64_t i = 0; i < head_size / 2; ++i) {
    double period = std::pow(double{theta}, 2.0 * double(i) / double(head_size));
    double wave = 2 * std::numbers::pi * period;
    double mix = (old / wave - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
    if (wave > old / s.low_freq_factor)
      period *= s.factor;
    else if (wave >= old / s.high_freq_factor)
      period /= (1 - mix) / s.factor + mix;
    periods.push_back(static_cast<float>(period));
  }
  return array(periods.begin(), Shape{head_size / 2});
}

}  // namespace tarn::lm
