// What tests of products compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "tarn/tarn.h"

namespace tarn_test {

inline tarn::array normal(tarn::Shape shape, uint64_t seed) {
  return tarn::random::normal(std::move(shape), tarn::float32, 0, 1, tarn::random::key(seed));
}
inline std::vector<double> values(const tarn::array& a) {
  tarn::array wide = tarn::contiguous(tarn::astype(a, tarn::float64));
  wide.eval();
  const auto* from = wide.data<double>();
  return {from, from + wide.size()};
}
// The largest magnitude, found by no kernel; NaN where one is.
inline double largest(const tarn::array& a) {
  double most = 0;
  for (double x : values(a)) most = std::isnan(x) ? x : std::max(most, std::abs(x));
  return most;
}

}  // namespace tarn_test
