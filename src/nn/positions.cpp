#include "tarn/nn/positions.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "base/require.h"
#include "nn/weak.h"
#include "tarn/fast.h"

namespace tarn::nn {

array RoPE::operator()(const array& x, int offset) const {
  return fast::rope(x, dims, traditional, base, scale, offset);
}

array SinusoidalPositionalEncoding::operator()(const array& x) const {
  require(dims > 0 && dims % 2 == 0,
          "[SinusoidalPositionalEncoding] dims is {}; it must be positive and even.", dims);
  int half = dims / 2;
  std::vector<double> frequencies;
  for (int i = 0; i < half; ++i) {
    double down = half == 1 ? 1 : 1 - static_cast<double>(i) / (half - 1);
    double f = std::exp(down * (std::log(max_freq) - std::log(min_freq)) + std::log(min_freq));
    frequencies.push_back(full_turns ? f * 2 * std::numbers::pi : f);
  }
  Dtype as = x.dtype() == float64 ? float64 : float32;
  array y = expand_dims(x, -1) * array(frequencies.begin(), {half}, as);
  array both = cos_first ? concatenate({cos(y), sin(y)}, -1) : concatenate({sin(y), cos(y)}, -1);
  return both * Weak(scale.value_or(std::sqrt(2.0 / dims)));
}

namespace {
// 2^(-8/n), its square, and so on for n a power of two; else those of the power below and every
// other of the power above.
std::vector<double> head_slopes(int64_t n) {
  std::vector<double> slopes;
  int64_t power = 1;
  while (power * 2 <= n) power *= 2;
  for (int64_t i = 1; i <= power; ++i)
    slopes.push_back(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(power)));
  for (int64_t i = 1; static_cast<int64_t>(slopes.size()) < n; i += 2)
    slopes.push_back(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(2 * power)));
  return slopes;
}
}  // namespace

array ALiBi::slopes(int64_t heads, Dtype dtype) {
  require(heads > 0, "[ALiBi] there are {} heads; at least one is needed.", heads);
  auto numbers = head_slopes(heads);
  return array(numbers.begin(), {heads, 1, 1}, dtype);
}

array ALiBi::matrix(int64_t queries, int64_t keys, int64_t heads, int64_t offset, Dtype dtype) {
  auto from = static_cast<double>(offset);
  array q = arange(from, from + static_cast<double>(queries), float32);
  array k = arange(0, static_cast<double>(keys), float32);
  array distance = abs(expand_dims(q, -1) - expand_dims(k, 0));
  return astype(expand_dims(-distance * slopes(heads, dtype), 0), dtype);
}

array ALiBi::operator()(const array& scores, int64_t offset,
                        const std::optional<array>& mask) const {
  require<ShapeError>(scores.ndim() == 4,
                      "[ALiBi] scores have shape {}: (batch, heads, queries, keys) is needed.",
                      text_of(scores.shape()));
  array bias = matrix(scores.shape(2), scores.shape(3), scores.shape(1), offset, scores.dtype());
  return scores + (mask ? bias + *mask : bias);
}

}  // namespace tarn::nn
