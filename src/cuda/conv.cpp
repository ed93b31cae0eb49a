// Convolutions: windows of the input as rows, times the weights, in other ops. Where each channel
// is a group of its own, a call of depthwise.cu.
#include "ops/conv.h"

#include <algorithm>

#include "cuda/depthwise.h"
#include "cuda/device.h"
#include "cuda/table.h"
#include "runtime/backend.h"
#include "tarn/ops.h"

namespace tarn::cuda {
namespace {

using P = ops::Convolution::P;

const P& params_of(const Step& s) { return s.params->as<P>(); }
int64_t size_of(const Shape& shape, size_t from, size_t to) {
  int64_t n = 1;
  for (size_t i = from; i < to; ++i) n *= shape[i];
  return n;
}

// x with zeros between its elements and around them; what is cut off stays, in front of `first`.
struct Spread {
  array x;
  Shape first;
};
Spread spread(const P& p, const array& x) {
  size_t axes = x.ndim() - 2;
  Shape shape = x.shape(), start(x.ndim(), 0), stop = shape, step(x.ndim(), 1), first(axes, 0);
  bool as_it_is = true;
  for (size_t d = 0; d < axes; ++d) {
    int64_t lo = std::max<int64_t>(p.lo[d], 0), hi = std::max<int64_t>(p.hi[d], 0);
    int64_t reach = ops::reach(shape[d + 1], p.input_dilation[d]);
    as_it_is &= reach == shape[d + 1] && lo == 0 && hi == 0;
    start[d + 1] = lo, stop[d + 1] = lo + reach, step[d + 1] = p.input_dilation[d];
    shape[d + 1] = lo + reach + hi;
    first[d] = std::max<int64_t>(-p.lo[d], 0);
  }
  if (as_it_is) return {contiguous(x), first};
  return {slice_update(zeros(shape, x.dtype()), x, start, stop, step), first};
}
array turned(const P& p, const array& w) {
  std::vector<int> axes;
  for (size_t d = 1; d + 1 < w.ndim(); ++d) axes.push_back(static_cast<int>(d));
  return p.flip ? flip(w, axes) : w;
}

// The windows (groups, N, out..., kernel..., channels of a group), of which no element is copied
// yet.
array windows(const P& p, const Spread& from, const Shape& w, const Shape& out) {
  const Shape& x = from.x.shape();
  int64_t channels = x.back() / p.groups;
  Strides at(x.size(), 1);
  for (size_t i = x.size() - 1; i-- > 0;) at[i] = at[i + 1] * x[i + 1];
  Shape shape{x[0]};
  Strides strides{at[0]};
  int64_t offset = 0;
  size_t axes = x.size() - 2;
  if (p.groups > 1)
    shape.insert(shape.begin(), p.groups), strides.insert(strides.begin(), channels);
  for (size_t d = 0; d < axes; ++d) {
    shape.push_back(out[d + 1]), strides.push_back(at[d + 1] * p.stride[d]);
    offset += at[d + 1] * from.first[d];
  }
  for (size_t d = 0; d < axes; ++d)
    shape.push_back(w[d + 1]), strides.push_back(at[d + 1] * p.kernel_dilation[d]);
  shape.push_back(channels), strides.push_back(1);
  return as_strided(from.x, shape, strides, static_cast<size_t>(offset));
}

Arrays by_windows(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  const Shape &w = in[1].shape(), out = ops::Convolution::infer(params, in).shape;
  int64_t rows = size_of(out, 0, out.size() - 1), of_window = size_of(w, 1, w.size());
  array a = reshape(windows(p, spread(p, in[0]), w, out), {p.groups, rows, of_window});
  array b = reshape(turned(p, in[1]), {p.groups, w[0] / p.groups, of_window});
  array y = matmul(a, swapaxes(b, 1, 2));
  return {reshape(p.groups > 1 ? swapaxes(y, 0, 1) : y, out)};
}

bool takes_any(const Step& s) {
  return s.in[0].dtype == float32 && s.out.size() > 0 && s.in[0].size() > 0 && s.in[1].size() > 0;
}
// Axes of windows that a copy takes, and elements that are written once more.
bool takes_windows(const Step& s) {
  constexpr int64_t most = int64_t{1} << 31;
  const Shape& w = s.in[1].shape;
  int64_t copies = s.out.size() / w[0] * params_of(s).groups;
  return takes_any(s) && (params_of(s).groups == 1 || w.size() < 5) &&
         copies <= most / size_of(w, 1, w.size());
}
// A channel alone is a group, and x is not spread.
bool takes_depthwise(const Step& s) {
  const P& p = params_of(s);
  const Shape& w = s.in[1].shape;
  auto one = [](int64_t d) { return d == 1; };
  return takes_any(s) && p.groups == w[0] && w.back() == 1 && w.size() <= 5 &&
         s.out.size() <= INT32_MAX && s.in[0].size() <= INT32_MAX &&
         std::all_of(p.input_dilation.begin(), p.input_dilation.end(), one);
}
void run_depthwise(const Step& s, int, int) {
  const P& p = params_of(s);
  size_t axes = s.out.shape.size() - 2;
  DepthwiseCall c;
  c.x = s.in[0].as<const float>(), c.w = s.in[1].as<const float>(), c.y = s.out.as<float>();
  c.count = s.out.size(), c.channels = static_cast<int>(s.out.shape.back()), c.flip = p.flip;
  for (size_t d = 0; d < axes; ++d) {
    size_t to = 3 - axes + d;
    auto set = [to](int(&of)[3], int64_t n) { of[to] = static_cast<int>(n); };
    set(c.size, s.in[0].shape[d + 1]), set(c.out, s.out.shape[d + 1]);
    set(c.kernel, s.in[1].shape[d + 1]), set(c.stride, p.stride[d]);
    set(c.dilation, p.kernel_dilation[d]), set(c.lo, p.lo[d]);
  }
  launch_depthwise(c, queue());
  check(cudaGetLastError(), "a launch");
}

}  // namespace

void add_convolutions(KernelTable& t) {
  const Op& op = ops::op_of<ops::Convolution>;
  t.add(op, {.run = run_depthwise, .fits = takes_depthwise, .name = "a thread a number"});
  t.add(op, {.fits = takes_windows, .name = "windows", .expand = by_windows});
}

}  // namespace tarn::cuda
