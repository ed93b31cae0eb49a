// What tests of products compare with.
#pragma once

#include <cstdint>
#include <utility>

#include "tarn/tarn.h"

namespace tarn_test {

inline tarn::array normal(tarn::Shape shape, uint64_t seed) {
  return tarn::random::normal(std::move(shape), tarn::float32, 0, 1, tarn::random::key(seed));
}
// The largest magnitude; NaN where one is.
inline double largest(const tarn::array& a) {
  return tarn::max(tarn::abs(tarn::astype(a, tarn::float64))).item<double>();
}

}  // namespace tarn_test
