// The product with quantised weights that a low-rank term goes along with, and its derivative.
#include "tarn/ops/low_rank.h"

#include <algorithm>

#include "ops/codes.h"
#include "ops/low_rank.h"

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
array turned(const array& x) { return swapaxes(x, -1, -2); }

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

}  // namespace tarn
