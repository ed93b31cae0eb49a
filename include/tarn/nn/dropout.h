// Dropout: f(x, key) while training, f(x), which is x, when evaluating. Srivastava et al. 2014.
#pragma once

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

// Each element is zero with probability p, else 1 / (1 - p) times as large. Calls throw ValueError
// unless p is in [0, 1).
struct Dropout {
  float p = 0.5f;
  static constexpr bool takes_key = true;
  TARN_FIELDS()
  array operator()(const array& x, const array& key) const;
  array operator()(const array& x) const { return x; }
};
// Whole channels: x (N, H, W, C) or (H, W, C).
struct Dropout2d {
  float p = 0.5f;
  static constexpr bool takes_key = true;
  TARN_FIELDS()
  array operator()(const array& x, const array& key) const;
  array operator()(const array& x) const { return x; }
};
// Whole channels: x (N, D, H, W, C) or (D, H, W, C).
struct Dropout3d {
  float p = 0.5f;
  static constexpr bool takes_key = true;
  TARN_FIELDS()
  array operator()(const array& x, const array& key) const;
  array operator()(const array& x) const { return x; }
};

}  // namespace tarn::nn
