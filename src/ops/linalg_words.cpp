// Words that the rules of decompositions share.
#include "ops/linalg.h"
#include "ops/movement.h"

namespace tarn::ops {
namespace {

array box(const array& m, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  size_t rank = m.ndim();
  Shape start(rank, 0), size = m.shape(), step(rank, 1);
  start[rank - 2] = row, start[rank - 1] = column;
  size[rank - 2] = rows, size[rank - 1] = columns;
  return size == m.shape() ? m : slice_of(m, start, size, step);
}
int as_int(int64_t n) { return static_cast<int>(n); }

}  // namespace

array turned(const array& m) { return swapaxes(m, -1, -2); }
array adjoint(const array& m) { return conjugate(turned(m)); }
Dtype real_of(Dtype t) { return t == complex64 ? float32 : t; }
array real_part(const array& x) { return astype(x, real_of(x.dtype())); }

array half_lower(const array& m) {
  int n = as_int(m.shape(-1));
  Dtype t = real_of(m.dtype());
  return tril(m) * (ones({n, n}, t) - eye(n, t) * array(0.5, t));
}
array hermitian(const array& m, bool upper) {
  array half = half_lower(upper ? adjoint(m) : m);
  return half + adjoint(half);
}
array triangle_of(const array& g, bool upper) {
  array half = half_lower(g + adjoint(g));
  return upper ? adjoint(half) : half;
}
array diagonal_matrix(const array& v) {
  int n = as_int(v.shape(-1));
  return where(eye(n, bool_), expand_dims(v, -1), constant(v, 0));
}
array diagonal_of(const array& m) { return diagonal(m, 0, -2, -1); }

array ratio(const array& x, const array& d) {
  array none = x == constant(x, 0);
  return where(none, constant(x, 0), x / where(none, constant(d, 1), d));
}
array times_columns(const array& m, const array& v) { return m * expand_dims(v, -2); }
array rows_of(const array& m, int64_t from, int64_t to) {
  return box(m, from, to - from, 0, m.shape(-1));
}
array columns_of(const array& m, int64_t from, int64_t to) {
  return box(m, 0, m.shape(-2), from, to - from);
}
array with_size(const array& m, int64_t rows, int64_t columns) {
  Shape below = m.shape(), beside = m.shape();
  below[m.ndim() - 2] = rows - m.shape(-2);
  array tall = rows == m.shape(-2) ? m : concatenate({m, zeros(below, m.dtype())}, -2);
  beside[m.ndim() - 2] = rows, beside[m.ndim() - 1] = columns - m.shape(-1);
  return columns == m.shape(-1) ? tall : concatenate({tall, zeros(beside, m.dtype())}, -1);
}

array unpacked(const array& packed, int64_t& at, int64_t rows, int64_t columns) {
  int64_t count = columns < 0 ? rows : rows * columns;
  Shape start(packed.ndim(), 0), size = packed.shape(), step(packed.ndim(), 1);
  start.back() = at, size.back() = count;
  at += count;
  array flat = slice_of(packed, start, size, step);
  if (columns < 0) return flat;
  Shape shape(size.begin(), size.end() - 1);
  shape.push_back(rows), shape.push_back(columns);
  return reshape(flat, shape);
}
array packed_of(const std::vector<array>& parts, size_t lead) {
  std::vector<array> flat;
  for (const array& part : parts)
    flat.push_back(part.ndim() == lead + 2 ? flatten(part, -2, -1) : part);
  return concatenate(flat, -1);
}
array triangular(const array& a, const array& b, bool upper, bool unit) {
  return record(op_of<SolveTriangular>, SolveTriangular::P{upper, unit}, {a, b}, {});
}

}  // namespace tarn::ops
