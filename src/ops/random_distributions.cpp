// Distributions made of uniform numbers: MLX's formulas, in MLX's order of operations.
#include <cmath>
#include <numbers>

#include "ops/kinds.h"
#include "tarn/random.h"

namespace tarn::random {

using namespace ops;

namespace {

void check_float(const char* op, Dtype t) {
  require(issubdtype(t, floating), "[{}] dtype is {}; it must be a float.", op, name_of(t));
}
// Uniform float32 in (-1, 1): the lower bound is the float above -1.
array symmetric_uniform(const Shape& shape, const std::optional<array>& k, StreamOrDevice s) {
  return uniform(array(-0x1.fffffep-1f), array(1.0f), shape, float32, k, s);
}
std::optional<array> unless_equal(float value, float neutral) {
  if (value == neutral) return std::nullopt;
  return array(value);
}
array moved(array x, const std::optional<array>& loc, Dtype dtype, StreamOrDevice s) {
  return loc ? add(astype(*loc, dtype, s), x, s) : x;
}
array complex_normal(Shape shape, const std::optional<array>& loc,
                     const std::optional<array>& scale, const std::optional<array>& k,
                     StreamOrDevice s) {
  shape.push_back(2);
  array parts = erfinv(symmetric_uniform(shape, k, s), s);
  array z = squeeze(view(parts, complex64, s), -1, s);
  if (scale) z = multiply(astype(*scale, complex64, s), z, s);
  return moved(z, loc, complex64, s);
}

}  // namespace

array normal(const Shape& shape, Dtype dtype, const std::optional<array>& loc,
             const std::optional<array>& scale, const std::optional<array>& k, StreamOrDevice s) {
  if (dtype == complex64) return complex_normal(shape, loc, scale, k, s);
  require(issubdtype(dtype, floating), "[normal] dtype is {}; it must be a float or complex64.",
          name_of(dtype));
  array n = astype(erfinv(symmetric_uniform(shape, k, s), s), dtype, s);
  array factor = array(std::numbers::sqrt2, dtype);
  if (scale) factor = multiply(factor, astype(*scale, dtype, s), s);
  return moved(multiply(factor, n, s), loc, dtype, s);
}
array normal(const Shape& shape, Dtype dtype, float loc, float scale, const std::optional<array>& k,
             StreamOrDevice s) {
  return normal(shape, dtype, unless_equal(loc, 0), unless_equal(scale, 1), k, s);
}
array normal(const Shape& shape, float loc, float scale, const std::optional<array>& k,
             StreamOrDevice s) {
  return normal(shape, float32, loc, scale, k, s);
}
array normal(const Shape& shape, Dtype dtype, const std::optional<array>& k, StreamOrDevice s) {
  return normal(shape, dtype, std::nullopt, std::nullopt, k, s);
}
array normal(const Shape& shape, const std::optional<array>& k, StreamOrDevice s) {
  return normal(shape, float32, k, s);
}

array truncated_normal(const array& lower, const array& upper, const Shape& shape, Dtype dtype,
                       const std::optional<array>& k, StreamOrDevice s) {
  check_float("truncated_normal", dtype);
  array root = array(std::numbers::sqrt2, dtype);
  array low = astype(lower, dtype, s), high = astype(upper, dtype, s);
  array a = erf(divide(low, root, s), s), b = erf(divide(high, root, s), s);
  array out = multiply(root, erfinv(uniform(a, b, shape, dtype, k, s), s), s);
  return maximum(minimum(high, out, s), low, s);
}
array truncated_normal(const array& lower, const array& upper, Dtype dtype,
                       const std::optional<array>& k, StreamOrDevice s) {
  return truncated_normal(
      lower, upper, broadcast_for("truncated_normal", lower.shape(), upper.shape()), dtype, k, s);
}

array gumbel(const Shape& shape, Dtype dtype, const std::optional<array>& k, StreamOrDevice s) {
  array u = uniform(shape, dtype, k, s);
  return negative(log(negative(log(u, s), s), s), s);
}

array laplace(const Shape& shape, Dtype dtype, float loc, float scale,
              const std::optional<array>& k, StreamOrDevice s) {
  check_float("laplace", dtype);
  array u = symmetric_uniform(shape, k, s);
  array x = astype(multiply(sign(u, s), log1p(negative(abs(u, s), s), s), s), dtype, s);
  if (scale != 1) x = multiply(array(double{scale}, dtype), x, s);
  return moved(x, unless_equal(loc, 0), dtype, s);
}
array laplace(const Shape& shape, float loc, float scale, const std::optional<array>& k,
              StreamOrDevice s) {
  return laplace(shape, float32, loc, scale, k, s);
}
array laplace(const Shape& shape, Dtype dtype, const std::optional<array>& k, StreamOrDevice s) {
  return laplace(shape, dtype, 0, 1, k, s);
}
array laplace(const Shape& shape, const std::optional<array>& k, StreamOrDevice s) {
  return laplace(shape, float32, k, s);
}

namespace {

// One row of logits, many draws: each uniform number's place among the running sums.
array by_running_sum(const array& logits, const Shape& shape, const std::optional<array>& k,
                     StreamOrDevice s) {
  array sums = cumsum(softmax(flatten(logits, s), -1, true, s), 0, false, true, s);
  array u = uniform(shape, float32, k, s);
  array place = searchsorted(sums, u, "left", s);
  // Rounded sums may end below 1.
  return minimum(place, array(static_cast<int64_t>(logits.size()) - 1, uint32), s);
}
// The largest of logits plus gumbel noise. `shape` is the result's.
array by_gumbel(const array& logits, int axis, const Shape& shape, const std::optional<array>& k,
                StreamOrDevice s) {
  size_t at = static_cast<size_t>(axis) + shape.size() + 1 - logits.ndim();
  Shape noisy = shape;
  noisy.insert(noisy.begin() + at, logits.shape(axis));
  return argmax(add(gumbel(noisy, float32, k, s), logits, s), static_cast<int>(at), false, s);
}
array drawn(const array& logits, int axis, const Shape& shape, const std::optional<array>& k,
            StreamOrDevice s) {
  int64_t count = 1;
  for (auto d : shape) count *= d;
  bool one_row = static_cast<int64_t>(logits.size()) == logits.shape(axis);
  if (one_row && count > 1) return by_running_sum(logits, shape, k, s);
  return by_gumbel(logits, axis, shape, k, s);
}
Shape without(const Shape& shape, int axis) {
  Shape out = shape;
  out.erase(out.begin() + axis);
  return out;
}
int checked_axis(const array& logits, int axis) {
  int at = normalize_axis("categorical", axis, logits.ndim());
  require(logits.shape(at) > 0, "[categorical] axis {} of shape {} is empty.", at,
          text_of(logits.shape()));
  return at;
}

}  // namespace

array categorical(const array& logits, int axis, const Shape& shape, const std::optional<array>& k,
                  StreamOrDevice s) {
  int at = checked_axis(logits, axis);
  Shape rest = without(logits.shape(), at);
  require<ShapeError>(
      broadcast_for("categorical", shape, rest) == shape,
      "[categorical] the shape {} does not take logits of shape {} without axis {}.",
      text_of(shape), text_of(logits.shape()), at);
  return drawn(logits, at, shape, k, s);
}
array categorical(const array& logits, int axis, int num_samples, const std::optional<array>& k,
                  StreamOrDevice s) {
  int at = checked_axis(logits, axis);
  require(num_samples >= 0, "[categorical] {} samples.", num_samples);
  Shape shape = without(logits.shape(), at);
  shape.push_back(num_samples);
  return drawn(expand_dims(logits, -1, s), at, shape, k, s);
}
array categorical(const array& logits, int axis, const std::optional<array>& k, StreamOrDevice s) {
  int at = checked_axis(logits, axis);
  return by_gumbel(logits, at, without(logits.shape(), at), k, s);
}

}  // namespace tarn::random
