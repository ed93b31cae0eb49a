// Shape and layout: the same elements, arranged or chosen anew. Axes may be negative; a bad axis
// or a shape that does not fit throws ShapeError.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

// One size may be -1.
array reshape(const array& a, Shape shape, StreamOrDevice s = {});
array unflatten(const array& a, int axis, Shape shape, StreamOrDevice s = {});
array flatten(const array& a, int start_axis, int end_axis = -1, StreamOrDevice s = {});
array flatten(const array& a, StreamOrDevice s = {});
array squeeze(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array squeeze(const array& a, int axis, StreamOrDevice s = {});
array squeeze(const array& a, StreamOrDevice s = {});
array expand_dims(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array expand_dims(const array& a, int axis, StreamOrDevice s = {});
array flip(const array& a, const std::vector<int>& axes, StreamOrDevice s = {});
array flip(const array& a, int axis, StreamOrDevice s = {});
array flip(const array& a, StreamOrDevice s = {});
array repeat(const array& arr, int repeats, int axis, StreamOrDevice s = {});
array repeat(const array& arr, int repeats, StreamOrDevice s = {});
array tile(const array& arr, std::vector<int> reps, StreamOrDevice s = {});
array transpose(const array& a, std::vector<int> axes, StreamOrDevice s = {});
array transpose(const array& a, std::initializer_list<int> axes, StreamOrDevice s = {});
array transpose(const array& a, StreamOrDevice s = {});
array swapaxes(const array& a, int axis1, int axis2, StreamOrDevice s = {});
// The last two axes swapped.
array matrix_transpose(const array& a, StreamOrDevice s = {});
array moveaxis(const array& a, int source, int destination, StreamOrDevice s = {});
// mode "constant"; "edge": the outermost element again and again; "reflect": the elements in
// reverse, without the outermost; "symmetric": the same with it.
array pad(const array& a, const std::vector<int>& axes, const Shape& low_pad_size,
          const Shape& high_pad_size, const array& pad_value = array(0),
          const std::string& mode = "constant", StreamOrDevice s = {});
array pad(const array& a, const std::vector<std::pair<int, int>>& pad_width,
          const array& pad_value = array(0), const std::string& mode = "constant",
          StreamOrDevice s = {});
array pad(const array& a, const std::pair<int, int>& pad_width, const array& pad_value = array(0),
          const std::string& mode = "constant", StreamOrDevice s = {});
array pad(const array& a, int pad_width, const array& pad_value = array(0),
          const std::string& mode = "constant", StreamOrDevice s = {});
array broadcast_to(const array& a, const Shape& shape, StreamOrDevice s = {});
std::vector<array> broadcast_arrays(const std::vector<array>& inputs, StreamOrDevice s = {});
array diagonal(const array& a, int offset = 0, int axis1 = 0, int axis2 = 1, StreamOrDevice s = {});
array diag(const array& a, int k = 0, StreamOrDevice s = {});
array atleast_1d(const array& a, StreamOrDevice s = {});
array atleast_2d(const array& a, StreamOrDevice s = {});
array atleast_3d(const array& a, StreamOrDevice s = {});
std::vector<array> atleast_1d(const std::vector<array>& a, StreamOrDevice s = {});
std::vector<array> atleast_2d(const std::vector<array>& a, StreamOrDevice s = {});
std::vector<array> atleast_3d(const std::vector<array>& a, StreamOrDevice s = {});
// The product of a's sizes on `axes`, or one over it, as a 0-d array.
array number_of_elements(const array& a, const std::vector<int>& axes, bool inverted,
                         Dtype dtype = int32, StreamOrDevice s = {});
// Elements that leave at the end of an axis come back at its start. Without an axis the whole array
// is one line; several shifts of one axis add up.
array roll(const array& a, int shift, StreamOrDevice s = {});
array roll(const array& a, const Shape& shift, StreamOrDevice s = {});
array roll(const array& a, int shift, int axis, StreamOrDevice s = {});
array roll(const array& a, int shift, const std::vector<int>& axes, StreamOrDevice s = {});
array roll(const array& a, const Shape& shift, int axis, StreamOrDevice s = {});
array roll(const array& a, const Shape& shift, const std::vector<int>& axes, StreamOrDevice s = {});
// A view that steps through a row-contiguous array at will. Throws ShapeError when it would leave
// the array's memory.
array as_strided(const array& a, Shape shape, Strides strides, size_t offset,
                 StreamOrDevice s = {});
// The same elements, row-contiguous.
array contiguous(const array& a, bool allow_col_major = false, StreamOrDevice s = {});
array copy(const array& a, StreamOrDevice s = {});
// The same bits as another dtype; the last axis grows or shrinks by the ratio of the sizes.
array view(const array& a, Dtype dtype, StreamOrDevice s = {});

// Python's slices: negative starts count from the end, out-of-range ends are clipped.
array slice(const array& a, Shape start, Shape stop, Shape strides, StreamOrDevice s = {});
array slice(const array& a, std::initializer_list<int64_t> start, Shape stop, Shape strides,
            StreamOrDevice s = {});
array slice(const array& a, Shape start, Shape stop, StreamOrDevice s = {});
// A box of `slice_size` that begins where `start`, one integer for each of `axes`, says when it is
// evaluated. Throws IndexError then when the box does not lie inside a.
array slice(const array& a, const array& start, std::vector<int> axes, Shape slice_size,
            StreamOrDevice s = {});
// A new array that equals src except where update (which broadcasts) is put in, added to it,
// multiplied with it, or kept where it is larger or smaller.
#define TARN_SLICE_UPDATE(name)                                                             \
  array name(const array& src, const array& update, Shape start, Shape stop, Shape strides, \
             StreamOrDevice s = {});                                                        \
  array name(const array& src, const array& update, Shape start, Shape stop, StreamOrDevice s = {});
TARN_SLICE_UPDATE(slice_update)
TARN_SLICE_UPDATE(slice_update_add)
TARN_SLICE_UPDATE(slice_update_prod)
TARN_SLICE_UPDATE(slice_update_max)
TARN_SLICE_UPDATE(slice_update_min)
#undef TARN_SLICE_UPDATE
array slice_update(const array& src, const array& update, std::initializer_list<int64_t> start,
                   Shape stop, StreamOrDevice s = {});
array slice_update(const array& src, const array& update, const array& start, std::vector<int> axes,
                   StreamOrDevice s = {});

std::vector<array> split(const array& a, int num_splits, int axis, StreamOrDevice s = {});
std::vector<array> split(const array& a, int num_splits, StreamOrDevice s = {});
std::vector<array> split(const array& a, const Shape& indices, int axis, StreamOrDevice s = {});
std::vector<array> split(const array& a, const Shape& indices, StreamOrDevice s = {});
std::vector<array> unstack(const array& a, int axis, StreamOrDevice s = {});
std::vector<array> unstack(const array& a, StreamOrDevice s = {});
array concatenate(std::vector<array> arrays, int axis, StreamOrDevice s = {});
array concatenate(std::vector<array> arrays, StreamOrDevice s = {});
array stack(const std::vector<array>& arrays, int axis, StreamOrDevice s = {});
array stack(const std::vector<array>& arrays, StreamOrDevice s = {});

// The value, without its history: derivatives stop here.

// The same value; derivatives stop here.
array stop_gradient(const array& a, StreamOrDevice s = {});
// The inputs, each computed after all of `dependencies`.
std::vector<array> depends(const std::vector<array>& inputs,
                           const std::vector<array>& dependencies);

}  // namespace tarn
