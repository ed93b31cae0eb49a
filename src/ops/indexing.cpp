// Gather and scatter: the rules and the public functions.
#include "tarn/ops/indexing.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "ops/movement.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

// 0, 1, ... as the batch index of index arrays shaped like `like`, which has the batch as axis 0.
array batch_index(const array& like, int64_t batch) {
  Shape shape(like.ndim(), 1);
  shape[0] = batch;
  return broadcast_to(reshape(arange(0.0, double(batch), int32), shape), like.shape());
}
Axes batch_axes(const Axes& axes) {
  Axes out{0};
  for (int a : axes) out.push_back(a + 1);
  return out;
}
bool is_linear(Update mode) { return mode == Update::set || mode == Update::add; }

// How a scatter's updates reach the places of a: `at` reads there, `put` joins there.
struct Places {
  std::function<array(const array&)> at;
  std::function<array(const array& a, const array& updates, Update)> put;
};
struct Factors {
  array a, updates;
};
// d out / d a and d out / d updates, an element each, where updates meet by product, maximum or
// minimum. Extremes share equally among equals. A product leaves out each factor in turn: zeros are
// counted and replaced by ones, so that nothing is divided by zero.
Factors factors_of(const Call& call, Update mode, const Places& places) {
  const array &a = call.in[0], &updates = call.in[1], &out = call.out[0];
  auto as_number = [&](const array& condition) { return astype(condition, a.dtype()); };
  if (mode != Update::prod) {
    array in_a = as_number(equal(a, out)), in_updates = as_number(equal(updates, places.at(out)));
    array count = places.put(in_a, in_updates, Update::add);
    return {in_a / count, in_updates / places.at(count)};
  }
  array zero = constant(a, 0), one = constant(a, 1);
  array zero_a = equal(a, zero), zero_updates = equal(updates, zero);
  array a1 = where(zero_a, one, a), updates1 = where(zero_updates, one, updates);
  array product = places.put(a1, updates1, Update::prod);
  array zeros = places.put(as_number(zero_a), as_number(zero_updates), Update::add);
  auto others = [&](const array& total, const array& count, const array& is_zero, const array& x) {
    return where(equal(count - as_number(is_zero), zero), total / x, zero);
  };
  return {others(product, zeros, zero_a, a1),
          others(places.at(product), places.at(zeros), zero_updates, updates1)};
}
std::vector<Maybe> pulled_back(const Call& call, const array& g, Update mode,
                               const Places& places) {
  Factors f = factors_of(call, mode, places);
  std::vector<Maybe> result(call.in.size());
  result[0] = g * conjugate(f.a);
  result[1] = places.at(g) * conjugate(f.updates);
  return result;
}
std::vector<Maybe> pushed(const Call& call, std::span<const Maybe> t, Update mode,
                          const Places& places) {
  if (!t[0] && !t[1]) return {Maybe{}};
  Factors f = factors_of(call, mode, places);
  array from_a = t[0] ? *t[0] * f.a : zeros_like(call.in[0]);
  if (!t[1]) return {from_a};
  return {places.put(from_a, *t[1] * f.updates, Update::add)};
}

}  // namespace

ArraySpec Gather::infer(const Params& p, std::span<const array> in) {
  Shape shape = in.size() > 1 ? in[1].shape() : Shape{};
  const auto& sizes = p.as<P>().slice_sizes;
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  return {shape, in[0].dtype()};
}
Arrays Gather::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  const auto& v = p.as<P>();
  std::vector<array> all{in[0]};
  if (!batch.mapped[0]) {
    for (size_t i = 1; i < in.size(); ++i)
      all.push_back(batched(in[i], batch.mapped[i], batch.size));
    return {record(op_of<Gather>, v, std::move(all), {})};
  }
  P wide{batch_axes(v.axes), v.slice_sizes};
  wide.slice_sizes.insert(wide.slice_sizes.begin(), 1);
  std::vector<array> index;
  for (size_t i = 1; i < in.size(); ++i)
    index.push_back(batched(in[i], batch.mapped[i], batch.size));
  all.push_back(index.empty() ? arange(0.0, double(batch.size), int32)
                              : batch_index(index[0], batch.size));
  all.insert(all.end(), index.begin(), index.end());
  size_t one = index.empty() ? 1 : index[0].ndim();
  array out = record(op_of<Gather>, wide, std::move(all), {});
  return {squeeze(out, static_cast<int>(one))};
}
std::vector<Maybe> Gather::transpose(const Call& call, const array& g) {
  std::vector<Maybe> result(call.in.size());
  std::vector<array> in{zeros(call.in[0].shape(), g.dtype()), g};
  in.insert(in.end(), call.in.begin() + 1, call.in.end());
  result[0] =
      record(op_of<Scatter>, Scatter::P{Update::add, call.params.as<P>().axes}, std::move(in), {});
  return result;
}

ArraySpec Scatter::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays Scatter::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  const auto& v = p.as<P>();
  array a = batched(in[0], batch.mapped[0], batch.size);
  array updates = batched(in[1], batch.mapped[1], batch.size);
  std::vector<array> index;
  for (size_t i = 2; i < in.size(); ++i)
    index.push_back(batched(in[i], batch.mapped[i], batch.size));
  size_t rank = index.empty() ? 1 : index[0].ndim();
  array batch_of =
      index.empty() ? arange(0.0, double(batch.size), int32) : batch_index(index[0], batch.size);
  std::vector<array> all{a, expand_dims(updates, static_cast<int>(rank)), batch_of};
  all.insert(all.end(), index.begin(), index.end());
  return {record(op_of<Scatter>, P{v.mode, batch_axes(v.axes)}, std::move(all), {})};
}
namespace {
Places places_of_scatter(const Call& call) {
  const Axes& axes = call.params.as<Scatter::P>().axes;
  const Shape& shape = call.in[1].shape();
  Shape sizes(shape.end() - static_cast<std::ptrdiff_t>(call.in[0].ndim()), shape.end());
  auto with_index = [&call](std::vector<array> in) {
    in.insert(in.end(), call.in.begin() + 2, call.in.end());
    return in;
  };
  return {[=](const array& x) {
            return record(op_of<Gather>, Gather::P{axes, sizes}, with_index({x}), {});
          },
          [=](const array& a, const array& updates, Update mode) {
            return record(op_of<Scatter>, Scatter::P{mode, axes}, with_index({a, updates}), {});
          }};
}
Places places_of_scatter_axis(const Call& call) {
  int axis = call.params.as<ScatterAxis::P>().axis;
  array index = call.in[2];
  return {[=](const array& x) {
            return record(op_of<GatherAxis>, GatherAxis::P{axis}, {x, index}, {});
          },
          [=](const array& a, const array& updates, Update mode) {
            return record(op_of<ScatterAxis>, ScatterAxis::P{mode, axis}, {a, updates, index}, {});
          }};
}
std::vector<Maybe> transposed(const Call& call, const array& g, Update mode, const Places& places) {
  if (!is_linear(mode)) return pulled_back(call, g, mode, places);
  std::vector<Maybe> result(call.in.size());
  array part = places.at(g);
  result[0] = mode == Update::set ? places.put(g, zeros_like(part), mode) : g;
  result[1] = part;
  return result;
}
}  // namespace

std::vector<Maybe> Scatter::transpose(const Call& call, const array& g) {
  return transposed(call, g, call.params.as<P>().mode, places_of_scatter(call));
}
std::vector<Maybe> Scatter::jvp(const Call& call, std::span<const Maybe> t) {
  Update mode = call.params.as<P>().mode;
  if (is_linear(mode)) return detail::jvp_of_linear<Scatter>(call, t);
  return pushed(call, t, mode, places_of_scatter(call));
}

ArraySpec GatherAxis::infer(const Params&, std::span<const array> in) {
  return {in[1].shape(), in[0].dtype()};
}
Arrays GatherAxis::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return {record(
      op_of<GatherAxis>, P{p.as<P>().axis + 1},
      {batched(in[0], batch.mapped[0], batch.size), batched(in[1], batch.mapped[1], batch.size)},
      {})};
}
std::vector<Maybe> GatherAxis::transpose(const Call& call, const array& g) {
  array zero = zeros(call.in[0].shape(), g.dtype());
  return {record(op_of<ScatterAxis>, ScatterAxis::P{Update::add, call.params.as<P>().axis},
                 {zero, g, call.in[1]}, {}),
          Maybe{}};
}

ArraySpec ScatterAxis::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays ScatterAxis::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  std::vector<array> all;
  for (size_t i = 0; i < 3; ++i) all.push_back(batched(in[i], batch.mapped[i], batch.size));
  const auto& v = p.as<P>();
  return {record(op_of<ScatterAxis>, P{v.mode, v.axis + 1}, std::move(all), {})};
}
std::vector<Maybe> ScatterAxis::transpose(const Call& call, const array& g) {
  return transposed(call, g, call.params.as<P>().mode, places_of_scatter_axis(call));
}
std::vector<Maybe> ScatterAxis::jvp(const Call& call, std::span<const Maybe> t) {
  Update mode = call.params.as<P>().mode;
  if (is_linear(mode)) return detail::jvp_of_linear<ScatterAxis>(call, t);
  return pushed(call, t, mode, places_of_scatter_axis(call));
}

}  // namespace ops

namespace {

void check_index_dtype(const char* op, const array& index) {
  require(issubdtype(index.dtype(), integer) || index.dtype() == bool_,
          "[{}] indices are {}; they must be integers.", op, name_of(index.dtype()));
}
// The index arrays of one shape, and their axes, checked against `a`.
std::vector<array> checked_indices(const char* op, const array& a,
                                   const std::vector<array>& indices, const std::vector<int>& axes,
                                   StreamOrDevice s) {
  require<ShapeError>(indices.size() == axes.size(), "[{}] {} index arrays for {} axes.", op,
                      indices.size(), axes.size());
  for (const auto& i : indices) check_index_dtype(op, i);
  normalize_axes(op, axes, a.ndim());
  return broadcast_arrays(indices, s);
}
Axes ordered_axes(const char* op, const std::vector<int>& axes, size_t ndim) {
  Axes out;
  for (int axis : axes) out.push_back(normalize_axis(op, axis, ndim));
  return out;
}

array scatter_with(const char* op, Update mode, const array& a, const std::vector<array>& indices,
                   const array& updates, const std::vector<int>& axes, StreamOrDevice s) {
  auto index = checked_indices(op, a, indices, axes, s);
  size_t rank = index.empty() ? 0 : index[0].ndim();
  require<ShapeError>(updates.ndim() == rank + a.ndim(),
                      "[{}] updates have shape {}; they need {} axes of the indices, then {} of a.",
                      op, text_of(updates.shape()), rank, a.ndim());
  Shape shape = index.empty() ? Shape{} : index[0].shape();
  for (size_t i = 0; i < a.ndim(); ++i) {
    int64_t n = updates.shape()[rank + i];
    require<ShapeError>(n <= a.shape()[i], "[{}] updates of shape {} are larger than a, {}.", op,
                        text_of(updates.shape()), text_of(a.shape()));
    shape.push_back(n);
  }
  std::vector<array> in{a, broadcast_to(astype(updates, a.dtype(), s), shape, s)};
  in.insert(in.end(), index.begin(), index.end());
  return record(op_of<Scatter>, Scatter::P{mode, ordered_axes(op, axes, a.ndim())}, std::move(in),
                s);
}

array along_axis(const char* op, Update mode, const array& a, const array& indices,
                 const array& values, int axis, StreamOrDevice s) {
  check_index_dtype(op, indices);
  int at = normalize_axis(op, axis, a.ndim());
  require<ShapeError>(indices.ndim() == a.ndim(), "[{}] a has {} axes and the indices {}.", op,
                      a.ndim(), indices.ndim());
  Shape shape = a.shape(), want = indices.shape();
  shape[static_cast<size_t>(at)] = 1;
  want = broadcast_for(op, shape, want);
  array index = broadcast_to(indices, want, s);
  array update = broadcast_to(astype(values, a.dtype(), s), want, s);
  return record(op_of<ScatterAxis>, ScatterAxis::P{mode, at}, {a, update, index}, s);
}

}  // namespace

array gather(const array& a, const std::vector<array>& indices, const std::vector<int>& axes,
             const Shape& slice_sizes, StreamOrDevice s) {
  auto index = checked_indices("gather", a, indices, axes, s);
  bool fits = slice_sizes.size() == a.ndim();
  for (size_t i = 0; fits && i < a.ndim(); ++i)
    fits = slice_sizes[i] >= 0 && slice_sizes[i] <= a.shape()[i];
  require<ShapeError>(fits, "[gather] slice sizes {} of an array of shape {}.",
                      text_of(slice_sizes), text_of(a.shape()));
  std::vector<array> in{a};
  in.insert(in.end(), index.begin(), index.end());
  return record(op_of<Gather>, Gather::P{ordered_axes("gather", axes, a.ndim()), slice_sizes},
                std::move(in), s);
}
array gather(const array& a, const array& indices, int axis, const Shape& slice_sizes,
             StreamOrDevice s) {
  return gather(a, std::vector<array>{indices}, std::vector<int>{axis}, slice_sizes, s);
}

array take(const array& a, const array& indices, int axis, StreamOrDevice s) {
  int at = normalize_axis("take", axis, a.ndim());
  auto i = static_cast<size_t>(at);
  require<ShapeError>(a.shape()[i] > 0 || indices.size() == 0,
                      "[take] axis {} of shape {} is empty.", at, text_of(a.shape()));
  Shape sizes = a.shape();
  sizes[i] = std::min<int64_t>(1, a.shape()[i]);
  array out = gather(a, indices, at, sizes, s);
  // (indices..., before, 1, after) becomes (before, indices..., after).
  size_t n = indices.ndim();
  Shape flat(out.shape().begin(), out.shape().begin() + n + i);
  flat.insert(flat.end(), out.shape().begin() + n + i + 1, out.shape().end());
  if (a.shape()[i] == 0) {
    Shape empty = flat;
    return zeros(empty, a.dtype(), s);
  }
  out = reshape(out, flat, s);
  std::vector<int> order;
  for (size_t k = 0; k < i; ++k) order.push_back(static_cast<int>(n + k));
  for (size_t k = 0; k < n; ++k) order.push_back(static_cast<int>(k));
  for (size_t k = n + i; k < flat.size(); ++k) order.push_back(static_cast<int>(k));
  return transpose(out, order, s);
}
array take(const array& a, int index, int axis, StreamOrDevice s) {
  return take(a, array(index), axis, s);
}
array take(const array& a, const array& indices, StreamOrDevice s) {
  return take(flatten(a, s), indices, 0, s);
}
array take(const array& a, int index, StreamOrDevice s) { return take(a, array(index), s); }

array take_along_axis(const array& a, const array& indices, int axis, StreamOrDevice s) {
  check_index_dtype("take_along_axis", indices);
  int at = normalize_axis("take_along_axis", axis, a.ndim());
  require<ShapeError>(indices.ndim() == a.ndim(),
                      "[take_along_axis] a has {} axes and the indices {}.", a.ndim(),
                      indices.ndim());
  auto i = static_cast<size_t>(at);
  Shape one_a = a.shape(), one_index = indices.shape();
  one_a[i] = one_index[i] = 1;
  Shape shape = broadcast_for("take_along_axis", one_a, one_index), wide = shape;
  shape[i] = indices.shape()[i];
  wide[i] = a.shape()[i];
  return record(op_of<GatherAxis>, GatherAxis::P{at},
                {broadcast_to(a, wide, s), broadcast_to(indices, shape, s)}, s);
}
array put_along_axis(const array& a, const array& indices, const array& values, int axis,
                     StreamOrDevice s) {
  return along_axis("put_along_axis", Update::set, a, indices, values, axis, s);
}
array scatter_add_axis(const array& a, const array& indices, const array& values, int axis,
                       StreamOrDevice s) {
  return along_axis("scatter_add_axis", Update::add, a, indices, values, axis, s);
}

#define TARN_SCATTER(name, mode)                                                      \
  array name(const array& a, const std::vector<array>& indices, const array& updates, \
             const std::vector<int>& axes, StreamOrDevice s) {                        \
    return scatter_with(#name, Update::mode, a, indices, updates, axes, s);           \
  }
TARN_SCATTER(scatter, set)
TARN_SCATTER(scatter_add, add)
TARN_SCATTER(scatter_max, max)
TARN_SCATTER(scatter_min, min)
TARN_SCATTER(scatter_prod, prod)
#undef TARN_SCATTER
#define TARN_SCATTER(name)                                                           \
  array name(const array& a, const array& indices, const array& updates, int axis,   \
             StreamOrDevice s) {                                                     \
    return name(a, std::vector<array>{indices}, updates, std::vector<int>{axis}, s); \
  }
TARN_SCATTER(scatter)
TARN_SCATTER(scatter_add)
TARN_SCATTER(scatter_prod)
TARN_SCATTER(scatter_max)
TARN_SCATTER(scatter_min)
#undef TARN_SCATTER

array masked_scatter(const array& a, const array& mask, const array& src, StreamOrDevice s) {
  check_mask("masked_scatter", a, mask);
  if (a.size() == 0) return a;
  Shape behind = mask.shape();
  behind.resize(a.ndim(), 1);
  array hit = flatten(broadcast_to(reshape(mask, behind, s), a.shape(), s), s);
  require(src.size() > 0, "[masked_scatter] src has shape {}: it is empty.", text_of(src.shape()));
  // The how-manieth true each one is; places that are not taken read element 0.
  array nth = subtract(cumsum(astype(hit, int64, s), 0, false, true, s), array(1, int64), s);
  array taken =
      take(flatten(astype(src, a.dtype(), s), s), where(hit, nth, array(0, int64), s), 0, s);
  return where(reshape(hit, a.shape(), s), reshape(taken, a.shape(), s), a, s);
}

}  // namespace tarn
