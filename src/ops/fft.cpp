// Fourier transforms: the rules, and the public functions of one, two and all axes.
#include "ops/fft.h"

#include <cmath>
#include <numeric>

#include "tarn/fft.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

// 1 for the first number of half a transform of n and, when n is even, the last; else `inner`.
array edge_weights(const array& like, int axis, int64_t n, float inner) {
  int64_t size = n / 2 + 1;
  std::vector<float> w(static_cast<size_t>(size), inner);
  w.front() = 1;
  if (n % 2 == 0) w.back() = 1;
  Shape shape(like.ndim(), 1);
  shape[static_cast<size_t>(axis)] = size;
  return array(w.begin(), shape, float32);
}
template <class P>
P next_axis(P p) {
  ++p.axis;
  return p;
}

}  // namespace

ArraySpec Fft::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), complex64};
}
Arrays Fft::vmap(const Params& params, std::span<const array> in, const Batch&) {
  return {record(op_of<Fft>, next_axis(params.as<P>()), {in[0]}, {})};
}
std::vector<Maybe> Fft::transpose(const Call& call, const array& g) {
  // The matrix e^(-2 pi i j k / n) is its own transpose.
  return {astype(record(op_of<Fft>, call.params, {g}, {}), call.in[0].dtype())};
}

ArraySpec Rfft::infer(const Params& params, std::span<const array> in) {
  Shape shape = in[0].shape();
  auto axis = static_cast<size_t>(params.as<P>().axis);
  shape[axis] = shape[axis] / 2 + 1;
  return {std::move(shape), complex64};
}
Arrays Rfft::vmap(const Params& params, std::span<const array> in, const Batch&) {
  return {record(op_of<Rfft>, next_axis(params.as<P>()), {in[0]}, {})};
}
std::vector<Maybe> Rfft::transpose(const Call& call, const array& g) {
  // Re(g[k] e^(-i a)) is Re(conj(g[k]) e^(i a)), which irfft adds up twice but at the edges.
  const auto& p = call.params.as<P>();
  int64_t n = call.in[0].shape(p.axis);
  array half = conjugate(g) * edge_weights(g, p.axis, n, 0.5f);
  array back = record(op_of<Irfft>, Irfft::P{p.axis, n, p.scale}, {half}, {});
  return {astype(back, call.in[0].dtype())};
}

ArraySpec Irfft::infer(const Params& params, std::span<const array> in) {
  Shape shape = in[0].shape();
  const auto& p = params.as<P>();
  shape[static_cast<size_t>(p.axis)] = p.n;
  return {std::move(shape), float32};
}
Arrays Irfft::vmap(const Params& params, std::span<const array> in, const Batch&) {
  return {record(op_of<Irfft>, next_axis(params.as<P>()), {in[0]}, {})};
}
std::vector<Maybe> Irfft::transpose(const Call& call, const array& g) {
  const auto& p = call.params.as<P>();
  array all = conjugate(record(op_of<Rfft>, Rfft::P{p.axis, p.scale}, {g}, {}));
  return {all * edge_weights(all, p.axis, p.n, 2)};
}

}  // namespace ops

namespace fft {
namespace {

using Numbers = std::vector<int>;

double scale_of(FFTNorm norm, bool inverse, int64_t n) {
  auto size = static_cast<double>(n);
  if (norm == FFTNorm::Ortho) return 1 / std::sqrt(size);
  return inverse == (norm == FFTNorm::Backward) ? 1 / size : 1;
}

// Cut or filled up with zeros to `size` along `axis`.
array resized(const array& a, int axis, int64_t size, StreamOrDevice s) {
  int64_t now = a.shape(axis);
  if (now == size) return a;
  if (now < size) return pad(a, {axis}, {0}, {size - now}, array(0, a.dtype()), "constant", s);
  Shape start(a.ndim(), 0), stop = a.shape();
  stop[static_cast<size_t>(axis)] = size;
  return slice(a, start, stop, s);
}

// float32 and complex64 are transformed as they are, float64 as well, halves and integers as
// float32.
Dtype real_type(const array& a) { return a.dtype() == float64 ? float64 : float32; }

array along(const array& a, int axis, bool inverse, FFTNorm norm, StreamOrDevice s) {
  array x = a.dtype() == complex64 ? a : astype(a, real_type(a), s);
  double scale = scale_of(norm, inverse, x.shape(axis));
  return record(op_of<Fft>, Fft::P{axis, inverse, scale}, {x}, s);
}
array real_along(const char* op, const array& a, int axis, FFTNorm norm, StreamOrDevice s) {
  require(a.dtype() != complex64, "[{}] a is complex64: only real numbers have half a transform.",
          op);
  double scale = scale_of(norm, false, a.shape(axis));
  return record(op_of<Rfft>, Rfft::P{axis, scale}, {astype(a, real_type(a), s)}, s);
}
array back_along(const array& a, int axis, int64_t n, FFTNorm norm, StreamOrDevice s) {
  double scale = scale_of(norm, true, n);
  return record(op_of<Irfft>, Irfft::P{axis, n, scale}, {astype(a, complex64, s)}, s);
}

// The axes to transform, in order, and how long each shall be.
struct Plan {
  Numbers axes{};
  Shape sizes{};
};
// `half` says that the last axis holds half a transform, whose full length is asked for.
Plan plan_of(const char* op, const array& a, const Numbers& axes, const Shape* sizes, bool half) {
  require<ShapeError>(!axes.empty(), "[{}] a has shape {}: no axis to transform.", op,
                      text_of(a.shape()));
  normalize_axes(op, axes, a.ndim());  // refuses one given twice
  require<ShapeError>(!sizes || sizes->size() == axes.size(), "[{}] {} sizes for {} axes.", op,
                      sizes ? sizes->size() : 0, axes.size());
  Plan p;
  for (size_t i = 0; i < axes.size(); ++i) {
    int axis = normalize_axis(op, axes[i], a.ndim());
    int64_t now = a.shape(axis);
    if (half && i + 1 == axes.size()) now = 2 * (now - 1);
    int64_t size = sizes ? (*sizes)[i] : now;
    require<ShapeError>(size >= 1,
                        "[{}] axis {} is transformed with length {}: it must be 1 or more.", op,
                        axis, size);
    p.axes.push_back(axis), p.sizes.push_back(size);
  }
  return p;
}

Numbers every_axis(const array& a) {
  Numbers axes(a.ndim());
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}
array complex_axes(const char* op, array a, const Numbers& axes, const Shape* sizes, bool inverse,
                   FFTNorm norm, StreamOrDevice s) {
  Plan p = plan_of(op, a, axes, sizes, false);
  for (size_t i = 0; i < p.axes.size(); ++i) a = resized(a, p.axes[i], p.sizes[i], s);
  for (size_t i = p.axes.size(); i-- > 0;) a = along(a, p.axes[i], inverse, norm, s);
  return a;
}
array real_axes(const char* op, array a, const Numbers& axes, const Shape* sizes, FFTNorm norm,
                StreamOrDevice s) {
  Plan p = plan_of(op, a, axes, sizes, false);
  for (size_t i = 0; i < p.axes.size(); ++i) a = resized(a, p.axes[i], p.sizes[i], s);
  a = real_along(op, a, p.axes.back(), norm, s);
  for (size_t i = p.axes.size() - 1; i-- > 0;) a = along(a, p.axes[i], false, norm, s);
  return a;
}
array back_axes(const char* op, array a, const Numbers& axes, const Shape* sizes, FFTNorm norm,
                StreamOrDevice s) {
  Plan p = plan_of(op, a, axes, sizes, true);
  size_t last = p.axes.size() - 1;
  for (size_t i = 0; i < last; ++i) a = resized(a, p.axes[i], p.sizes[i], s);
  a = resized(a, p.axes[last], p.sizes[last] / 2 + 1, s);
  for (size_t i = 0; i < last; ++i) a = along(a, p.axes[i], true, norm, s);
  return back_along(a, p.axes[last], p.sizes[last], norm, s);
}

array shifted(const char* op, array a, const Numbers& axes, bool back, StreamOrDevice s) {
  normalize_axes(op, axes, a.ndim());
  for (int axis : axes) {
    int64_t n = a.shape(normalize_axis(op, axis, a.ndim()));
    require<ShapeError>(n <= INT32_MAX, "[{}] an axis of size {} is too long.", op, n);
    a = roll(a, static_cast<int>(back ? n - n / 2 : n / 2), axis, s);
  }
  return a;
}

}  // namespace

#define TARN_TRANSFORM(name)                                                                 \
  array name(const array& a, const Shape& n, const std::vector<int>& axes, FFTNorm norm,     \
             StreamOrDevice s) {                                                             \
    return TARN_BODY(name, a, axes, &n);                                                     \
  }                                                                                          \
  array name(const array& a, const std::vector<int>& axes, FFTNorm norm, StreamOrDevice s) { \
    return TARN_BODY(name, a, axes, nullptr);                                                \
  }
#define TARN_TRANSFORM_ALL(name)                               \
  array name(const array& a, FFTNorm norm, StreamOrDevice s) { \
    return TARN_BODY(name, a, every_axis(a), nullptr);         \
  }
#define TARN_TRANSFORM_ONE(name)                                                \
  array name(const array& a, int n, int axis, FFTNorm norm, StreamOrDevice s) { \
    Shape size{n};                                                              \
    return TARN_BODY(name, a, Numbers{axis}, &size);                            \
  }                                                                             \
  array name(const array& a, int axis, FFTNorm norm, StreamOrDevice s) {        \
    return TARN_BODY(name, a, Numbers{axis}, nullptr);                          \
  }

#define TARN_BODY(name, a, axes, n) complex_axes(#name, a, axes, n, false, norm, s)
TARN_TRANSFORM(fftn)
TARN_TRANSFORM_ALL(fftn)
TARN_TRANSFORM(fft2)
TARN_TRANSFORM_ONE(fft)
#undef TARN_BODY
#define TARN_BODY(name, a, axes, n) complex_axes(#name, a, axes, n, true, norm, s)
TARN_TRANSFORM(ifftn)
TARN_TRANSFORM_ALL(ifftn)
TARN_TRANSFORM(ifft2)
TARN_TRANSFORM_ONE(ifft)
#undef TARN_BODY
#define TARN_BODY(name, a, axes, n) real_axes(#name, a, axes, n, norm, s)
TARN_TRANSFORM(rfftn)
TARN_TRANSFORM_ALL(rfftn)
TARN_TRANSFORM(rfft2)
TARN_TRANSFORM_ONE(rfft)
#undef TARN_BODY
#define TARN_BODY(name, a, axes, n) back_axes(#name, a, axes, n, norm, s)
TARN_TRANSFORM(irfftn)
TARN_TRANSFORM_ALL(irfftn)
TARN_TRANSFORM(irfft2)
TARN_TRANSFORM_ONE(irfft)
#undef TARN_BODY
#undef TARN_TRANSFORM
#undef TARN_TRANSFORM_ALL
#undef TARN_TRANSFORM_ONE

array fftfreq(int n, double d, StreamOrDevice) {
  require(n >= 1, "[fftfreq] n is {}: it must be 1 or more.", n);
  std::vector<float> f(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i)
    f[static_cast<size_t>(i)] = static_cast<float>((i <= (n - 1) / 2 ? i : i - n) / (n * d));
  return array(f.begin(), {n}, float32);
}
array rfftfreq(int n, double d, StreamOrDevice) {
  require(n >= 1, "[rfftfreq] n is {}: it must be 1 or more.", n);
  std::vector<float> f(static_cast<size_t>(n / 2 + 1));
  for (size_t i = 0; i < f.size(); ++i) f[i] = static_cast<float>(static_cast<double>(i) / (n * d));
  return array(f.begin(), {n / 2 + 1}, float32);
}
array fftshift(const array& a, StreamOrDevice s) { return fftshift(a, every_axis(a), s); }
array fftshift(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  return shifted("fftshift", a, axes, false, s);
}
array ifftshift(const array& a, StreamOrDevice s) { return ifftshift(a, every_axis(a), s); }
array ifftshift(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  return shifted("ifftshift", a, axes, true, s);
}

}  // namespace fft
}  // namespace tarn
