// What most layers' weights are drawn from.
#pragma once

#include <cmath>

#include "base/require.h"
#include "tarn/random.h"

namespace tarn::nn {

// Uniform numbers within 1 / sqrt(fan).
inline array within_root(const char* layer, const Shape& shape, int64_t fan, const array& key) {
  require(fan > 0, "[{}] the size of an input is {}; it must be positive.", layer, fan);
  float limit = static_cast<float>(std::sqrt(1 / static_cast<double>(fan)));
  return random::uniform(-limit, limit, shape, float32, key);
}

}  // namespace tarn::nn
