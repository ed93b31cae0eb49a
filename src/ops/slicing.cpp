// Slices and their updates: boxes known when they are recorded, and boxes that begin at an array.
#include <algorithm>

#include "ops/movement.h"

namespace tarn {

using namespace ops;

namespace {

struct Box {
  Shape start, size, step;
};
// Python's rules for start:stop:step on an axis of size n.
Box resolve(const char* op, const Shape& shape, const Shape& start, const Shape& stop,
            const Shape& step) {
  require<ShapeError>(
      start.size() == shape.size() && stop.size() == shape.size() && step.size() == shape.size(),
      "[{}] {} starts, {} stops and {} strides for shape {}.", op, start.size(), stop.size(),
      step.size(), text_of(shape));
  Box box{Shape(shape.size()), Shape(shape.size()), step};
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t n = shape[i], d = step[i];
    require<ShapeError>(d != 0, "[{}] the stride of axis {} is 0.", op, i);
    auto clipped = [&](int64_t at) {
      if (at < 0) at += n;
      return d > 0 ? std::clamp<int64_t>(at, 0, n) : std::clamp<int64_t>(at, -1, n - 1);
    };
    int64_t a = clipped(start[i]);
    // With a negative step, a stop of -n - 1 or less means "past the first element".
    int64_t b = d < 0 && stop[i] < -n ? -1 : clipped(stop[i]);
    box.start[i] = a;
    box.size[i] = std::max<int64_t>(d > 0 ? (b - a + d - 1) / d : (a - b - d - 1) / -d, 0);
    if (box.size[i] == 0) box.start[i] = 0;
  }
  return box;
}

}  // namespace

array slice(const array& a, Shape start, Shape stop, Shape strides, StreamOrDevice s) {
  Box box = resolve("slice", a.shape(), start, stop, strides);
  bool ones = std::all_of(box.step.begin(), box.step.end(), [](auto d) { return d == 1; });
  if (ones && box.size == a.shape()) return a;
  return slice_of(a, std::move(box.start), std::move(box.size), std::move(box.step), s);
}
array slice(const array& a, std::initializer_list<int64_t> start, Shape stop, Shape strides,
            StreamOrDevice s) {
  return slice(a, Shape(start.begin(), start.end()), std::move(stop), std::move(strides), s);
}
array slice(const array& a, Shape start, Shape stop, StreamOrDevice s) {
  return slice(a, std::move(start), std::move(stop), Shape(a.ndim(), 1), s);
}
namespace {

// The axes that `start` names, and its elements as index arrays of no axes.
std::vector<array> starts_of(const char* op, const array& a, const array& start,
                             const std::vector<int>& axes, StreamOrDevice s) {
  require<ShapeError>(start.size() == axes.size() && start.ndim() <= 1,
                      "[{}] start has shape {}; it needs one index for each of {} axes.", op,
                      text_of(start.shape()), axes.size());
  require(issubdtype(start.dtype(), integer), "[{}] start is {}; it must be integers.", op,
          name_of(start.dtype()));
  normalize_axes(op, axes, a.ndim());
  array flat = flatten(start, s);
  std::vector<array> out;
  for (size_t i = 0; i < axes.size(); ++i) out.push_back(take(flat, static_cast<int>(i), s));
  return out;
}

}  // namespace

array slice(const array& a, const array& start, std::vector<int> axes, Shape slice_size,
            StreamOrDevice s) {
  return gather(a, starts_of("slice", a, start, axes, s), axes, slice_size, s);
}
array slice_update(const array& src, const array& update, const array& start, std::vector<int> axes,
                   StreamOrDevice s) {
  auto index = starts_of("slice_update", src, start, axes, s);
  require<ShapeError>(update.ndim() <= src.ndim(),
                      "[slice_update] update has shape {} and src {}: too many axes.",
                      text_of(update.shape()), text_of(src.shape()));
  // An axis that is not named is updated whole.
  Shape box = src.shape();
  for (int axis : axes) {
    auto at = static_cast<size_t>(normalize_axis("slice_update", axis, src.ndim()));
    size_t behind = src.ndim() - at;
    box[at] = behind <= update.ndim() ? update.shape()[update.ndim() - behind] : 1;
  }
  return scatter(src, index, broadcast_to(update, box, s), axes, s);
}

namespace {

// The box's old elements joined with the update: what has a derivative of its own is put in.
template <class Join>
array joined(const char* op, const array& src, const array& update, const Shape& start,
             const Shape& stop, const Shape& strides, Join join, StreamOrDevice s) {
  Box box = resolve(op, src.shape(), start, stop, strides);
  array old = slice_of(src, box.start, box.size, box.step, s);
  array met = join(old, broadcast_to(astype(update, src.dtype(), s), box.size, s), s);
  return update_slice(src, met, Update::set, std::move(box.start), std::move(box.step), s);
}
array placed(const char* op, Update mode, const array& src, const array& update, const Shape& start,
             const Shape& stop, const Shape& strides, StreamOrDevice s) {
  Box box = resolve(op, src.shape(), start, stop, strides);
  return update_slice(src, broadcast_to(update, box.size, s), mode, std::move(box.start),
                      std::move(box.step), s);
}

}  // namespace

array slice_update(const array& src, const array& update, Shape start, Shape stop, Shape strides,
                   StreamOrDevice s) {
  return placed("slice_update", Update::set, src, update, start, stop, strides, s);
}
array slice_update(const array& src, const array& update, std::initializer_list<int64_t> start,
                   Shape stop, StreamOrDevice s) {
  return slice_update(src, update, Shape(start.begin(), start.end()), std::move(stop), s);
}
array slice_update_add(const array& src, const array& update, Shape start, Shape stop,
                       Shape strides, StreamOrDevice s) {
  return placed("slice_update_add", Update::add, src, update, start, stop, strides, s);
}
array slice_update_prod(const array& src, const array& update, Shape start, Shape stop,
                        Shape strides, StreamOrDevice s) {
  return joined("slice_update_prod", src, update, start, stop, strides, multiply, s);
}
array slice_update_max(const array& src, const array& update, Shape start, Shape stop,
                       Shape strides, StreamOrDevice s) {
  return joined("slice_update_max", src, update, start, stop, strides, maximum, s);
}
array slice_update_min(const array& src, const array& update, Shape start, Shape stop,
                       Shape strides, StreamOrDevice s) {
  return joined("slice_update_min", src, update, start, stop, strides, minimum, s);
}
#define TARN_UNIT_STRIDES(name)                                                                  \
  array name(const array& src, const array& update, Shape start, Shape stop, StreamOrDevice s) { \
    return name(src, update, std::move(start), std::move(stop), Shape(src.ndim(), 1), s);        \
  }
TARN_UNIT_STRIDES(slice_update)
TARN_UNIT_STRIDES(slice_update_add)
TARN_UNIT_STRIDES(slice_update_prod)
TARN_UNIT_STRIDES(slice_update_max)
TARN_UNIT_STRIDES(slice_update_min)
#undef TARN_UNIT_STRIDES

}  // namespace tarn
