// What rows are computed in.
#pragma once

#include "tarn/ops/maths.h"

namespace tarn::ops {

// Row kernels compute in float32, or in float64 for float64 input.
inline array wide(const array& x) { return x.dtype() == float64 ? x : astype(x, float32); }

}  // namespace tarn::ops
