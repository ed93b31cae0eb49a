// Indices that a kernel checks.
#pragma once

#include "cuda/fault.h"

namespace tarn::cuda {

// An index that is outside its axis is written down as a fault, which the evaluation throws, and
// counts as 0 meanwhile. `taken` elements are read from it on.
__device__ inline int64_t checked(int64_t i, int64_t size, int64_t taken, int axis, Fault* fault) {
  int64_t at = i < 0 ? i + size : i;
  if (at >= 0 && at + taken <= size) return at;
  // Among the card's threads: the host reads when they are done, and its memory takes no more.
  if (atomicCAS(&fault->met, 0, 1) == 0) fault->index = i, fault->size = size, fault->axis = axis;
  return 0;
}

}  // namespace tarn::cuda
