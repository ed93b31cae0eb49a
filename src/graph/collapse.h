// Axes of the same elements, counted otherwise.
#pragma once

#include "tarn/shape.h"

namespace tarn {

// The same elements with axes merged where they lie row-contiguous to each other.
struct Collapsed {
  Shape shape{};
  Strides strides{};
};
inline Collapsed collapse(const Shape& shape, const Strides& strides) {
  Collapsed c;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    if (!c.shape.empty() && c.strides.back() == strides[i] * shape[i]) {
      c.shape.back() *= shape[i];
      c.strides.back() = strides[i];
    } else {
      c.shape.push_back(shape[i]);
      c.strides.push_back(strides[i]);
    }
  }
  return c;
}

// The strides of the axes before a matrix's two, as those of `rank` axes along which it is repeated
// where it has none or one of size 1.
inline Strides batch_strides(const Shape& shape, const Strides& strides, size_t rank) {
  Strides out(rank, 0);
  size_t n = shape.size() - 2;
  for (size_t i = 0; i < n; ++i)
    if (shape[i] != 1) out[rank - n + i] = strides[i];
  return out;
}

}  // namespace tarn
