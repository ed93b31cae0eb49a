// Sparse matrices: their forms and their product.
#include "ops/sparse.h"

#include "tarn/ops/dynamic.h"
#include "tarn/sparse.h"

namespace tarn {

using namespace ops;

namespace {
// The row of each element.
array rows_of(const array& row_starts, const array& columns) {
  array place = arange(0.0, double(columns.shape(0)), int64);
  return subtract(astype(searchsorted(row_starts, place, "right"), int64), array(1, int64));
}
array in_columns(const array& values) { return expand_dims(values, 1); }
}  // namespace

namespace ops {

ArraySpec SparseMatmul::infer(const Params&, std::span<const array> in) {
  return {Shape{in[0].shape(0) - 1, in[3].shape(1)}, in[3].dtype()};
}
// A batch of x alone becomes more columns; other batches are computed one by one.
Arrays SparseMatmul::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  bool x_alone = !batch.mapped[0] && !batch.mapped[1] && !batch.mapped[2];
  if (x_alone) {
    int64_t k = in[3].shape(1), n = in[3].shape(2);
    array wide = reshape(tarn::transpose(in[3], {1, 0, 2}), {k, batch.size * n});
    array out = record(op_of<SparseMatmul>, p, {in[0], in[1], in[2], wide}, {});
    return {tarn::transpose(reshape(out, {out.shape(0), batch.size, n}), {1, 0, 2})};
  }
  Arrays rows;
  for (int64_t i = 0; i < batch.size; ++i) {
    Arrays one;
    for (size_t k = 0; k < in.size(); ++k)
      one.push_back(batch.mapped[k] ? take(in[k], static_cast<int>(i), 0) : in[k]);
    rows.push_back(record(op_of<SparseMatmul>, p, std::move(one), {}));
  }
  if (!rows.empty()) return {stack(rows)};
  Shape none{0, in[0].shape(batch.mapped[0]) - 1, in[3].shape(batch.mapped[3] + 1)};
  return {zeros(none, in[3].dtype())};
}
std::vector<Maybe> SparseMatmul::transpose(const Call& call, const array& g) {
  const array &columns = call.in[1], &values = call.in[2], &x = call.in[3];
  array at_rows = take(g, rows_of(call.in[0], columns), 0);
  array of_values = sum(at_rows * take(x, columns, 0), 1);
  array of_x = scatter_add(zeros_like(x), columns, expand_dims(in_columns(values) * at_rows, 1), 0);
  return {Maybe{}, Maybe{}, of_values, of_x};
}

}  // namespace ops

namespace sparse {
namespace {

void check_lengths(const char* op, const array& a, const array& b, const array& c) {
  bool fits = a.ndim() == 1 && a.shape() == b.shape() && a.shape() == c.shape();
  require<ShapeError>(fits, "[{}] rows {}, columns {} and values {} must be lines of one length.",
                      op, text_of(a.shape()), text_of(b.shape()), text_of(c.shape()));
}
array as_index(const array& a, StreamOrDevice s) { return astype(a, int64, s); }

}  // namespace

Csr to_csr(const Coo& m, StreamOrDevice s) {
  check_lengths("to_csr", m.row, m.column, m.values);
  array order = argsort(m.row, 0, s);
  array rows = as_index(take(m.row, order, 0, s), s);
  array starts =
      as_index(searchsorted(rows, arange(0.0, double(m.rows + 1), int64, s), "left", s), s);
  return {starts, as_index(take(m.column, order, 0, s), s), take(m.values, order, 0, s), m.rows,
          m.cols};
}
Coo to_coo(const Csr& m, StreamOrDevice) {
  return {rows_of(m.row_starts, m.columns), m.columns, m.values, m.rows, m.cols};
}
Csr from_dense(const array& a, StreamOrDevice s) {
  require<ShapeError>(a.ndim() == 2, "[from_dense] a has shape {}; a matrix has two axes.",
                      text_of(a.shape()));
  auto place = nonzero(a, s);
  array flat = add(multiply(place[0], array(a.shape(1), int64), s), place[1], s);
  return to_csr({place[0], place[1], take(a, flat, s), a.shape(0), a.shape(1)}, s);
}
array to_dense(const Csr& m, StreamOrDevice s) {
  array rows = rows_of(m.row_starts, m.columns);
  array updates = reshape(m.values, {m.values.shape(0), 1, 1}, s);
  return scatter_add(zeros(Shape{m.rows, m.cols}, m.values.dtype(), s), {rows, m.columns}, updates,
                     {0, 1}, s);
}
Csr transpose(const Csr& m, StreamOrDevice s) {
  Coo c = to_coo(m, s);
  return to_csr({c.column, c.row, c.values, m.cols, m.rows}, s);
}
array matmul(const Csr& m, const array& x, StreamOrDevice s) {
  check_lengths("sparse::matmul", m.columns, m.columns, m.values);
  require<ShapeError>(m.row_starts.shape() == Shape{m.rows + 1},
                      "[sparse::matmul] row_starts has shape {}; {} rows need ({},).",
                      text_of(m.row_starts.shape()), m.rows, m.rows + 1);
  require<ShapeError>((x.ndim() == 1 || x.ndim() == 2) && x.shape(0) == m.cols,
                      "[sparse::matmul] m is {} by {} and x has shape {}: inner sizes differ.",
                      m.rows, m.cols, text_of(x.shape()));
  Dtype t = domain("sparse::matmul", Types::inexact, result_type(m.values, x));
  array wide = astype(x.ndim() == 1 ? expand_dims(x, 1, s) : x, t, s);
  array out =
      record(op_of<SparseMatmul>, {},
             {as_index(m.row_starts, s), as_index(m.columns, s), astype(m.values, t, s), wide}, s);
  return x.ndim() == 1 ? squeeze(out, 1, s) : out;
}

}  // namespace sparse
}  // namespace tarn
