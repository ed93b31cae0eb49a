// Products of segments and blocks.
#include <algorithm>

#include "ops/products.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

// Inputs with a first axis of batches each, all mapped, folded into that axis.
Arrays folded(std::span<const array> in, const Batch& batch) {
  Arrays all;
  for (size_t i = 0; i < in.size(); ++i) {
    Shape shape{batch.size};
    shape.insert(shape.end(), in[i].shape().begin(), in[i].shape().end());
    all.push_back(flatten(batch.mapped[i] ? in[i] : broadcast_to(in[i], shape), 0, 1));
  }
  return all;
}
array spread_out(const array& out, const Batch& batch) {
  Shape shape{batch.size, out.shape(0) / std::max<int64_t>(batch.size, 1)};
  shape.insert(shape.end(), out.shape().begin() + 1, out.shape().end());
  return reshape(out, shape);
}
array turned(const array& x) { return swapaxes(x, -1, -2); }

}  // namespace

ArraySpec SegmentedMatmul::infer(const Params&, std::span<const array> in) {
  return {{in[0].shape(0), in[2].shape(1), in[0].shape(1), in[1].shape(2)}, in[0].dtype()};
}
Arrays SegmentedMatmul::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return {spread_out(record(op_of<SegmentedMatmul>, p, folded(in, batch), {}), batch)};
}
std::vector<Maybe> SegmentedMatmul::transpose(const Call& call, const array& g) {
  const array &a = call.in[0], &b = call.in[1], &segments = call.in[2];
  return {turned(record(op_of<SegmentedRows>, {}, {b, turned(g), segments}, {})),
          record(op_of<SegmentedRows>, {}, {turned(a), g, segments}, {}), Maybe{}};
}

ArraySpec SegmentedRows::infer(const Params&, std::span<const array> in) {
  return {{in[0].shape(0), in[0].shape(1), in[1].shape(3)}, in[0].dtype()};
}
Arrays SegmentedRows::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return {spread_out(record(op_of<SegmentedRows>, p, folded(in, batch), {}), batch)};
}
std::vector<Maybe> SegmentedRows::transpose(const Call& call, const array& g) {
  const array &x = call.in[0], &y = call.in[1], &segments = call.in[2];
  return {record(op_of<SegmentedRows>, {}, {g, turned(y), segments}, {}),
          record(op_of<SegmentedMatmul>, {}, {turned(x), g, segments}, {}), Maybe{}};
}

}  // namespace ops

array segmented_mm(array a, array b, array segments, StreamOrDevice s) {
  require<ShapeError>(a.ndim() == 2 && b.ndim() == 2 && a.shape(1) == b.shape(0),
                      "[segmented_mm] a has shape {} and b {}; they must be (M, K) and (K, N).",
                      text_of(a.shape()), text_of(b.shape()));
  require<ShapeError>(segments.ndim() > 0 && segments.shape(-1) == 2,
                      "[segmented_mm] segments have shape {}; they must be (..., 2).",
                      text_of(segments.shape()));
  require(issubdtype(segments.dtype(), integer),
          "[segmented_mm] segments are {}; they must be integers.", name_of(segments.dtype()));
  Dtype t = result_type(a, b);
  require(issubdtype(t, floating), "[segmented_mm] a is {} and b {}: only floats are multiplied.",
          name_of(a.dtype()), name_of(b.dtype()));
  auto count = static_cast<int64_t>(segments.size()) / 2;
  array out = record(op_of<SegmentedMatmul>, {},
                     {expand_dims(astype(a, t, s), 0, s), expand_dims(astype(b, t, s), 0, s),
                      reshape(segments, {1, count, 2}, s)},
                     s);
  Shape shape(segments.shape().begin(), segments.shape().end() - 1);
  shape.push_back(out.shape(2));
  shape.push_back(out.shape(3));
  return reshape(out, shape, s);
}

// --- blocks

namespace {

// A mask of blocks over the last two axes, of sizes `rows` and `columns`, laid over x.
array masked(const char* name, const array& x, const array& mask, int block, StreamOrDevice s) {
  int64_t rows = (x.shape(-2) + block - 1) / block, columns = (x.shape(-1) + block - 1) / block;
  require<ShapeError>(mask.ndim() >= 2 && (mask.shape(-2) == rows || mask.shape(-2) == 1) &&
                          (mask.shape(-1) == columns || mask.shape(-1) == 1),
                      "[block_masked_mm] {} has shape {}; {} by {} blocks of {} need ({}, {}).",
                      name, text_of(mask.shape()), x.shape(-2), x.shape(-1), block, rows, columns);
  array m = mask;
  for (int axis : {-2, -1}) {
    if (m.shape(axis) != 1 || x.shape(axis) <= 1) m = repeat(m, block, axis, s);
    if (m.shape(axis) > x.shape(axis)) {
      Shape start(m.ndim(), 0), stop = m.shape();
      stop[m.ndim() - static_cast<size_t>(-axis)] = x.shape(axis);
      m = slice(m, start, stop, s);
    }
  }
  if (mask.dtype() == bool_) return where(m, x, zeros_like(x, s), s);
  return multiply(x, astype(m, x.dtype(), s), s);
}

}  // namespace

array block_masked_mm(array a, array b, int block_size, std::optional<array> mask_out,
                      std::optional<array> mask_lhs, std::optional<array> mask_rhs,
                      StreamOrDevice s) {
  if (!mask_out && !mask_lhs && !mask_rhs) return matmul(a, b, s);
  require(block_size == 32 || block_size == 64,
          "[block_masked_mm] block_size is {}; it must be 32 or 64.", block_size);
  require<ShapeError>(a.ndim() > 0 && b.ndim() > 0,
                      "[block_masked_mm] a has shape {} and b {}: a 0-d array has no matrix.",
                      text_of(a.shape()), text_of(b.shape()));
  Dtype t = result_type(a, b);
  require(issubdtype(t, floating),
          "[block_masked_mm] a is {} and b {}: only floats are multiplied.", name_of(a.dtype()),
          name_of(b.dtype()));
  bool row = a.ndim() == 1, column = b.ndim() == 1;
  // A vector's mask is a row or a column of blocks.
  auto matrix = [&](const array& x, int axis) { return expand_dims(x, axis, s); };
  array x = astype(row ? matrix(a, 0) : a, t, s), y = astype(column ? matrix(b, 1) : b, t, s);
  if (mask_lhs) x = masked("mask_lhs", x, row ? matrix(*mask_lhs, -2) : *mask_lhs, block_size, s);
  if (mask_rhs)
    y = masked("mask_rhs", y, column ? matrix(*mask_rhs, -1) : *mask_rhs, block_size, s);
  array out = matmul(x, y, s);
  if (mask_out) {
    array mask = row ? matrix(*mask_out, -2) : *mask_out;
    out = masked("mask_out", out, column ? matrix(mask, -1) : mask, block_size, s);
  }
  if (column) out = squeeze(out, -1, s);
  if (row) out = squeeze(out, column ? -1 : -2, s);
  return out;
}

}  // namespace tarn
