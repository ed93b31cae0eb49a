// The product with quantised weights that a low-rank term goes along with, and its derivative.
#include "tarn/ops/low_rank.h"

#include <algorithm>

#include "ops/codes.h"
#include "ops/linalg.h"
#include "ops/low_rank.h"
#include "tarn/ops/products.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

// All but the two inputs of the term.
std::span<const array> product_of(std::span<const array> in) { return in.first(in.size() - 2); }
array product(const Params& params, std::span<const array> in) {
  auto of = product_of(in);
  return record(op_of<QuantizedMatmul>, params, {of.begin(), of.end()}, {});
}
// All positions in one axis: a stack of them would be as many products.
array rows_of(const array& x) { return reshape(x, {-1, x.shape(-1)}); }

ArraySpec spec_of(std::span<const array> in) {
  Shape shape = in[0].shape();
  shape.back() = in.back().shape(1);
  return {shape, in[0].dtype()};
}

}  // namespace

ArraySpec LowRankMatmul::infer(const Params&, std::span<const array> in) { return spec_of(in); }
ArraySpec QuantizedMatmulPlus::infer(const Params&, std::span<const array> in) {
  return spec_of(in);
}

Arrays LowRankMatmul::expand(const Params& params, std::span<const array> in) {
  Arrays all(in.begin(), in.end());
  all[in.size() - 2] = matmul(rows_of(in[0]), in[in.size() - 2]);
  return {record(op_of<QuantizedMatmulPlus>, params, std::move(all), {})};
}
Arrays QuantizedMatmulPlus::expand(const Params& params, std::span<const array> in) {
  array y = product(params, in);
  return {y + reshape(matmul(in[in.size() - 2], in.back()), y.shape())};
}

ArraySpec LowRankRows::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays LowRankRows::expand(const Params&, std::span<const array> in) {
  const array &y = in[0], &x = in[1], &a = in[2], &b = in[3], &index = in[4];
  array each = reshape(x, {index.shape(0), 1, x.shape(-1)});
  array thin = gather_mm(each, a, std::nullopt, index);
  return {y + reshape(gather_mm(thin, b, std::nullopt, index), y.shape())};
}

std::vector<Maybe> LowRankMatmul::vjp(const Call& call, std::span<const Maybe> cotangents) {
  std::vector<Maybe> result(call.in.size());
  if (!cotangents[0]) return result;
  const array &g = *cotangents[0], &a = call.in[call.in.size() - 2], &b = call.in.back();
  auto weights = QuantizedMatmul::transpose({call.params, product_of(call.in), call.out}, g);
  std::copy(weights.begin(), weights.end(), result.begin());
  auto back = call.params.as<P>();
  back.transpose = !back.transpose;
  Arrays in(call.in.begin(), call.in.end());
  in[0] = g, in[in.size() - 2] = turned(b), in.back() = turned(a);
  result[0] = record(op_of<LowRankMatmul>, back, std::move(in), {});
  array x = rows_of(call.in[0]), slopes = rows_of(g);
  result[result.size() - 2] = matmul(turned(x), matmul(slopes, turned(b)));
  result.back() = matmul(turned(matmul(x, a)), slopes);
  return result;
}

}  // namespace ops

array low_rank_matmul(const array& x, const array& w, const array& scales,
                      const std::optional<array>& biases, const array& a, const array& b,
                      std::optional<int> group_size, std::optional<int> bits,
                      const std::string& mode, StreamOrDevice s) {
  Format f = checked_format("low_rank_matmul", group_size, bits, mode);
  check_weights("low_rank_matmul", w, scales, biases, f);
  Dtype t = biases ? result_type(x, scales, *biases) : x.dtype();
  require(issubdtype(t, floating), "[low_rank_matmul] x is {}; it must be a float.",
          name_of(x.dtype()));
  require<ShapeError>(x.ndim() >= 2 && w.ndim() == 2 && x.shape(-1) == w.shape(1) * 32 / f.bits,
                      "[low_rank_matmul] x has shape {} and w {}, in codes of {} bits: (..., K) "
                      "with two axes or more and K codes a row are needed.",
                      text_of(x.shape()), text_of(w.shape()), f.bits);
  require<ShapeError>(a.ndim() == 2 && b.ndim() == 2 && a.shape(0) == x.shape(-1) &&
                          b.shape(0) == a.shape(1) && b.shape(1) == w.shape(0),
                      "[low_rank_matmul] a has shape {} and b {}: ({}, rank) and (rank, {}) are "
                      "needed.",
                      text_of(a.shape()), text_of(b.shape()), x.shape(-1), w.shape(0));
  Dtype work = t == float64 ? float64 : float32;
  Arrays in{astype(x, work, s)};
  for (auto& part : weights(w, scales, biases)) in.push_back(part);
  in.push_back(astype(a, work, s)), in.push_back(astype(b, work, s));
  QuantizedMatmul::P p{f.group, f.bits, true, default_precision(), f.coding};
  return astype(record(op_of<LowRankMatmul>, p, std::move(in), s), t, s);
}

array low_rank_rows(const array& y, const array& x, const array& a, const array& b,
                    const array& index, StreamOrDevice s) {
  for (const auto& [name, v] :
       {std::pair("y", &y), std::pair("x", &x), std::pair("a", &a), std::pair("b", &b)})
    require(issubdtype(v->dtype(), floating), "[low_rank_rows] {} is {}; it must be a float.", name,
            name_of(v->dtype()));
  require(issubdtype(index.dtype(), integer), "[low_rank_rows] index is {}; it must be an integer.",
          name_of(index.dtype()));
  auto leading = [](const array& v) { return Shape(v.shape().begin(), v.shape().end() - 1); };
  require<ShapeError>(y.ndim() >= 1 && x.ndim() >= 1 && leading(x) == leading(y),
                      "[low_rank_rows] y has shape {} and x {}: they must have as many rows.",
                      text_of(y.shape()), text_of(x.shape()));
  require<ShapeError>(a.ndim() == 3 && b.ndim() == 3 && a.shape(0) == b.shape(0) &&
                          a.shape(1) == x.shape(-1) && b.shape(1) == a.shape(2) &&
                          b.shape(2) == y.shape(-1),
                      "[low_rank_rows] a has shape {} and b {}: (terms, {}, rank) and (terms, "
                      "rank, {}) are needed.",
                      text_of(a.shape()), text_of(b.shape()), x.shape(-1), y.shape(-1));
  int64_t rows = 1;
  for (int64_t n : leading(x)) rows *= n;
  require<ShapeError>(static_cast<int64_t>(index.size()) == rows,
                      "[low_rank_rows] index has shape {} and x {}: {} numbers are needed.",
                      text_of(index.shape()), text_of(x.shape()), rows);
  Dtype t = result_type({y, x, a, b}), work = t == float64 ? float64 : float32;
  Arrays in{astype(y, work, s), astype(x, work, s), astype(a, work, s), astype(b, work, s),
            flatten(index, s)};
  return astype(record(op_of<LowRankRows>, {}, std::move(in), s), y.dtype(), s);
}

}  // namespace tarn
