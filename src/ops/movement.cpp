// The rules of the movement ops that are views or copies of boxes.
#include "ops/movement.h"

#include <algorithm>
#include <numeric>

namespace tarn::ops {
namespace {

Shape with_batch(const Shape& shape, int64_t batch) {
  Shape out{batch};
  out.insert(out.end(), shape.begin(), shape.end());
  return out;
}
Shape prepended(const Shape& shape, int64_t first) { return with_batch(shape, first); }

// Lets the axes [from, to) hold `room` elements: in the sizes that are known, or by the first one.
bool resize_group(Shape& shape, size_t from, size_t to, int64_t room, const SizeChange& sizes) {
  int64_t known = 1, others = 1;
  size_t first = to;
  for (size_t k = from; k < to; ++k) {
    known *= sizes.of(shape[k]);
    if (shape[k] == 1) continue;
    if (first == to)
      first = k;
    else
      others *= shape[k];
  }
  if (first == to) return false;
  if (others != 1 && known == room) {
    for (size_t k = from; k < to; ++k) shape[k] = sizes.of(shape[k]);
    return true;
  }
  if (others == 0 || room % others != 0) return false;
  shape[first] = room / others;
  return true;
}

}  // namespace

ArraySpec Alias::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays Alias::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {alias(in[0], p.as<P>().stop)};
}
std::vector<Maybe> Alias::transpose(const Call& call, const array& g) {
  if (call.params.as<P>().stop) return {Maybe{}};
  return {g};
}
std::vector<Maybe> Alias::jvp(const Call& call, std::span<const Maybe> tangents) {
  if (call.params.as<P>().stop) return {Maybe{}};
  return {tangents[0]};
}
std::optional<Layout> Alias::view(const Params&, const Layout& of) { return of; }

ArraySpec Reshape::infer(const Params& p, std::span<const array> in) {
  return {p.as<P>().shape, in[0].dtype()};
}
Arrays Reshape::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return {reshape(in[0], with_batch(p.as<P>().shape, batch.size))};
}
std::vector<Maybe> Reshape::transpose(const Call& call, const array& g) {
  return {reshape(g, call.in[0].shape())};
}
// A view exists when every new axis stays inside one run of old axes that lie row-contiguous to
// each other.
std::optional<Layout> Reshape::view(const Params& p, const Layout& of) {
  const Shape& to = p.as<P>().shape;
  Shape sizes;
  Strides steps;
  for (size_t i = 0; i < of.shape.size(); ++i) {
    if (of.shape[i] == 1) continue;
    if (of.shape[i] == 0) return Layout{to, row_strides(to), of.offset};
    if (!sizes.empty() && steps.back() == of.strides[i] * of.shape[i]) {
      sizes.back() *= of.shape[i];
      steps.back() = of.strides[i];
    } else {
      sizes.push_back(of.shape[i]);
      steps.push_back(of.strides[i]);
    }
  }
  Layout out{to, Strides(to.size()), of.offset};
  size_t run = sizes.size();
  int64_t room = 1, step = 1;
  for (size_t i = to.size(); i-- > 0;) {
    if (to[i] == 1) {
      out.strides[i] = step;
      continue;
    }
    if (room == 1) {
      if (run == 0) return std::nullopt;
      room = sizes[--run];
      step = steps[run];
    }
    if (room % to[i] != 0) return std::nullopt;
    out.strides[i] = step;
    step *= to[i];
    room /= to[i];
  }
  return out;
}

// Axes go in groups: the shortest runs of old and new axes that hold equally many elements.
std::optional<Params> Reshape::resize(const Shape& was_in, const Shape& was_out, const Shape& in,
                                      const SizeChange& sizes) {
  P now{was_out};
  size_t i = 0, j = 0;
  while (i < was_in.size() || j < was_out.size()) {
    size_t from_i = i, from_j = j;
    int64_t old_in = i < was_in.size() ? was_in[i++] : 1;
    int64_t old_out = j < was_out.size() ? was_out[j++] : 1;
    while (old_in != old_out) {
      if (old_in < old_out && i < was_in.size())
        old_in *= was_in[i++];
      else if (j < was_out.size())
        old_out *= was_out[j++];
      else
        return std::nullopt;  // a size of 0
    }
    int64_t room = 1;
    bool changed = false;
    for (size_t k = from_i; k < i; ++k) {
      room *= in[k];
      changed |= in[k] != was_in[k];
    }
    if (changed && !resize_group(now.shape, from_j, j, room, sizes)) return std::nullopt;
  }
  return now;
}

ArraySpec Transpose::infer(const Params& p, std::span<const array> in) {
  Shape shape;
  for (int axis : p.as<P>().axes) shape.push_back(in[0].shape()[static_cast<size_t>(axis)]);
  return {shape, in[0].dtype()};
}
Arrays Transpose::vmap(const Params& p, std::span<const array> in, const Batch&) {
  std::vector<int> axes{0};
  for (int axis : p.as<P>().axes) axes.push_back(axis + 1);
  return {tarn::transpose(in[0], axes)};
}
std::vector<Maybe> Transpose::transpose(const Call& call, const array& g) {
  const Axes& axes = call.params.as<P>().axes;
  std::vector<int> back(axes.size());
  for (size_t i = 0; i < axes.size(); ++i) back[static_cast<size_t>(axes[i])] = static_cast<int>(i);
  return {tarn::transpose(g, back)};
}
std::optional<Layout> Transpose::view(const Params& p, const Layout& of) {
  Layout out{{}, {}, of.offset};
  for (int axis : p.as<P>().axes) {
    out.shape.push_back(of.shape[static_cast<size_t>(axis)]);
    out.strides.push_back(of.strides[static_cast<size_t>(axis)]);
  }
  return out;
}

ArraySpec BroadcastTo::infer(const Params& p, std::span<const array> in) {
  return {p.as<P>().shape, in[0].dtype()};
}
Arrays BroadcastTo::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  const Shape& to = p.as<P>().shape;
  return {broadcast_to(align_batch(in[0], to.size()), with_batch(to, batch.size))};
}
std::vector<Maybe> BroadcastTo::transpose(const Call& call, const array& g) {
  return {sum_to(g, call.in[0].shape())};
}
std::optional<Layout> BroadcastTo::view(const Params& p, const Layout& of) {
  const Shape& to = p.as<P>().shape;
  Layout out{to, Strides(to.size(), 0), of.offset};
  size_t extra = to.size() - of.shape.size();
  for (size_t i = 0; i < of.shape.size(); ++i)
    if (of.shape[i] != 1 || to[extra + i] == 1) out.strides[extra + i] = of.strides[i];
  return out;
}

ArraySpec Slice::infer(const Params& p, std::span<const array> in) {
  return {p.as<P>().size, in[0].dtype()};
}
Arrays Slice::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  const auto& v = p.as<P>();
  return {
      slice_of(in[0], prepended(v.start, 0), prepended(v.size, batch.size), prepended(v.step, 1))};
}
std::vector<Maybe> Slice::transpose(const Call& call, const array& g) {
  const auto& v = call.params.as<P>();
  return {update_slice(zeros(call.in[0].shape(), g.dtype()), g, Update::set, v.start, v.step)};
}
std::optional<Layout> Slice::view(const Params& p, const Layout& of) {
  const auto& v = p.as<P>();
  Layout out{v.size, Strides(v.size.size()), of.offset};
  for (size_t i = 0; i < v.size.size(); ++i) {
    out.offset += v.start[i] * of.strides[i];
    out.strides[i] = of.strides[i] * v.step[i];
  }
  return out;
}

ArraySpec SliceUpdate::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays SliceUpdate::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  const auto& v = p.as<P>();
  return {update_slice(batched(in[0], batch.mapped[0], batch.size),
                       batched(in[1], batch.mapped[1], batch.size), v.mode, prepended(v.start, 0),
                       prepended(v.step, 1))};
}
std::vector<Maybe> SliceUpdate::transpose(const Call& call, const array& g) {
  const auto& v = call.params.as<P>();
  require(v.mode == Update::set || v.mode == Update::add,
          "[slice_update] only set and add have derivatives.");
  array part = slice_of(g, v.start, call.in[1].shape(), v.step);
  if (v.mode == Update::add) return {g, part};
  return {update_slice(g, zeros_like(part), Update::set, v.start, v.step), part};
}

ArraySpec AsStrided::infer(const Params& p, std::span<const array> in) {
  return {p.as<P>().shape, in[0].dtype()};
}
Arrays AsStrided::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  const auto& v = p.as<P>();
  auto row = static_cast<int64_t>(in[0].size()) / std::max<int64_t>(batch.size, 1);
  Strides strides{row};
  strides.insert(strides.end(), v.strides.begin(), v.strides.end());
  return {record(op_of<AsStrided>, P{with_batch(v.shape, batch.size), strides, v.offset},
                 {copy(in[0])}, {})};
}
std::vector<Maybe> AsStrided::transpose(const Call& call, const array& g) {
  const auto& v = call.params.as<P>();
  auto size = static_cast<int64_t>(call.in[0].size());
  array where_from = record(op_of<AsStrided>, v, {arange(0.0, double(size), int64)}, {});
  array flat = scatter_add(zeros(Shape{size}, g.dtype()), flatten(where_from),
                           reshape(g, {static_cast<int64_t>(g.size()), 1}), 0);
  return {reshape(flat, call.in[0].shape())};
}
std::optional<Layout> AsStrided::view(const Params& p, const Layout& of) {
  if (!is_row_contiguous(of.shape, of.strides)) return std::nullopt;
  const auto& v = p.as<P>();
  return Layout{v.shape, v.strides, of.offset + v.offset};
}

ArraySpec ViewAs::infer(const Params& p, std::span<const array> in) {
  Dtype to = p.as<P>().dtype;
  Shape shape = in[0].shape();
  if (!shape.empty()) shape.back() = shape.back() * int64_t{in[0].dtype().size} / to.size;
  return {shape, to};
}
Arrays ViewAs::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {record(op_of<ViewAs>, p, {in[0]}, {})};
}

ArraySpec Concatenate::infer(const Params& p, std::span<const array> in) {
  auto axis = static_cast<size_t>(p.as<P>().axis);
  Shape shape = in[0].shape();
  for (size_t i = 1; i < in.size(); ++i) shape[axis] += in[i].shape()[axis];
  return {shape, in[0].dtype()};
}
Arrays Concatenate::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  std::vector<array> all;
  for (size_t i = 0; i < in.size(); ++i) all.push_back(batched(in[i], batch.mapped[i], batch.size));
  return {concatenate(std::move(all), p.as<P>().axis + 1)};
}
std::vector<Maybe> Concatenate::transpose(const Call& call, const array& g) {
  auto axis = static_cast<size_t>(call.params.as<P>().axis);
  std::vector<Maybe> parts;
  Shape start(g.ndim(), 0);
  for (const auto& x : call.in) {
    parts.push_back(slice_of(g, start, x.shape(), Shape(g.ndim(), 1)));
    start[axis] += x.shape()[axis];
  }
  return parts;
}

ArraySpec Depends::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays Depends::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  std::vector<array> all(in.begin(), in.end());
  all[0] = batched(in[0], batch.mapped[0], batch.size);
  return {record(op_of<Depends>, p, std::move(all), {})};
}
std::vector<Maybe> Depends::transpose(const Call& call, const array& g) {
  std::vector<Maybe> result(call.in.size());
  result[0] = g;
  return result;
}

}  // namespace tarn::ops
