// Norms and the cross product, in plain array operations.
#include <algorithm>
#include <cmath>

#include "ops/linalg.h"
#include "tarn/linalg.h"

namespace tarn::linalg {

using namespace ops;

namespace {

using MaybeAxes = std::optional<std::vector<int>>;

// 0 has derivative 0.
array root(const array& x, StreamOrDevice s) {
  array none = equal(x, constant(x, 0), s);
  return where(none, constant(x, 0), sqrt(where(none, constant(x, 1), x, s), s), s);
}
array squares(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? real_part(multiply(a, conjugate(a, s), s)) : square(a, s);
}
array magnitude(const array& a, StreamOrDevice s) {
  return a.dtype() == complex64 ? root(squares(a, s), s) : abs(a, s);
}
array floats(const array& a, StreamOrDevice s) {
  return issubdtype(a.dtype(), inexact) ? a : astype(a, float32, s);
}
array two_norm(const array& a, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  return root(sum(squares(a, s), axes, keepdims, s), s);
}
array vector_norm(const array& a, double ord, int axis, bool keepdims, StreamOrDevice s) {
  if (ord == 2) return two_norm(a, {axis}, keepdims, s);
  if (ord == 0) {
    array counts = astype(not_equal(a, constant(a, 0), s), real_of(a.dtype()), s);
    return sum(counts, axis, keepdims, s);
  }
  array size = magnitude(a, s);
  if (ord == 1) return sum(size, axis, keepdims, s);
  if (std::isinf(ord)) return ord > 0 ? max(size, axis, keepdims, s) : min(size, axis, keepdims, s);
  array powers = sum(power(size, constant(size, ord), s), axis, keepdims, s);
  return power(powers, constant(powers, 1 / ord), s);
}
// Singular values of the matrices of two axes, on the last one; halves through float32.
array singular_values(const array& a, const std::vector<int>& axes, StreamOrDevice s) {
  int n = static_cast<int>(a.ndim());
  std::vector<int> order;
  for (int i = 0; i < n; ++i)
    if (i != axes[0] && i != axes[1]) order.push_back(i);
  order.push_back(axes[0]), order.push_back(axes[1]);
  bool half = a.dtype() == float16 || a.dtype() == bfloat16;
  array m = transpose(half ? astype(a, float32, s) : a, order, s);
  array values = svd(m, false, s)[0];
  return half ? astype(values, a.dtype(), s) : values;
}
array with_axes(const array& x, const std::vector<int>& axes, bool keepdims, StreamOrDevice s) {
  if (!keepdims) return x;
  auto [low, high] = std::minmax(axes[0], axes[1]);
  return expand_dims(x, std::vector<int>{low, high}, s);
}
array matrix_norm(const array& a, double ord, const std::vector<int>& axes, bool keepdims,
                  StreamOrDevice s) {
  double size = std::abs(ord);
  require(size == 1 || size == 2 || std::isinf(ord),
          "[norm] ord is {} for matrices: it must be 1, -1, 2, -2, inf, -inf, \"fro\" or \"nuc\".",
          ord);
  if (size == 2) {
    array values = singular_values(a, axes, s);
    array one = ord > 0 ? max(values, -1, false, s) : min(values, -1, false, s);
    return with_axes(one, axes, keepdims, s);
  }
  array sums = sum(magnitude(a, s), size == 1 ? axes[0] : axes[1], true, s);
  array one = ord > 0 ? max(sums, axes, true, s) : min(sums, axes, true, s);
  return keepdims ? one : squeeze(one, axes, s);
}
// Axes counted from the front, in the order given; without any, those of a vector or a matrix.
std::vector<int> axes_of(const array& a, const MaybeAxes& axis) {
  std::vector<int> axes;
  if (!axis)
    for (int i = 0; i < static_cast<int>(a.ndim()); ++i) axes.push_back(i);
  else
    for (int i : *axis) axes.push_back(normalize_axis("norm", i, a.ndim()));
  require<ShapeError>(axes.size() == 1 || (axes.size() == 2 && axes[0] != axes[1]),
                      "[norm] {} axes of an array of shape {}: a norm is over 1 axis or 2 "
                      "different ones.",
                      axes.size(), text_of(a.shape()));
  return axes;
}

}  // namespace

array norm(const array& a, const MaybeAxes& axis, bool keepdims, StreamOrDevice s) {
  array x = floats(a, s);
  if (axis) return two_norm(x, axes_of(a, axis), keepdims, s);
  std::vector<int> all;
  for (int i = 0; i < static_cast<int>(a.ndim()); ++i) all.push_back(i);
  return two_norm(x, all, keepdims, s);
}
array norm(const array& a, double ord, const MaybeAxes& axis, bool keepdims, StreamOrDevice s) {
  auto axes = axes_of(a, axis);
  array x = floats(a, s);
  if (axes.size() == 1) return vector_norm(x, ord, axes[0], keepdims, s);
  return matrix_norm(x, ord, axes, keepdims, s);
}
array norm(const array& a, const std::string& ord, const MaybeAxes& axis, bool keepdims,
           StreamOrDevice s) {
  auto axes = axes_of(a, axis);
  require(ord == "fro" || ord == "f" || ord == "nuc",
          "[norm] ord is \"{}\": as a word it must be \"fro\", \"f\" or \"nuc\".", ord);
  require<ShapeError>(axes.size() == 2,
                      "[norm] ord \"{}\" is for matrices: it needs 2 axes, not 1.", ord);
  array x = floats(a, s);
  if (ord != "nuc") return two_norm(x, axes, keepdims, s);
  return with_axes(sum(singular_values(x, axes, s), -1, false, s), axes, keepdims, s);
}
array norm(const array& a, double ord, int axis, bool keepdims, StreamOrDevice s) {
  return norm(a, ord, std::vector<int>{axis}, keepdims, s);
}
array norm(const array& a, const std::string& ord, int axis, bool keepdims, StreamOrDevice s) {
  return norm(a, ord, std::vector<int>{axis}, keepdims, s);
}
array norm(const array& a, int axis, bool keepdims, StreamOrDevice s) {
  return norm(a, std::vector<int>{axis}, keepdims, s);
}

array cross(const array& a, const array& b, int axis, StreamOrDevice s) {
  int n = static_cast<int>(std::max(a.ndim(), b.ndim()));
  int at = normalize_axis("cross", axis, static_cast<size_t>(n)) - n;  // from the end, for both
  auto size = [&](const array& x) { return -at > int(x.ndim()) ? 0 : x.shape(at); };
  require<ShapeError>((size(a) == 2 || size(a) == 3) && (size(b) == 2 || size(b) == 3),
                      "[cross] a has shape {} and b {}: both need size 2 or 3 on axis {}.",
                      text_of(a.shape()), text_of(b.shape()), axis);
  Dtype t = result_type(a, b);
  auto parts = [&](const array& x) {
    auto p = split(astype(x, t, s), static_cast<int>(x.shape(at)), at, s);
    if (p.size() == 2) p.push_back(zeros_like(p[0], s));
    return p;
  };
  auto x = parts(a), y = parts(b);
  auto minor = [&](size_t i, size_t j) {
    return subtract(multiply(x[i], y[j], s), multiply(x[j], y[i], s), s);
  };
  return concatenate({minor(1, 2), minor(2, 0), minor(0, 1)}, at, s);
}

}  // namespace tarn::linalg
