// Rotation, append and attention of rows that are at places of their own.
#include "tarn/ops/ragged.h"

#include <cmath>

#include "ops/movement.h"
#include "ops/ragged.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

// [from, from + n) of an axis.
array part(const array& x, size_t axis, int64_t from, int64_t n) {
  Shape start(x.ndim(), 0), size = x.shape();
  start[axis] = from, size[axis] = n;
  return slice_of(x, start, size, Shape(x.ndim(), 1));
}

}  // namespace

ArraySpec RopeRows::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays RopeRows::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  array x = in[0].dtype() == float64 ? in[0] : astype(in[0], float32);
  Dtype t = x.dtype();
  Shape one_a_row(x.ndim(), 1);
  one_a_row[0] = x.shape(0);
  array place =
      reshape(astype(in[1], t), one_a_row) + reshape(arange(0.0, double(x.shape(-2)), t), {-1, 1});
  double step = -2 * std::log(double{p.base}) / p.dims;
  array rates = in.size() > 2 ? reciprocal(astype(in[2], t))
                              : exp(arange(0.0, p.dims / 2.0, t) * constant(x, step));
  array angle = place * constant(x, double{p.scale}) * rates;
  return {astype(turned(x, angle, p.dims, p.traditional), in[0].dtype())};
}
std::vector<Maybe> RopeRows::vjp(const Call& call, std::span<const Maybe> g) {
  if (call.in.size() > 2 || !g[0]) return {};  // frequencies have derivatives as well
  auto p = call.params.as<P>();
  p.scale = -p.scale;
  return {record(op_of<RopeRows>, p, {*g[0], call.in[1]}, {}), Maybe{}};
}

ArraySpec AppendRow::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays AppendRow::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  return {update_slice(in[0], part(in[1], 0, p.row, 1), Update::set, {0, 0, p.start, 0},
                       Shape(4, 1), {})};
}

ArraySpec RaggedAttention::infer(const Params&, std::span<const array> in) {
  Shape shape = in[0].shape();
  shape.back() = in[2].shape(-1);
  return {shape, in[0].dtype()};
}
Arrays RaggedAttention::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  std::vector<array> rows;
  for (size_t row = 0; row < p.lengths.size(); ++row) {
    Attention::P one{.scale = p.scale, .length = p.lengths[row]};
    array q = part(in[0], 0, static_cast<int64_t>(row), 1);
    rows.push_back(record(op_of<Attention>, one, {q, in[1 + 2 * row], in[2 + 2 * row]}, {}));
  }
  return {concatenate(rows, 0)};
}

bool is_row_of(const AppendRow::P& p, const array& cache, const array& rows) {
  return cache.ndim() == 4 && rows.ndim() == 4 && cache.shape(0) == 1 &&
         cache.shape(1) == rows.shape(1) && cache.shape(3) == rows.shape(3) &&
         cache.dtype() == rows.dtype() && p.row >= 0 && p.row < rows.shape(0) && p.start >= 0 &&
         p.start <= cache.shape(2) && rows.shape(2) <= cache.shape(2) - p.start;
}
bool are_keys_of(const array& q, const array& k, const array& v, int64_t length) {
  auto is_floats = [](const array& x) {
    return x.ndim() == 4 && issubdtype(x.dtype(), floating) && x.shape(1) > 0;
  };
  return is_floats(q) && is_floats(k) && is_floats(v) && q.shape(2) == 1 && k.shape(0) == 1 &&
         v.shape(0) == 1 && k.dtype() == v.dtype() && k.shape(1) == v.shape(1) &&
         k.shape(2) == v.shape(2) && k.shape(3) == q.shape(3) && q.shape(1) % k.shape(1) == 0 &&
         length > 0 && length <= k.shape(2);
}

}  // namespace ops

array append_row(const array& cache, const array& rows, int64_t row, int64_t start,
                 StreamOrDevice s) {
  AppendRow::P p{row, start};
  require<ShapeError>(is_row_of(p, cache, rows),
                      "[append_row] row {} of rows of shape {} and {}, from position {} of a cache "
                      "of shape {} and {} on: one of (B, H, T, D) that fits into (1, H, S, D) of "
                      "that dtype is needed.",
                      row, text_of(rows.shape()), name_of(rows.dtype()), start,
                      text_of(cache.shape()), name_of(cache.dtype()));
  return record(op_of<AppendRow>, p, {cache, rows}, s);
}

array ragged_attention(const array& queries, const std::vector<array>& keys,
                       const std::vector<array>& values, const std::vector<int64_t>& lengths,
                       float scale, StreamOrDevice s) {
  size_t rows = queries.ndim() == 4 ? static_cast<size_t>(queries.shape(0)) : 0;
  require<ShapeError>(
      rows > 0 && keys.size() == rows && values.size() == rows && lengths.size() == rows,
      "[ragged_attention] queries have shape {}, with {} keys, {} values and {} lengths: "
      "(B, Hq, 1, D) and B of each are needed.",
      text_of(queries.shape()), keys.size(), values.size(), lengths.size());
  std::vector<array> in{queries};
  in.reserve(1 + 2 * rows);
  for (size_t row = 0; row < rows; ++row) {
    require<ShapeError>(are_keys_of(queries, keys[row], values[row], lengths[row]),
                        "[ragged_attention] queries have shape {}, keys {} and values {} of row "
                        "{}, of which {} count: (B, Hq, 1, D), (1, Hk, S, D) and (1, Hk, S, Dv) "
                        "of floats, Hk dividing Hq, and 1 to S are needed.",
                        text_of(queries.shape()), text_of(keys[row].shape()),
                        text_of(values[row].shape()), row, lengths[row]);
    in.push_back(keys[row]), in.push_back(values[row]);
  }
  RaggedAttention::P p{.scale = scale, .lengths = Shape(lengths.begin(), lengths.end())};
  return record(op_of<RaggedAttention>, std::move(p), std::move(in), s);
}

}  // namespace tarn
