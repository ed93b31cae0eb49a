// Products of dense matrices.
#include "tarn/ops/contract.h"

#include <algorithm>

#include "ops/compound.h"

namespace tarn {

using namespace ops;

namespace ops {

ArraySpec Matmul::infer(const Params&, std::span<const array> in) {
  Shape a(in[0].shape().begin(), in[0].shape().end() - 2);
  Shape b(in[1].shape().begin(), in[1].shape().end() - 2);
  Shape shape = broadcast_for("matmul", a, b);
  shape.push_back(in[0].shape(-2));
  shape.push_back(in[1].shape(-1));
  return {shape, in[0].dtype()};
}
Arrays Matmul::vmap(const Params&, std::span<const array> in, const Batch& batch) {
  size_t rank = 0;
  for (size_t i = 0; i < 2; ++i) rank = std::max(rank, in[i].ndim() - (batch.mapped[i] ? 1 : 0));
  array a = batch.mapped[0] ? align_batch(in[0], rank) : in[0];
  array b = batch.mapped[1] ? align_batch(in[1], rank) : in[1];
  return {matmul(a, b)};
}
std::vector<Maybe> Matmul::transpose(const Call& call, const array& g) {
  const array &a = call.in[0], &b = call.in[1];
  return {sum_to(matmul(g, swapaxes(b, -1, -2)), a.shape()),
          sum_to(matmul(swapaxes(a, -1, -2), g), b.shape())};
}

}  // namespace ops

array matmul(const array& a, const array& b, StreamOrDevice s) {
  require<ShapeError>(a.ndim() > 0 && b.ndim() > 0,
                      "[matmul] a has shape {} and b {}: a 0-d array has no matrix. Use multiply.",
                      text_of(a.shape()), text_of(b.shape()));
  Dtype t = result_type(a, b);
  require(issubdtype(t, inexact), "[matmul] a is {} and b {}: only floats are multiplied.",
          name_of(a.dtype()), name_of(b.dtype()));
  array x = astype(a, t, s), y = astype(b, t, s);
  if (a.ndim() == 1) x = expand_dims(x, 0, s);
  if (b.ndim() == 1) y = expand_dims(y, 1, s);
  require<ShapeError>(x.shape(-1) == y.shape(-2),
                      "[matmul] a has shape {} and b {}: inner sizes {} and {} differ.",
                      text_of(a.shape()), text_of(b.shape()), x.shape(-1), y.shape(-2));
  array out = record(op_of<Matmul>, {}, {x, y}, s);
  if (b.ndim() == 1) out = squeeze(out, -1, s);
  if (a.ndim() == 1) out = squeeze(out, b.ndim() == 1 ? -1 : -2, s);
  return out;
}
array addmm(array c, array a, array b, const float& alpha, const float& beta, StreamOrDevice s) {
  array product = matmul(a, b, s);
  if (alpha != 1) product = multiply(product, constant(product, double{alpha}), s);
  if (beta != 1) c = multiply(c, constant(c, double{beta}), s);
  return add(product, c, s);
}
array outer(const array& a, const array& b, StreamOrDevice s) {
  return multiply(reshape(a, {static_cast<int64_t>(a.size()), 1}, s), flatten(b, s), s);
}
array inner(const array& a, const array& b, StreamOrDevice s) {
  if (a.ndim() == 0 || b.ndim() == 0) return multiply(a, b, s);
  require<ShapeError>(a.shape(-1) == b.shape(-1),
                      "[inner] a has shape {} and b {}: last sizes {} and {} differ.",
                      text_of(a.shape()), text_of(b.shape()), a.shape(-1), b.shape(-1));
  return tensordot(a, b, {-1}, {-1}, s);
}
array tensordot(const array& a, const array& b, const std::vector<int>& axes_a,
                const std::vector<int>& axes_b, StreamOrDevice s) {
  require<ShapeError>(axes_a.size() == axes_b.size(), "[tensordot] {} axes of a and {} of b.",
                      axes_a.size(), axes_b.size());
  auto contracted = [](const array& x, const std::vector<int>& axes) {
    normalize_axes("tensordot", axes, x.ndim());
    std::vector<int> out;
    for (int axis : axes) out.push_back(normalize_axis("tensordot", axis, x.ndim()));
    return out;
  };
  auto rest = [](const array& x, const std::vector<int>& used) {
    std::vector<int> out;
    for (int i = 0; i < static_cast<int>(x.ndim()); ++i)
      if (std::find(used.begin(), used.end(), i) == used.end()) out.push_back(i);
    return out;
  };
  auto in_a = contracted(a, axes_a), in_b = contracted(b, axes_b);
  auto out_a = rest(a, in_a), out_b = rest(b, in_b);
  int64_t m = 1, k = 1, n = 1;
  Shape shape;
  for (size_t i = 0; i < in_a.size(); ++i) {
    require<ShapeError>(a.shape(in_a[i]) == b.shape(in_b[i]),
                        "[tensordot] axis {} of a has size {}, axis {} of b {}.", in_a[i],
                        a.shape(in_a[i]), in_b[i], b.shape(in_b[i]));
    k *= a.shape(in_a[i]);
  }
  for (int i : out_a) m *= a.shape(i), shape.push_back(a.shape(i));
  for (int i : out_b) n *= b.shape(i), shape.push_back(b.shape(i));
  auto order_a = out_a, order_b = in_b;
  order_a.insert(order_a.end(), in_a.begin(), in_a.end());
  order_b.insert(order_b.end(), out_b.begin(), out_b.end());
  array x = reshape(transpose(a, order_a, s), {m, k}, s);
  array y = reshape(transpose(b, order_b, s), {k, n}, s);
  return reshape(matmul(x, y, s), shape, s);
}
array tensordot(const array& a, const array& b, int axis, StreamOrDevice s) {
  int na = static_cast<int>(a.ndim()), nb = static_cast<int>(b.ndim());
  require<ShapeError>(axis >= 0 && axis <= na && axis <= nb,
                      "[tensordot] {} axes of arrays with {} and {}.", axis, na, nb);
  std::vector<int> axes_a, axes_b;
  for (int i = 0; i < axis; ++i) axes_a.push_back(na - axis + i), axes_b.push_back(i);
  return tensordot(a, b, axes_a, axes_b, s);
}

array vecdot(const array& a, const array& b, int axis, StreamOrDevice s) {
  require<ShapeError>(a.ndim() > 0 && b.ndim() > 0,
                      "[vecdot] a has shape {} and b {}: a 0-d array has no axis.",
                      text_of(a.shape()), text_of(b.shape()));
  int64_t n = a.shape(normalize_axis("vecdot", axis, a.ndim()));
  int64_t m = b.shape(normalize_axis("vecdot", axis, b.ndim()));
  require<ShapeError>(n == m,
                      "[vecdot] a has shape {} and b {}: sizes {} and {} on axis {} differ.",
                      text_of(a.shape()), text_of(b.shape()), n, m, axis);
  return sum(multiply(conjugate(a, s), b, s), axis, false, s);
}
array kron(const array& a, const array& b, StreamOrDevice s) {
  size_t n = std::max(a.ndim(), b.ndim());
  auto aligned = [n](const array& x) {
    Shape shape = x.shape();
    while (shape.size() < n) shape.insert(shape.begin(), 1);
    return shape;
  };
  Shape of_a = aligned(a), of_b = aligned(b), outer_shape, inner_shape, flat;
  for (size_t i = 0; i < n; ++i) {
    for (int64_t d : {of_a[i], int64_t{1}}) outer_shape.push_back(d);
    for (int64_t d : {int64_t{1}, of_b[i]}) inner_shape.push_back(d);
    flat.push_back(of_a[i] * of_b[i]);
  }
  return reshape(multiply(reshape(a, outer_shape, s), reshape(b, inner_shape, s), s), flat, s);
}

}  // namespace tarn
