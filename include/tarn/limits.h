// What the numbers of a dtype can be.
#pragma once

#include <cstdint>

#include "tarn/dtype.h"

namespace tarn {

// Of a float dtype; for complex64, of its parts. Throws ValueError for others.
struct finfo {
  explicit finfo(Dtype dtype);
  Dtype dtype{};
  int bits = 0;
  double min = 0, max = 0;
  double eps = 0;  // the distance from 1 to the next number
  double smallest_normal = 0;
};

// Of an integer dtype. Throws ValueError for others.
struct iinfo {
  explicit iinfo(Dtype dtype);
  Dtype dtype{};
  int bits = 0;
  int64_t min = 0;
  uint64_t max = 0;
};

}  // namespace tarn
