// Convolutions: what fits, and the rules.
#include "ops/conv.h"

#include <algorithm>

#include "base/checked.h"
#include "tarn/ops/conv.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

using P = Convolution::P;

size_t spatial(const array& x) { return x.ndim() - 2; }

// (..., groups * n) seen as (..., groups, n), which moves its parts at will.
array split_last(const array& x, int64_t groups) {
  return unflatten(x, -1, {groups, x.shape(-1) / groups});
}
array split_first(const array& x, int64_t groups) {
  return unflatten(x, 0, {groups, x.shape(0) / groups});
}

// w (G * Cout, kernel..., Cin) as (G * Cin, kernel..., Cout): each group's channels trade places.
array turned_weight(const array& w, int64_t groups) {
  return flatten(swapaxes(split_first(w, groups), 1, -1), 0, 1);
}

// The cotangent of x: g spread by the stride meets the weight the other way round.
array by_input(const P& p, const array& x, const array& w, const array& g) {
  P q = p;
  q.stride = p.input_dilation, q.input_dilation = p.stride, q.flip = !p.flip;
  for (size_t d = 0; d < spatial(x); ++d) {
    int axis = static_cast<int>(d) + 1;
    int64_t kernel = reach(w.shape(axis), p.kernel_dilation[d]);
    q.lo[d] = kernel - 1 - p.lo[d];
    // So that as many positions come out as x has.
    q.hi[d] =
        (x.shape(axis) - 1) * q.stride[d] + kernel - q.lo[d] - reach(g.shape(axis), p.stride[d]);
  }
  return record(op_of<Convolution>, q, {g, turned_weight(w, p.groups)}, {});
}

// The cotangent of w: x's channels become the batch, and g is the kernel that moves over it.
array by_weight(const P& p, const array& x, const array& w, const array& g) {
  P q = p;
  q.stride = p.kernel_dilation, q.kernel_dilation = p.stride, q.flip = false;
  std::vector<int> turned;
  for (size_t d = 0; d < spatial(x); ++d) {
    int axis = static_cast<int>(d) + 1;
    turned.push_back(axis);
    q.hi[d] = (w.shape(axis) - 1) * q.stride[d] + reach(g.shape(axis), p.stride[d]) - p.lo[d] -
              reach(x.shape(axis), p.input_dilation[d]);
  }
  int last = static_cast<int>(x.ndim()) - 1;
  // (N, s, G, c) to (c, s, G * N), and (N, o, G * c) to (G * c, o, N).
  array input = flatten(swapaxes(split_last(x, p.groups), 0, -1), last, last + 1);
  array out = record(op_of<Convolution>, q, {input, swapaxes(g, 0, -1)}, {});
  out = swapaxes(out, 0, -1);
  return p.flip ? flip(out, turned) : out;
}

}  // namespace

ArraySpec Convolution::infer(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  const array &x = in[0], &w = in[1];
  Shape shape{x.shape(0)};
  for (size_t d = 0; d < spatial(x); ++d) {
    int axis = static_cast<int>(d) + 1;
    int64_t room = reach(x.shape(axis), p.input_dilation[d]) + p.lo[d] + p.hi[d] -
                   reach(w.shape(axis), p.kernel_dilation[d]);
    shape.push_back(room < 0 ? 0 : room / p.stride[d] + 1);
  }
  shape.push_back(w.shape(0));
  return {std::move(shape), x.dtype()};
}
Arrays Convolution::vmap(const Params& params, std::span<const array> in, const Batch& batch) {
  P p = params.as<P>();
  array x = in[0], w = in[1];
  if (!batch.mapped[1]) {
    array out = record(op_of<Convolution>, p, {flatten(x, 0, 1), w}, {});
    return {unflatten(out, 0, {batch.size, x.shape(1)})};
  }
  if (!batch.mapped[0]) {
    // w (B, G * c, ...) to (G * B * c, ...): each group makes the outputs of every example.
    w = flatten(moveaxis(unflatten(w, 1, {p.groups, w.shape(1) / p.groups}), 0, 1), 0, 2);
    array out = unflatten(split_last(record(op_of<Convolution>, p, {x, w}, {}), p.groups), -1,
                          {batch.size, in[1].shape(1) / p.groups});
    return {flatten(moveaxis(out, -2, 0), -2, -1)};
  }
  // x (B, N, s, C) to (N, s, B * C): each example is a group of its own, or several.
  x = flatten(moveaxis(x, 0, -2), -2, -1);
  p.groups *= batch.size;
  array out = record(op_of<Convolution>, p, {x, flatten(w, 0, 1)}, {});
  return {moveaxis(split_last(out, batch.size), -2, 0)};
}
std::vector<Maybe> Convolution::transpose(const Call& call, const array& g) {
  const auto& p = call.params.as<P>();
  const array &x = call.in[0], &w = call.in[1];
  return {by_input(p, x, w, g), by_weight(p, x, w, g)};
}

}  // namespace ops

namespace {

using P = Convolution::P;
using Numbers = std::vector<int>;

Numbers list(const std::pair<int, int>& p) { return {p.first, p.second}; }
Numbers list(const std::tuple<int, int, int>& t) {
  return {std::get<0>(t), std::get<1>(t), std::get<2>(t)};
}

// One number for each spatial axis.
Shape spread(const char* op, const char* what, const Numbers& given, size_t axes, int otherwise) {
  if (given.size() <= 1) return Shape(axes, given.empty() ? otherwise : given[0]);
  require<ShapeError>(given.size() == axes, "[{}] {} has {} numbers for {} spatial axes.", op, what,
                      given.size(), axes);
  return Shape(given.begin(), given.end());
}
void require_positive(const char* op, const char* what, const Shape& numbers) {
  for (auto n : numbers)
    require(n >= 1, "[{}] {} is {}: each number must be 1 or more.", op, what, text_of(numbers));
}

void check_axes(const char* op, const array& x, const array& w, size_t axes) {
  size_t wanted = axes == 0 ? std::clamp<size_t>(x.ndim(), 3, 5) : axes + 2;
  require<ShapeError>(
      x.ndim() == wanted && w.ndim() == wanted,
      "[{}] input has shape {} and weight {}: {} spatial axes need (N, ..., C_in) and "
      "(C_out, ..., C_in / groups), {} axes each.",
      op, text_of(x.shape()), text_of(w.shape()), axes == 0 ? "1 to 3" : std::to_string(axes),
      axes == 0 ? "3 to 5" : std::to_string(axes + 2));
}
void check_channels(const char* op, const array& x, const array& w, int groups) {
  require(groups >= 1, "[{}] groups is {}: it must be 1 or more.", op, groups);
  require<ShapeError>(w.shape(0) % groups == 0,
                      "[{}] weight has shape {}: {} outputs do not divide into {} groups.", op,
                      text_of(w.shape()), w.shape(0), groups);
  require<ShapeError>(x.shape(-1) % groups == 0 && x.shape(-1) / groups == w.shape(-1),
                      "[{}] input has shape {} and weight {}: {} channels are not {} groups of {}.",
                      op, text_of(x.shape()), text_of(w.shape()), x.shape(-1), groups, w.shape(-1));
}
// n elements `dilation` apart with padding around them.
int64_t padded(const char* op, int64_t n, int64_t dilation, int64_t lo, int64_t hi) {
  auto wide = checked_mul(std::max<int64_t>(n - 1, 0), dilation);
  if (wide) wide = checked_add(*wide, std::min<int64_t>(n, 1));
  if (wide) wide = checked_add(*wide, std::max<int64_t>(lo, 0));
  if (wide) wide = checked_add(*wide, std::max<int64_t>(hi, 0));
  require<ShapeError>(wide.has_value(), "[{}] an axis of size {} spread by {} is too long.", op, n,
                      dilation);
  return *wide + std::min<int64_t>(lo, 0) + std::min<int64_t>(hi, 0);
}
void check_room(const char* op, const array& x, const array& w, const P& p) {
  for (size_t d = 0; d < p.stride.size(); ++d) {
    int axis = static_cast<int>(d) + 1;
    require<ShapeError>(w.shape(axis) > 0, "[{}] weight has shape {}: a kernel has no elements.",
                        op, text_of(w.shape()));
    int64_t input = padded(op, x.shape(axis), p.input_dilation[d], p.lo[d], p.hi[d]);
    int64_t kernel = padded(op, w.shape(axis), p.kernel_dilation[d], 0, 0);
    require<ShapeError>(kernel <= input,
                        "[{}] input has shape {} and weight {}: axis {} spans {} with its padding, "
                        "the kernel {}.",
                        op, text_of(x.shape()), text_of(w.shape()), axis, input, kernel);
  }
}

struct Setting {
  Numbers stride{}, lo{}, hi{}, kernel_dilation{}, input_dilation{};
  int groups = 1;
  bool flip = false;
};

// `axes` is the number of spatial axes, 0 for whatever the input has.
array convolution(const char* op, const array& input, const array& weight, size_t axes,
                  const Setting& set, StreamOrDevice s) {
  check_axes(op, input, weight, axes);
  Dtype t = result_type(input, weight);
  require(issubdtype(t, inexact), "[{}] input is {} and weight {}: only floats are convolved.", op,
          name_of(input.dtype()), name_of(weight.dtype()));
  P p;
  size_t n = input.ndim() - 2;
  p.stride = spread(op, "stride", set.stride, n, 1);
  p.lo = spread(op, "padding", set.lo, n, 0);
  p.hi = spread(op, "padding", set.hi, n, 0);
  p.kernel_dilation = spread(op, "kernel_dilation", set.kernel_dilation, n, 1);
  p.input_dilation = spread(op, "input_dilation", set.input_dilation, n, 1);
  p.groups = set.groups, p.flip = set.flip;
  require_positive(op, "stride", p.stride);
  require_positive(op, "kernel_dilation", p.kernel_dilation);
  require_positive(op, "input_dilation", p.input_dilation);
  check_channels(op, input, weight, set.groups);
  check_room(op, input, weight, p);
  // Halves are convolved as float32, so that their sums are not rounded on the way.
  Dtype wide = t == float16 || t == bfloat16 ? float32 : t;
  array out = record(op_of<Convolution>, p, {astype(input, wide, s), astype(weight, wide, s)}, s);
  return astype(out, t, s);
}

array transposed_convolution(const char* op, const array& input, const array& weight,
                             const Numbers& stride, const Numbers& padding, const Numbers& dilation,
                             const Numbers& output_padding, int groups, StreamOrDevice s) {
  check_axes(op, input, weight, stride.size());
  require_positive(op, "stride", Shape(stride.begin(), stride.end()));
  require_positive(op, "dilation", Shape(dilation.begin(), dilation.end()));
  Setting set;
  set.kernel_dilation = dilation, set.input_dilation = stride;
  set.groups = groups, set.flip = true;
  for (size_t d = 0; d < stride.size(); ++d) {
    int64_t kernel = padded(op, weight.shape(static_cast<int>(d) + 1), dilation[d], 0, 0);
    int64_t lo = kernel - 1 - padding[d], hi = lo + output_padding[d];
    require<ShapeError>(std::max(lo, hi) <= INT32_MAX && std::min(lo, hi) >= INT32_MIN,
                        "[{}] a kernel that spans {} is too long.", op, kernel);
    set.lo.push_back(static_cast<int>(lo)), set.hi.push_back(static_cast<int>(hi));
  }
  return convolution(op, input, weight, stride.size(), set, s);
}

}  // namespace

array conv_general(array input, array weight, std::vector<int> stride, std::vector<int> padding_lo,
                   std::vector<int> padding_hi, std::vector<int> kernel_dilation,
                   std::vector<int> input_dilation, int groups, bool flip, StreamOrDevice s) {
  return convolution("conv_general", input, weight, 0,
                     {std::move(stride), std::move(padding_lo), std::move(padding_hi),
                      std::move(kernel_dilation), std::move(input_dilation), groups, flip},
                     s);
}
array convolve(const array& a, const array& v, const std::string& mode, StreamOrDevice s) {
  require<ShapeError>(a.ndim() == 1 && v.ndim() == 1 && a.size() > 0 && v.size() > 0,
                      "[convolve] a has shape {} and v {}: both need one axis with 1 element or "
                      "more.",
                      text_of(a.shape()), text_of(v.shape()));
  require(mode == "full" || mode == "same" || mode == "valid",
          "[convolve] mode is \"{}\"; it must be \"full\", \"same\" or \"valid\".", mode);
  const array &line = a.size() < v.size() ? v : a, &kernel = a.size() < v.size() ? a : v;
  int more = static_cast<int>(kernel.size()) - 1;
  int before = mode == "full" ? more : mode == "same" ? (more + 1) / 2 : 0;
  int after = mode == "full" ? more : mode == "same" ? more - before : 0;
  auto as_channel = [&](const array& x) { return reshape(x, {1, -1, 1}, s); };
  array out =
      conv_general(as_channel(line), as_channel(kernel), {}, {before}, {after}, {}, {}, 1, true, s);
  return reshape(out, {-1}, s);
}
array conv1d(const array& input, const array& weight, int stride, int padding, int dilation,
             int groups, StreamOrDevice s) {
  return convolution("conv1d", input, weight, 1,
                     {{stride}, {padding}, {padding}, {dilation}, {}, groups}, s);
}
array conv2d(const array& input, const array& weight, const std::pair<int, int>& stride,
             const std::pair<int, int>& padding, const std::pair<int, int>& dilation, int groups,
             StreamOrDevice s) {
  return convolution("conv2d", input, weight, 2,
                     {list(stride), list(padding), list(padding), list(dilation), {}, groups}, s);
}
array conv3d(const array& input, const array& weight, const std::tuple<int, int, int>& stride,
             const std::tuple<int, int, int>& padding, const std::tuple<int, int, int>& dilation,
             int groups, StreamOrDevice s) {
  return convolution("conv3d", input, weight, 3,
                     {list(stride), list(padding), list(padding), list(dilation), {}, groups}, s);
}
array conv_transpose1d(const array& input, const array& weight, int stride, int padding,
                       int dilation, int output_padding, int groups, StreamOrDevice s) {
  return transposed_convolution("conv_transpose1d", input, weight, {stride}, {padding}, {dilation},
                                {output_padding}, groups, s);
}
array conv_transpose2d(const array& input, const array& weight, const std::pair<int, int>& stride,
                       const std::pair<int, int>& padding, const std::pair<int, int>& dilation,
                       const std::pair<int, int>& output_padding, int groups, StreamOrDevice s) {
  return transposed_convolution("conv_transpose2d", input, weight, list(stride), list(padding),
                                list(dilation), list(output_padding), groups, s);
}
array conv_transpose3d(const array& input, const array& weight,
                       const std::tuple<int, int, int>& stride,
                       const std::tuple<int, int, int>& padding,
                       const std::tuple<int, int, int>& dilation,
                       const std::tuple<int, int, int>& output_padding, int groups,
                       StreamOrDevice s) {
  return transposed_convolution("conv_transpose3d", input, weight, list(stride), list(padding),
                                list(dilation), list(output_padding), groups, s);
}

}  // namespace tarn
