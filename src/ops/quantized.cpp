// Quantised weights: their numbers, and the product with them.
#include "tarn/ops/quantized.h"

#include <algorithm>

#include "ops/codes.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

thread_local Precision thread_precision = Precision::exact;

}  // namespace

ArraySpec Dequantize::infer(const Params& p, std::span<const array> in) {
  Shape shape = in[0].shape();
  shape.back() = shape.back() * 32 / p.as<P>().bits;
  return {shape, p.as<P>().dtype};
}
Arrays Dequantize::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  Dtype work = p.dtype == float64 ? float64 : float32;
  array x = scaled_codes(in[0], scale_numbers(in[1], p.coding, work), {p.coding, p.group, p.bits});
  if (p.coding == Coding::affine) x = x + expand_dims(astype(in[2], work), -1);
  return {astype(flatten(x, -2, -1), p.dtype)};
}
Arrays Dequantize::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  std::vector<array> all;
  for (size_t i = 0; i < in.size(); ++i) {
    Shape shape{batch.size};
    shape.insert(shape.end(), in[i].shape().begin(), in[i].shape().end());
    all.push_back(batch.mapped[i] ? in[i] : broadcast_to(in[i], shape));
  }
  return {record(op_of<Dequantize>, p, std::move(all), {})};
}

ArraySpec QuantizedMatmul::infer(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  Shape x(in[0].shape().begin(), in[0].shape().end() - 2);
  Shape w(in[1].shape().begin(), in[1].shape().end() - 2);
  Shape shape = broadcast_shapes(x, w);
  shape.push_back(in[0].shape(-2));
  shape.push_back(p.transpose ? in[1].shape(-2) : in[1].shape(-1) * 32 / p.bits);
  return {shape, in[0].dtype()};
}
// Codes, scales and biases belong together: where one carries the batch, all three do.
Arrays QuantizedMatmul::vmap(const Params& params, std::span<const array> in, const Batch& batch) {
  size_t rank = 0;
  bool weights = false;
  for (size_t i = 0; i < in.size(); ++i) {
    rank = std::max(rank, in[i].ndim() - (batch.mapped[i] ? 1 : 0));
    weights |= i > 0 && batch.mapped[i];
  }
  std::vector<array> all;
  for (size_t i = 0; i < in.size(); ++i) {
    bool carries = batch.mapped[i] || (i > 0 && weights);
    Shape shape{batch.size};
    shape.insert(shape.end(), in[i].shape().begin(), in[i].shape().end());
    array x = carries && !batch.mapped[i] ? broadcast_to(in[i], shape) : in[i];
    all.push_back(carries ? align_batch(x, rank) : x);
  }
  return {record(op_of<QuantizedMatmul>, params, std::move(all), {})};
}
Arrays QuantizedMatmul::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  array w = record(op_of<Dequantize>, Dequantize::P{p.group, p.bits, in[0].dtype(), p.coding},
                   {in.begin() + 1, in.end()}, {});
  return {matmul(in[0], p.transpose ? swapaxes(w, -1, -2) : w)};
}
// Through x by the product with the untransposed weights; through scales and biases by the
// derivative of the dense weights, folded over each group. The product back has the precision of
// the one there.
std::vector<Maybe> QuantizedMatmul::transpose(const Call& call, const array& g) {
  auto p = call.params.as<P>();
  const array& x = call.in[0];
  P back = p;
  back.transpose = !p.transpose;
  Arrays in(call.in.begin(), call.in.end());
  in[0] = g;
  std::vector<Maybe> result(in.size());
  result[0] = sum_to(record(op_of<QuantizedMatmul>, back, std::move(in), {}), x.shape());
  if (p.coding != Coding::affine) return result;
  array gw = p.transpose ? matmul(swapaxes(g, -1, -2), x) : matmul(swapaxes(x, -1, -2), g);
  Shape codes_shape = call.in[1].shape();
  codes_shape.back() = codes_shape.back() * 32 / p.bits;
  array per_group = grouped(sum_to(gw, codes_shape), p.group);
  array codes = grouped(astype(unpacked(call.in[1], p.bits), x.dtype()), p.group);
  result[2] = astype(sum(per_group * codes, -1), call.in[2].dtype());
  result[3] = astype(sum(per_group, -1), call.in[3].dtype());
  return result;
}

// x (scale q + bias): linear in x, and in scales and biases together. Tangents are never rounded.
std::vector<Maybe> QuantizedMatmul::jvp(const Call& call, std::span<const Maybe> t) {
  P p = call.params.as<P>();
  p.precision = Precision::exact;
  Arrays in(call.in.begin(), call.in.end());
  Maybe sum;
  if (t[0]) {
    in[0] = *t[0];
    sum = record(op_of<QuantizedMatmul>, p, in, {});
  }
  if (p.coding != Coding::affine || !(t[2] || t[3])) return {sum};
  in[0] = call.in[0];
  for (size_t i : {2, 3}) in[i] = t[i] ? *t[i] : zeros_like(call.in[i]);
  array term = record(op_of<QuantizedMatmul>, p, std::move(in), {});
  return {sum ? *sum + term : term};
}

}  // namespace ops

Precision default_precision() { return thread_precision; }
PrecisionScope::PrecisionScope(Precision p) : before_(std::exchange(thread_precision, p)) {}
PrecisionScope::~PrecisionScope() { thread_precision = before_; }

array dequantize(const array& w, const array& scales, const std::optional<array>& biases,
                 std::optional<int> group_size, std::optional<int> bits, const std::string& mode,
                 const std::optional<array>& global_scale, std::optional<Dtype> dtype,
                 StreamOrDevice s) {
  Format f = checked_format("dequantize", group_size, bits, mode);
  check_weights("dequantize", w, scales, biases, f);
  check_global_scale("dequantize", global_scale, f);
  Dtype stored = biases ? result_type(scales, *biases) : bfloat16;
  Dtype t = dtype.value_or(stored);
  require(issubdtype(t, floating), "[dequantize] dtype is {}; it must be a float.", name_of(t));
  if (!global_scale)
    return record(op_of<Dequantize>, Dequantize::P{f.group, f.bits, t, f.coding},
                  weights(w, scales, biases), s);
  array numbers = scale_numbers(scales, f.coding, float32) * global_factor(*global_scale);
  return astype(flatten(scaled_codes(w, numbers, f), -2, -1, s), t, s);
}

array quantized_matmul(array x, array w, array scales, const std::optional<array>& biases,
                       bool transpose, std::optional<int> group_size, std::optional<int> bits,
                       const std::string& mode, StreamOrDevice s) {
  Format f = checked_format("quantized_matmul", group_size, bits, mode);
  check_weights("quantized_matmul", w, scales, biases, f);
  Dtype t = biases ? result_type(x, scales, *biases) : x.dtype();
  require(issubdtype(t, floating), "[quantized_matmul] x is {}; it must be a float.",
          name_of(x.dtype()));
  int64_t inner = transpose ? w.shape(-1) * 32 / f.bits : w.shape(-2);
  require<ShapeError>(
      x.ndim() >= 1 && x.shape(-1) == inner,
      "[quantized_matmul] x has shape {} and w holds {} columns: inner sizes differ.",
      text_of(x.shape()), inner);
  bool vector = x.ndim() == 1;
  // Halves are multiplied as float32 and rounded once.
  array rows = astype(vector ? expand_dims(x, 0, s) : x, t == float64 ? float64 : float32, s);
  Arrays in{rows};
  for (auto& part : weights(w, scales, biases)) in.push_back(part);
  array out =
      record(op_of<QuantizedMatmul>,
             QuantizedMatmul::P{f.group, f.bits, transpose, thread_precision, f.coding}, in, s);
  return astype(vector ? squeeze(out, -2, s) : out, t, s);
}

}  // namespace tarn
