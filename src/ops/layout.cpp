// The public functions of shape and layout.
#include "tarn/ops/layout.h"

#include <algorithm>
#include <numeric>

#include "ops/compound.h"
#include "ops/movement.h"

namespace tarn {

using namespace ops;

namespace {

int64_t count(const Shape& shape) {
  int64_t n = 1;
  for (auto d : shape) n *= d;
  return n;
}
Axes all_axes(size_t n) {
  Axes axes(n);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

}  // namespace

namespace ops {
array slice_of(const array& a, Shape start, Shape size, Shape step, StreamOrDevice s) {
  return record(op_of<Slice>, Slice::P{std::move(start), std::move(size), std::move(step)}, {a}, s);
}
array update_slice(const array& src, const array& update, Update mode, Shape start, Shape step,
                   StreamOrDevice s) {
  return record(op_of<SliceUpdate>, SliceUpdate::P{mode, std::move(step), std::move(start)},
                {src, astype(update, src.dtype(), s)}, s);
}
array alias(const array& a, bool stop) { return record(op_of<Alias>, Alias::P{stop}, {a}, {}); }
}  // namespace ops

array stop_gradient(const array& a, StreamOrDevice) { return alias(a, true); }
std::vector<array> depends(const std::vector<array>& inputs,
                           const std::vector<array>& dependencies) {
  if (dependencies.empty()) return inputs;
  std::vector<array> out;
  for (const auto& a : inputs) {
    std::vector<array> in{a};
    in.insert(in.end(), dependencies.begin(), dependencies.end());
    out.push_back(record(op_of<Depends>, Depends::P{}, std::move(in), a.shape(), a.dtype(), {}));
  }
  return out;
}

array reshape(const array& a, Shape shape, StreamOrDevice s) {
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      require<ShapeError>(unknown < 0, "[reshape] shape {} has -1 twice.", text_of(shape));
      unknown = static_cast<int64_t>(i);
    } else {
      require<ShapeError>(shape[i] >= 0, "[reshape] shape {} has a negative size.", text_of(shape));
      known *= shape[i];
    }
  }
  auto size = static_cast<int64_t>(a.size());
  if (unknown >= 0) {
    require<ShapeError>(known > 0 && size % known == 0,
                        "[reshape] {} elements of shape {} do not divide into shape {}.", size,
                        text_of(a.shape()), text_of(shape));
    shape[static_cast<size_t>(unknown)] = size / known;
  }
  require<ShapeError>(count(shape) == size,
                      "[reshape] shape {} has {} elements, shape {} holds {}.", text_of(a.shape()),
                      size, text_of(shape), count(shape));
  if (shape == a.shape()) return a;
  return record(op_of<Reshape>, Reshape::P{shape}, {a}, shape, a.dtype(), s);
}
array unflatten(const array& a, int axis, Shape shape, StreamOrDevice s) {
  auto at = static_cast<size_t>(normalize_axis("unflatten", axis, a.ndim()));
  require<ShapeError>(!shape.empty(), "[unflatten] the new shape is empty.");
  Shape whole(a.shape().begin(), a.shape().begin() + at);
  auto hole = std::find(shape.begin(), shape.end(), -1);
  if (hole != shape.end()) {
    int64_t known = -count(shape), size = a.shape()[at];
    require<ShapeError>(known > 0 && size % known == 0,
                        "[unflatten] axis of size {} does not divide into {}.", size,
                        text_of(shape));
    *hole = size / known;
  }
  whole.insert(whole.end(), shape.begin(), shape.end());
  whole.insert(whole.end(), a.shape().begin() + at + 1, a.shape().end());
  return reshape(a, whole, s);
}
array flatten(const array& a, int start_axis, int end_axis, StreamOrDevice s) {
  if (a.ndim() == 0) return reshape(a, {1}, s);
  auto from = static_cast<size_t>(normalize_axis("flatten", start_axis, a.ndim()));
  auto to = static_cast<size_t>(normalize_axis("flatten", end_axis, a.ndim()));
  require<ShapeError>(from <= to, "[flatten] start_axis {} comes after end_axis {}.", start_axis,
                      end_axis);
  Shape shape(a.shape().begin(), a.shape().begin() + from);
  shape.push_back(count(Shape(a.shape().begin() + from, a.shape().begin() + to + 1)));
  shape.insert(shape.end(), a.shape().begin() + to + 1, a.shape().end());
  return reshape(a, shape, s);
}
array flatten(const array& a, StreamOrDevice s) { return flatten(a, 0, -1, s); }

array squeeze(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  Axes drop = normalize_axes("squeeze", axes, a.ndim());
  Shape shape;
  for (size_t i = 0; i < a.ndim(); ++i) {
    bool dropped = std::find(drop.begin(), drop.end(), static_cast<int>(i)) != drop.end();
    require<ShapeError>(!dropped || a.shape()[i] == 1,
                        "[squeeze] axis {} of shape {} has size {}, not 1.", i, text_of(a.shape()),
                        a.shape()[i]);
    if (!dropped) shape.push_back(a.shape()[i]);
  }
  return reshape(a, shape, s);
}
array squeeze(const array& a, int axis, StreamOrDevice s) {
  return squeeze(a, std::vector<int>{axis}, s);
}
array squeeze(const array& a, StreamOrDevice s) {
  Shape shape;
  for (auto d : a.shape())
    if (d != 1) shape.push_back(d);
  return reshape(a, shape, s);
}
array expand_dims(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  size_t n = a.ndim() + axes.size();
  Axes added = normalize_axes("expand_dims", axes, n);
  Shape shape;
  for (size_t i = 0, next = 0; i < n; ++i) {
    bool is_new = std::find(added.begin(), added.end(), static_cast<int>(i)) != added.end();
    shape.push_back(is_new ? 1 : a.shape()[next++]);
  }
  return reshape(a, shape, s);
}
array expand_dims(const array& a, int axis, StreamOrDevice s) {
  return expand_dims(a, std::vector<int>{axis}, s);
}

array transpose(const array& a, std::vector<int> axes, StreamOrDevice s) {
  require<ShapeError>(axes.size() == a.ndim(), "[transpose] {} axes for an array with {}.",
                      axes.size(), a.ndim());
  normalize_axes("transpose", axes, a.ndim());
  Axes order;
  bool same = true;
  for (size_t i = 0; i < axes.size(); ++i) {
    order.push_back(normalize_axis("transpose", axes[i], a.ndim()));
    same &= order.back() == static_cast<int>(i);
  }
  return same ? a : record(op_of<Transpose>, Transpose::P{order}, {a}, s);
}
array transpose(const array& a, std::initializer_list<int> axes, StreamOrDevice s) {
  return transpose(a, std::vector<int>(axes), s);
}
array transpose(const array& a, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int>(axes.size() - 1 - i);
  return transpose(a, std::move(axes), s);
}
array swapaxes(const array& a, int axis1, int axis2, StreamOrDevice s) {
  Axes order = all_axes(a.ndim());
  auto i = static_cast<size_t>(normalize_axis("swapaxes", axis1, a.ndim()));
  auto j = static_cast<size_t>(normalize_axis("swapaxes", axis2, a.ndim()));
  std::swap(order[i], order[j]);
  return transpose(a, std::vector<int>(order.begin(), order.end()), s);
}
array matrix_transpose(const array& a, StreamOrDevice s) {
  require<ShapeError>(a.ndim() >= 2, "[matrix_transpose] a has shape {}; it needs at least 2 axes.",
                      text_of(a.shape()));
  return swapaxes(a, -1, -2, s);
}
array moveaxis(const array& a, int source, int destination, StreamOrDevice s) {
  int from = normalize_axis("moveaxis", source, a.ndim());
  int to = normalize_axis("moveaxis", destination, a.ndim());
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(a.ndim()); ++i)
    if (i != from) order.push_back(i);
  order.insert(order.begin() + to, from);
  return transpose(a, std::move(order), s);
}

array broadcast_to(const array& a, const Shape& shape, StreamOrDevice s) {
  if (a.shape() == shape) return a;
  bool fits = a.ndim() <= shape.size();
  for (size_t i = 0; fits && i < a.ndim(); ++i) {
    auto d = a.shape()[a.ndim() - 1 - i], to = shape[shape.size() - 1 - i];
    fits = d == to || d == 1;
  }
  require<ShapeError>(fits, "[broadcast_to] shape {} does not broadcast to {}.", text_of(a.shape()),
                      text_of(shape));
  return record(op_of<BroadcastTo>, BroadcastTo::P{shape}, {a}, shape, a.dtype(), s);
}
std::vector<array> broadcast_arrays(const std::vector<array>& inputs, StreamOrDevice s) {
  Shape shape;
  for (const auto& a : inputs) shape = broadcast_for("broadcast_arrays", shape, a.shape());
  std::vector<array> out;
  for (const auto& a : inputs) out.push_back(broadcast_to(a, shape, s));
  return out;
}

array contiguous(const array& a, bool, StreamOrDevice s) { return copy(a, s); }
array as_strided(const array& a, Shape shape, Strides strides, size_t offset, StreamOrDevice s) {
  require<ShapeError>(shape.size() == strides.size(), "[as_strided] {} sizes and {} strides.",
                      shape.size(), strides.size());
  auto low = static_cast<int64_t>(offset), high = low;
  bool empty = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    require<ShapeError>(shape[i] >= 0, "[as_strided] shape {} has a negative size.",
                        text_of(shape));
    empty |= shape[i] == 0;
    (strides[i] < 0 ? low : high) += (shape[i] - 1) * strides[i];
  }
  require<ShapeError>(empty || (low >= 0 && high < static_cast<int64_t>(a.size())),
                      "[as_strided] elements {} to {} of an array with {}.", low, high, a.size());
  return record(op_of<AsStrided>,
                AsStrided::P{std::move(shape), std::move(strides), static_cast<int64_t>(offset)},
                {copy(a, s)}, s);
}
array view(const array& a, Dtype dtype, StreamOrDevice s) {
  if (a.dtype() == dtype) return a;
  require<ShapeError>(a.ndim() > 0 || a.itemsize() == dtype.size,
                      "[view] a 0-d {} array has no axis to hold {} elements.", name_of(a.dtype()),
                      name_of(dtype));
  if (a.ndim() > 0)
    require<ShapeError>(a.shape(-1) * int64_t{a.dtype().size} % dtype.size == 0,
                        "[view] the last axis of shape {} has {} bytes, which {} does not divide.",
                        text_of(a.shape()), a.shape(-1) * int64_t{a.dtype().size}, name_of(dtype));
  return record(op_of<ViewAs>, ViewAs::P{dtype}, {a}, s);
}

array array::ArrayIterator::operator*() const {
  Shape start(of->ndim(), 0), stop = of->shape();
  require<IndexError>(row >= 0 && row < of->shape(0), "[iterate] row {} of shape {}.", row,
                      text_of(of->shape()));
  start[0] = row;
  stop[0] = row + 1;
  return squeeze(slice(*of, start, stop), 0);
}

array flip(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  Shape start(a.ndim(), 0), step(a.ndim(), 1);
  for (int axis : normalize_axes("flip", axes, a.ndim())) {
    auto i = static_cast<size_t>(axis);
    step[i] = -1;
    start[i] = std::max<int64_t>(a.shape()[i] - 1, 0);
  }
  return slice_of(a, start, a.shape(), step, s);
}
array flip(const array& a, int axis, StreamOrDevice s) {
  return flip(a, std::vector<int>{axis}, s);
}
array flip(const array& a, StreamOrDevice s) {
  Axes axes = all_axes(a.ndim());
  return flip(a, std::vector<int>(axes.begin(), axes.end()), s);
}

array repeat(const array& arr, int repeats, int axis, StreamOrDevice s) {
  auto at = static_cast<size_t>(normalize_axis("repeat", axis, arr.ndim()));
  require(repeats >= 0, "[repeat] {} repeats.", repeats);
  Shape wide = arr.shape(), flat = arr.shape();
  wide.insert(wide.begin() + at + 1, repeats);
  flat[at] *= repeats;
  return reshape(broadcast_to(expand_dims(arr, static_cast<int>(at) + 1, s), wide, s), flat, s);
}
array repeat(const array& arr, int repeats, StreamOrDevice s) {
  return repeat(flatten(arr, s), repeats, 0, s);
}
array tile(const array& arr, std::vector<int> reps, StreamOrDevice s) {
  Shape shape = arr.shape();
  while (reps.size() < shape.size()) reps.insert(reps.begin(), 1);
  while (shape.size() < reps.size()) shape.insert(shape.begin(), 1);
  Shape narrow, wide, flat;
  for (size_t i = 0; i < shape.size(); ++i) {
    require(reps[i] >= 0, "[tile] {} repetitions.", reps[i]);
    for (int64_t d : {int64_t{1}, shape[i]}) narrow.push_back(d);
    for (int64_t d : {int64_t{reps[i]}, shape[i]}) wide.push_back(d);
    flat.push_back(reps[i] * shape[i]);
  }
  return reshape(broadcast_to(reshape(arr, narrow, s), wide, s), flat, s);
}

namespace {
// Every element moved `shift` places along one axis, around the end.
array rolled(const array& a, int64_t shift, int axis, StreamOrDevice s) {
  auto i = static_cast<size_t>(axis);
  int64_t n = a.shape()[i];
  int64_t cut = n == 0 ? 0 : ((-shift % n) + n) % n;
  if (cut == 0) return a;
  Shape zero(a.ndim(), 0), end = a.shape(), from = zero, to = end;
  from[i] = cut;
  to[i] = cut;
  return concatenate({slice(a, from, end, s), slice(a, zero, to, s)}, axis, s);
}
int64_t total(const Shape& shift) {
  return std::accumulate(shift.begin(), shift.end(), int64_t{0});
}
}  // namespace

array roll(const array& a, const Shape& shift, const std::vector<int>& axes, StreamOrDevice s) {
  require<ShapeError>(shift.size() == 1 || axes.size() == 1 || shift.size() == axes.size(),
                      "[roll] {} shifts for {} axes; give one for all or one for each.",
                      shift.size(), axes.size());
  array out = a;
  for (size_t i = 0; i < std::max(shift.size(), axes.size()); ++i) {
    int axis = normalize_axis("roll", axes[axes.size() == 1 ? 0 : i], a.ndim());
    out = rolled(out, shift[shift.size() == 1 ? 0 : i], axis, s);
  }
  return out;
}
array roll(const array& a, int shift, const std::vector<int>& axes, StreamOrDevice s) {
  return roll(a, Shape{shift}, axes, s);
}
array roll(const array& a, int shift, int axis, StreamOrDevice s) {
  return roll(a, Shape{shift}, std::vector<int>{axis}, s);
}
array roll(const array& a, const Shape& shift, int axis, StreamOrDevice s) {
  return roll(a, Shape{total(shift)}, std::vector<int>{axis}, s);
}
array roll(const array& a, int shift, StreamOrDevice s) {
  return reshape(rolled(flatten(a, s), shift, 0, s), a.shape(), s);
}
array roll(const array& a, const Shape& shift, StreamOrDevice s) {
  return reshape(rolled(flatten(a, s), total(shift), 0, s), a.shape(), s);
}

array diagonal(const array& a, int offset, int axis1, int axis2, StreamOrDevice s) {
  require<ShapeError>(a.ndim() >= 2, "[diagonal] needs at least 2 axes, got shape {}.",
                      text_of(a.shape()));
  int i = normalize_axis("diagonal", axis1, a.ndim()),
      j = normalize_axis("diagonal", axis2, a.ndim());
  require<ShapeError>(i != j, "[diagonal] axis1 and axis2 are both {}.", i);
  std::vector<int> order;
  for (int k = 0; k < static_cast<int>(a.ndim()); ++k)
    if (k != i && k != j) order.push_back(k);
  order.push_back(i);
  order.push_back(j);
  array m = transpose(a, order, s);
  int64_t rows = m.shape(-2), columns = m.shape(-1);
  int64_t r0 = std::max(-offset, 0), c0 = std::max(offset, 0);
  int64_t n = std::max<int64_t>(std::min(rows - r0, columns - c0), 0);
  Shape lead(m.shape().begin(), m.shape().end() - 2), flat = lead;
  flat.push_back(rows * columns);
  array index = add(multiply(arange(0.0, double(n), int64, s), array(columns + 1, int64), s),
                    array(r0 * columns + c0, int64), s);
  return take(reshape(m, flat, s), index, -1, s);
}
array diag(const array& a, int k, StreamOrDevice s) {
  if (a.ndim() == 2) return diagonal(a, k, 0, 1, s);
  require<ShapeError>(a.ndim() == 1, "[diag] needs 1 or 2 axes, got shape {}.", text_of(a.shape()));
  int64_t n = a.shape(0), m = n + std::abs(k);
  array start = array(k >= 0 ? int64_t{k} : -int64_t{k} * m, int64);
  array index = add(multiply(arange(0.0, double(n), int64, s), array(m + 1, int64), s), start, s);
  array flat = put_along_axis(zeros(Shape{m * m}, a.dtype(), s), index, a, 0, s);
  return reshape(flat, {m, m}, s);
}

array atleast_1d(const array& a, StreamOrDevice s) {
  return a.ndim() >= 1 ? a : reshape(a, {1}, s);
}
array atleast_2d(const array& a, StreamOrDevice s) {
  if (a.ndim() >= 2) return a;
  return reshape(a, Shape{1, static_cast<int64_t>(a.size())}, s);
}
array atleast_3d(const array& a, StreamOrDevice s) {
  if (a.ndim() >= 3) return a;
  if (a.ndim() == 2) return reshape(a, Shape{a.shape(0), a.shape(1), 1}, s);
  return reshape(a, Shape{1, static_cast<int64_t>(a.size()), 1}, s);
}

#define TARN_EACH(name)                                                    \
  std::vector<array> name(const std::vector<array>& a, StreamOrDevice s) { \
    std::vector<array> out;                                                \
    for (const auto& x : a) out.push_back(name(x, s));                     \
    return out;                                                            \
  }
TARN_EACH(atleast_1d)
TARN_EACH(atleast_2d)
TARN_EACH(atleast_3d)
#undef TARN_EACH

array number_of_elements(const array& a, const std::vector<int>& axes, bool inverted, Dtype dtype,
                         StreamOrDevice s) {
  return element_count("number_of_elements", a, axes, {.inverted = inverted, .dtype = dtype}, s);
}

}  // namespace tarn
