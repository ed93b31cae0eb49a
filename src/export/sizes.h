// Which sizes of a function's arguments may vary.
#pragma once

#include <vector>

#include "transforms/record.h"

namespace tarn {

// The classes of Trace. `recording` is what `fun` does for its arguments; `fun` is called for other
// sizes, and a size is free when its calls there are those that the recording has when resized.
std::vector<std::vector<int>> free_sizes(const ArraysFunction& fun, const Recording& recording);

// Whether `now` differs from `base` in free sizes only, and as they may.
bool fits(const std::vector<ArraySpec>& base, const std::vector<std::vector<int>>& classes,
          const std::vector<ArraySpec>& now);

}  // namespace tarn
