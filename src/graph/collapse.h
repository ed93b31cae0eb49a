// Fewer axes for the same elements.
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

}  // namespace tarn
