// More, or fewer, positions between those that are there.
#pragma once

#include <cstdint>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

// x (N, positions..., C) with int(factor * n) positions for n. `linear` weighs the 2 nearest
// positions of an axis, `cubic` the 4 nearest (Keys 1981, a = -0.75). align_corners keeps the first
// and last positions where they are; otherwise positions are the middles of equal cells.
// `antialias` widens the filter when shrinking (cubic: a = -0.5), so that no position is left out;
// it goes with linear or cubic, and not with align_corners. Calls throw ValueError for settings
// that do not go together, ShapeError for an x without positions.
struct Upsample {
  enum class Mode : uint8_t { nearest, linear, cubic };
  std::vector<double> scale_factor{1.0};  // one for each axis of positions, or one for all
  Mode mode = Mode::nearest;
  bool align_corners = false, antialias = false;
  TARN_FIELDS()
  array operator()(const array& x) const;
};

}  // namespace tarn::nn
