// Elements chosen by arrays of indices. Negative indices count from the end; an index outside its
// axis throws IndexError when the result is evaluated.
#pragma once

#include <vector>

#include "tarn/array.h"

namespace tarn {

// result[i..., k...] = a at `indices[j][i...]` on axis axes[j] plus k, for k inside slice_sizes.
array gather(const array& a, const std::vector<array>& indices, const std::vector<int>& axes,
             const Shape& slice_sizes, StreamOrDevice s = {});
array gather(const array& a, const array& indices, int axis, const Shape& slice_sizes,
             StreamOrDevice s = {});
array take(const array& a, const array& indices, int axis, StreamOrDevice s = {});
array take(const array& a, int index, int axis, StreamOrDevice s = {});
array take(const array& a, const array& indices, StreamOrDevice s = {});
array take(const array& a, int index, StreamOrDevice s = {});
array take_along_axis(const array& a, const array& indices, int axis, StreamOrDevice s = {});
array put_along_axis(const array& a, const array& indices, const array& values, int axis,
                     StreamOrDevice s = {});
array scatter_add_axis(const array& a, const array& indices, const array& values, int axis,
                       StreamOrDevice s = {});
// Functional: a new array with the updates put at the indices. For repeated indices scatter keeps
// the last update in row order.
array scatter(const array& a, const std::vector<array>& indices, const array& updates,
              const std::vector<int>& axes, StreamOrDevice s = {});
array scatter(const array& a, const array& indices, const array& updates, int axis,
              StreamOrDevice s = {});
// The same with updates that meet what is there, and each other, by sum, product, maximum, minimum.
#define TARN_SCATTER(name)                                                            \
  array name(const array& a, const std::vector<array>& indices, const array& updates, \
             const std::vector<int>& axes, StreamOrDevice s = {});                    \
  array name(const array& a, const array& indices, const array& updates, int axis,    \
             StreamOrDevice s = {});
TARN_SCATTER(scatter_add)
TARN_SCATTER(scatter_prod)
TARN_SCATTER(scatter_max)
TARN_SCATTER(scatter_min)
#undef TARN_SCATTER
// a with the elements of src, in row order, where the bool mask is true; the mask has a's first
// axes. Throws IndexError, when it is evaluated, if src has too few elements.
array masked_scatter(const array& a, const array& mask, const array& src, StreamOrDevice s = {});

}  // namespace tarn
