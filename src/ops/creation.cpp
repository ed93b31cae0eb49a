// Arrays from nothing.
#include "tarn/ops/creation.h"

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>

#include "ops/compound.h"
#include "ops/movement.h"

namespace tarn {

using namespace ops;

namespace ops {
ArraySpec Arange::infer(const Params& p, std::span<const array>) {
  const auto& a = p.as<P>();
  return {Shape{a.count}, a.dtype};
}
ArraySpec ElementCount::infer(const Params& p, std::span<const array>) {
  return {Shape{}, p.as<P>().dtype};
}
double ElementCount::P::value() const {
  double left = -less;
  left += std::accumulate(sizes.begin(), sizes.end(), 1.0, std::multiplies<>());
  if (!inverted) return left;
  return left > 0 || less == 0 ? 1 / left : std::numeric_limits<double>::quiet_NaN();
}
array element_count(const char* op, const array& a, const std::vector<int>& axes, ElementCount::P p,
                    StreamOrDevice s) {
  for (int axis : normalize_axes(op, axes, a.ndim())) p.sizes.push_back(a.shape(axis));
  return record(op_of<ElementCount>, p, {}, s);
}
}  // namespace ops

array arange(double start, double stop, double step, Dtype dtype, StreamOrDevice s) {
  require(dtype != bool_, "[arange] dtype bool has only two numbers; use an integer dtype.");
  require(step != 0 && !std::isnan(step), "[arange] the step is {}; it must not be 0.", step);
  require(std::isfinite(start) && !std::isnan(stop), "[arange] from {} to {}: not a finite range.",
          start, stop);
  double count = std::isinf(step) ? 1.0 : std::max(std::ceil((stop - start) / step), 0.0);
  require(count < 0x1p48, "[arange] from {} to {} by {} has {} elements.", start, stop, step,
          count);
  if (std::isinf(step)) step = 0;
  return record(op_of<Arange>, Arange::P{start, step, static_cast<int64_t>(count), dtype}, {}, s);
}
array arange(double start, double stop, double step, StreamOrDevice s) {
  return arange(start, stop, step, float32, s);
}
array arange(double start, double stop, Dtype dtype, StreamOrDevice s) {
  return arange(start, stop, 1.0, dtype, s);
}
array arange(double start, double stop, StreamOrDevice s) {
  return arange(start, stop, 1.0, float32, s);
}
array arange(double stop, Dtype dtype, StreamOrDevice s) {
  return arange(0.0, stop, 1.0, dtype, s);
}
array arange(double stop, StreamOrDevice s) { return arange(0.0, stop, 1.0, float32, s); }
array arange(int start, int stop, int step, StreamOrDevice s) {
  return arange(double(start), double(stop), double(step), int32, s);
}
array arange(int start, int stop, StreamOrDevice s) { return arange(start, stop, 1, s); }
array arange(int stop, StreamOrDevice s) { return arange(0, stop, 1, s); }

array linspace(double start, double stop, int num, bool endpoint, Dtype dtype, StreamOrDevice s) {
  require(num >= 0, "[linspace] num is {}; it must not be negative.", num);
  Dtype work = dtype == float64 ? float64 : float32;
  int parts = endpoint ? num - 1 : num;
  if (parts <= 0) return astype(full(Shape{num}, array(start, work), s), dtype, s);
  array i = arange(0, num, work, s);
  array t = divide(i, array(double(parts), work), s);
  array one = array(1.0, work);
  array points = add(multiply(subtract(one, t, s), array(start, work), s),
                     multiply(t, array(stop, work), s), s);
  return astype(points, dtype, s);
}
array linspace(double start, double stop, int num, Dtype dtype, StreamOrDevice s) {
  return linspace(start, stop, num, true, dtype, s);
}

array full(Shape shape, const array& vals, Dtype dtype, StreamOrDevice s) {
  for (auto d : shape)
    require<ShapeError>(d >= 0, "[full] shape {} has a negative size.", text_of(shape));
  return copy(broadcast_to(astype(vals, dtype, s), shape, s), s);
}
array full(Shape shape, const array& vals, StreamOrDevice s) {
  return full(std::move(shape), vals, vals.dtype(), s);
}
array full_like(const array& a, const array& vals, Dtype dtype, StreamOrDevice s) {
  return full(a.shape(), vals, dtype, s);
}
array full_like(const array& a, const array& vals, StreamOrDevice s) {
  return full(a.shape(), vals, a.dtype(), s);
}
array zeros(Shape shape, Dtype dtype, StreamOrDevice s) {
  return full(std::move(shape), array(0, dtype), s);
}
array zeros(Shape shape, StreamOrDevice s) { return zeros(std::move(shape), float32, s); }
array zeros_like(const array& a, StreamOrDevice s) { return zeros(a.shape(), a.dtype(), s); }
array zeros_like(const array& a, Dtype dtype, StreamOrDevice s) {
  return zeros(a.shape(), dtype, s);
}
array ones(Shape shape, Dtype dtype, StreamOrDevice s) {
  return full(std::move(shape), array(1, dtype), s);
}
array ones(Shape shape, StreamOrDevice s) { return ones(std::move(shape), float32, s); }
array ones_like(const array& a, StreamOrDevice s) { return ones(a.shape(), a.dtype(), s); }
array ones_like(const array& a, Dtype dtype, StreamOrDevice s) { return ones(a.shape(), dtype, s); }

namespace {
// column - row of an (n, m) matrix, as int64.
array offsets(int n, int m, StreamOrDevice s) {
  array rows = reshape(arange(0.0, n, int64, s), {n, 1}, s);
  array columns = reshape(arange(0.0, m, int64, s), {1, m}, s);
  return subtract(columns, rows, s);
}
void check_matrix(const char* op, int n, int m) {
  require<ShapeError>(n >= 0 && m >= 0, "[{}] a matrix of {} rows and {} columns.", op, n, m);
}
array band(const array& x, int k, bool lower, StreamOrDevice s) {
  const char* name = lower ? "tril" : "triu";
  require<ShapeError>(x.ndim() >= 2, "[{}] needs at least 2 axes, got shape {}.", name,
                      text_of(x.shape()));
  array d = offsets(static_cast<int>(x.shape(-2)), static_cast<int>(x.shape(-1)), s);
  array bound = array(k, int64);
  array keep = lower ? less_equal(d, bound, s) : greater_equal(d, bound, s);
  return where(keep, x, array(0, x.dtype()), s);
}
}  // namespace

array eye(int n, int m, int k, Dtype dtype, StreamOrDevice s) {
  check_matrix("eye", n, m);
  return astype(equal(offsets(n, m, s), array(k, int64), s), dtype, s);
}
array eye(int n, Dtype dtype, StreamOrDevice s) { return eye(n, n, 0, dtype, s); }
array eye(int n, int m, StreamOrDevice s) { return eye(n, m, 0, float32, s); }
array eye(int n, int m, int k, StreamOrDevice s) { return eye(n, m, k, float32, s); }
array eye(int n, StreamOrDevice s) { return eye(n, n, 0, float32, s); }
array identity(int n, Dtype dtype, StreamOrDevice s) { return eye(n, n, 0, dtype, s); }
array identity(int n, StreamOrDevice s) { return eye(n, n, 0, float32, s); }
array tri(int n, int m, int k, Dtype type, StreamOrDevice s) {
  check_matrix("tri", n, m);
  return astype(less_equal(offsets(n, m, s), array(k, int64), s), type, s);
}
array tri(int n, Dtype type, StreamOrDevice s) { return tri(n, n, 0, type, s); }
array tril(const array& x, int k, StreamOrDevice s) { return band(x, k, true, s); }
array triu(const array& x, int k, StreamOrDevice s) { return band(x, k, false, s); }

std::vector<array> meshgrid(const std::vector<array>& arrays, bool sparse,
                            const std::string& indexing, StreamOrDevice s) {
  require(indexing == "xy" || indexing == "ij",
          "[meshgrid] indexing is \"{}\"; it must be \"xy\" or \"ij\".", indexing);
  size_t n = arrays.size();
  auto axis_of = [&](size_t i) {
    bool swap = indexing == "xy" && n >= 2 && i < 2;
    return swap ? 1 - i : i;
  };
  Shape grid(n, 1);
  for (size_t i = 0; i < n; ++i) grid[axis_of(i)] = static_cast<int64_t>(arrays[i].size());
  std::vector<array> out;
  for (size_t i = 0; i < n; ++i) {
    Shape shape(n, 1);
    shape[axis_of(i)] = static_cast<int64_t>(arrays[i].size());
    array a = reshape(arrays[i], shape, s);
    out.push_back(sparse ? a : broadcast_to(a, grid, s));
  }
  return out;
}

namespace {
// value(n, M - 1) at the points n = 0 ... M - 1.
template <class F>
array window(int M, F value, StreamOrDevice s) {
  if (M < 1) return zeros(Shape{0}, s);
  if (M == 1) return ones(Shape{1}, s);
  return value(arange(0.0, M, float32, s), M - 1);
}
// cos(2 pi k n / last), as float32.
array cosine(const array& n, int last, double k, StreamOrDevice s) {
  return cos(multiply(n, constant(n, 2 * std::numbers::pi * k / last), s), s);
}
array raised_cosine(int M, double mean, StreamOrDevice s) {
  auto value = [&](const array& n, int last) {
    array c = cosine(n, last, 1, s);
    return subtract(constant(c, mean), multiply(constant(c, 1 - mean), c, s), s);
  };
  return window(M, value, s);
}
}  // namespace

array hanning(int M, StreamOrDevice s) { return raised_cosine(M, 0.5, s); }
array hamming(int M, StreamOrDevice s) { return raised_cosine(M, 0.54, s); }
array bartlett(int M, StreamOrDevice s) {
  auto value = [&](const array& n, int last) {
    array at = multiply(n, constant(n, 2.0 / last), s);
    return subtract(constant(at, 1), abs(subtract(at, constant(at, 1), s), s), s);
  };
  return window(M, value, s);
}
array blackman(int M, StreamOrDevice s) {
  auto value = [&](const array& n, int last) {
    array once = cosine(n, last, 1, s), twice = cosine(n, last, 2, s);
    // In this order the ends are exactly 0.
    array even = add(constant(n, 0.42), multiply(constant(n, 0.08), twice, s), s);
    return subtract(even, multiply(constant(n, 0.5), once, s), s);
  };
  return window(M, value, s);
}

}  // namespace tarn
