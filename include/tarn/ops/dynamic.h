// Functions whose result has as many elements as the data says. They evaluate what decides the
// shape when they are called, so they are not lazy there, and they cannot be called on what has no
// value yet: inside vmap and compile they throw ValueError. The values they pick stay part of the
// graph and have derivatives. (Not in MLX.)
#pragma once

#include <vector>

#include "tarn/array.h"

namespace tarn {

// Where a is not zero: one int64 array of indices an axis, in row order. A 0-d array counts as one
// element.
std::vector<array> nonzero(const array& a, StreamOrDevice s = {});
// The same as rows: (count, a.ndim()), int64.
array argwhere(const array& a, StreamOrDevice s = {});
// NumPy's a[mask]: the elements where the bool mask is true, in row order. The mask has a's first
// axes; the result is (count, the other axes...).
array masked_select(const array& a, const array& mask, StreamOrDevice s = {});

// The distinct elements of an array, in rising order; NaNs count as equal.
struct Unique {
  array values{};   // (count,), a's dtype
  array indices{};  // (count,), int64: where each value stands first in a, flattened
  array inverse{};  // a's shape, int64: which value each element is
  array counts{};   // (count,), int64
};
Unique unique(const array& a, StreamOrDevice s = {});

}  // namespace tarn
