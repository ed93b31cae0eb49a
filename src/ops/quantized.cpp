// Affine quantisation in MLX's layout: codes as a little-endian bit stream in 32-bit words.
#include <algorithm>

#include "ops/compound.h"
#include "ops/movement.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

thread_local Precision thread_precision = Precision::exact;

// Codes (..., W * 32 / bits) as uint32 from words (..., W). Code k starts at bit k * bits of its
// row and may reach into the next word.
array unpacked(const array& words, int bits) {
  int64_t per_row = words.shape(-1) * 32 / bits;
  array bit = arange(0.0, double(per_row), uint32) * array(bits, uint32);
  array low_word = right_shift(bit, array(5, uint32));
  array last = array(words.shape(-1) - 1, uint32);
  array high_word = minimum(low_word + array(1, uint32), last);
  array shift = bitwise_and(bit, array(31, uint32));
  array low = right_shift(take(words, low_word, -1), shift);
  array high = left_shift(take(words, high_word, -1), array(32, uint32) - shift);
  array whole = 32 % bits == 0 ? low : bitwise_or(low, high);
  return bitwise_and(whole, array((1 << bits) - 1, uint32));
}
// The inverse: every bit of the stream in its place, then 32 of them to a word.
array packed(const array& codes, int bits) {
  Shape spread = codes.shape();
  spread.push_back(bits);
  array bit = bitwise_and(right_shift(expand_dims(codes, -1), arange(0.0, double(bits), uint32)),
                          array(1, uint32));
  Shape rows(codes.shape().begin(), codes.shape().end() - 1);
  rows.push_back(codes.shape(-1) * bits / 32);
  rows.push_back(32);
  array stream = reshape(broadcast_to(bit, spread), rows);
  return sum(left_shift(stream, arange(0.0, 32.0, uint32)), -1);
}
// x (..., K) as (..., K / group, group).
array grouped(const array& x, int group) { return unflatten(x, -1, {-1, group}); }

}  // namespace

ArraySpec Dequantize::infer(const Params& p, std::span<const array> in) {
  Shape shape = in[0].shape();
  shape.back() = shape.back() * 32 / p.as<P>().bits;
  return {shape, p.as<P>().dtype};
}
Arrays Dequantize::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  Dtype work = p.dtype == float64 ? float64 : float32;
  array codes = grouped(astype(unpacked(in[0], p.bits), work), p.group);
  array scales = expand_dims(astype(in[1], work), -1),
        biases = expand_dims(astype(in[2], work), -1);
  return {astype(flatten(codes * scales + biases, -2, -1), p.dtype)};
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
  array w = record(op_of<Dequantize>, Dequantize::P{p.group, p.bits, in[0].dtype()},
                   {in[1], in[2], in[3]}, {});
  return {matmul(in[0], p.transpose ? swapaxes(w, -1, -2) : w)};
}
// Through x by the product with the untransposed weights; through scales and biases by the
// derivative of the dense weights, folded over each group. Activations are not rounded here.
std::vector<Maybe> QuantizedMatmul::transpose(const Call& call, const array& g) {
  auto p = call.params.as<P>();
  const array& x = call.in[0];
  P back = p;
  back.transpose = !p.transpose;
  back.precision = Precision::exact;
  array gx = record(op_of<QuantizedMatmul>, back, {g, call.in[1], call.in[2], call.in[3]}, {});
  array gw = p.transpose ? matmul(swapaxes(g, -1, -2), x) : matmul(swapaxes(x, -1, -2), g);
  Shape codes_shape = call.in[1].shape();
  codes_shape.back() = codes_shape.back() * 32 / p.bits;
  array per_group = grouped(sum_to(gw, codes_shape), p.group);
  array codes = grouped(astype(unpacked(call.in[1], p.bits), x.dtype()), p.group);
  return {sum_to(gx, x.shape()), Maybe{}, astype(sum(per_group * codes, -1), call.in[2].dtype()),
          astype(sum(per_group, -1), call.in[3].dtype())};
}

// x (scale q + bias): linear in x, and in scales and biases together. Tangents are never rounded.
std::vector<Maybe> QuantizedMatmul::jvp(const Call& call, std::span<const Maybe> t) {
  P p = call.params.as<P>();
  p.precision = Precision::exact;
  auto with = [&](const array& x, const array& scales, const array& biases) {
    return record(op_of<QuantizedMatmul>, p, {x, call.in[1], scales, biases}, {});
  };
  Maybe sum;
  if (t[0]) sum = with(*t[0], call.in[2], call.in[3]);
  if (t[2] || t[3]) {
    array term = with(call.in[0], t[2] ? *t[2] : zeros_like(call.in[2]),
                      t[3] ? *t[3] : zeros_like(call.in[3]));
    sum = sum ? *sum + term : term;
  }
  return {sum};
}

}  // namespace ops

Precision default_precision() { return thread_precision; }
PrecisionScope::PrecisionScope(Precision p) : before_(std::exchange(thread_precision, p)) {}
PrecisionScope::~PrecisionScope() { thread_precision = before_; }

namespace {

struct Affine {
  int group, bits;
};
Affine checked_mode(const char* op, std::optional<int> group_size, std::optional<int> bits,
                    const std::string& mode) {
  require(mode == "affine", "[{}] mode is \"{}\"; this build knows \"affine\".", op, mode);
  Affine a{group_size.value_or(64), bits.value_or(4)};
  require(a.group == 32 || a.group == 64 || a.group == 128,
          "[{}] group_size is {}; it must be 32, 64 or 128.", op, a.group);
  require(a.bits >= 2 && a.bits <= 8 && a.bits != 7,
          "[{}] bits is {}; it must be 2, 3, 4, 5, 6 or 8.", op, a.bits);
  return a;
}
// Codes, scales and biases that belong together; throws ShapeError otherwise.
void check_weights(const char* op, const array& w, const array& scales, const array& biases,
                   Affine a) {
  require(w.dtype() == uint32, "[{}] w is {}; packed codes are uint32.", op, name_of(w.dtype()));
  require<ShapeError>(
      w.ndim() >= 2 && w.ndim() == scales.ndim() && scales.shape() == biases.shape(),
      "[{}] w has shape {}, scales {} and biases {}.", op, text_of(w.shape()),
      text_of(scales.shape()), text_of(biases.shape()));
  Shape want = w.shape();
  want.back() = want.back() * 32 / a.bits / a.group;
  require<ShapeError>(
      scales.shape() == want && w.shape(-1) * 32 % (a.bits * a.group) == 0,
      "[{}] w has shape {} in {} bits; groups of {} need scales of shape {}, not {}.", op,
      text_of(w.shape()), a.bits, a.group, text_of(want), text_of(scales.shape()));
}

}  // namespace

std::vector<array> quantize(const array& w, std::optional<int> group_size, std::optional<int> bits,
                            const std::string& mode, StreamOrDevice s) {
  Affine a = checked_mode("quantize", group_size, bits, mode);
  require<ShapeError>(w.ndim() >= 2 && w.shape(-1) % a.group == 0,
                      "[quantize] w has shape {}; it needs 2 axes, the last a multiple of {}.",
                      text_of(w.shape()), a.group);
  require(issubdtype(w.dtype(), floating), "[quantize] w is {}; only floats are quantised.",
          name_of(w.dtype()));
  // MLX's encoder: the scale's sign makes the larger end of the range exact.
  array x = grouped(astype(w, float32, s), a.group);
  auto levels = static_cast<float>((1 << a.bits) - 1);
  array high = max(x, -1, true, s), low = min(x, -1, true, s);
  array scale = maximum((high - low) / array(levels), array(1e-7f), s);
  array low_is_edge = abs(low, s) > abs(high, s);
  array signed_scale = where(low_is_edge, scale, -scale, s);
  array edge = where(low_is_edge, low, high, s);
  array q0 = round(edge / signed_scale, s);
  array at_zero = q0 == array(0.0f);
  array final_scale = where(at_zero, signed_scale, edge / where(at_zero, array(1.0f), q0, s), s);
  array bias = where(at_zero, array(0.0f), edge, s);
  array codes = clip(round((x - bias) / final_scale, s), array(0.0f), array(levels), s);
  array words = packed(flatten(astype(codes, uint32, s), -2, -1, s), a.bits);
  return {words, astype(squeeze(final_scale, -1, s), w.dtype(), s),
          astype(squeeze(bias, -1, s), w.dtype(), s)};
}

array dequantize(const array& w, const array& scales, const std::optional<array>& biases,
                 std::optional<int> group_size, std::optional<int> bits, const std::string& mode,
                 std::optional<Dtype> dtype, StreamOrDevice s) {
  Affine a = checked_mode("dequantize", group_size, bits, mode);
  require(biases.has_value(), "[dequantize] mode \"affine\" needs biases.");
  check_weights("dequantize", w, scales, *biases, a);
  return record(op_of<Dequantize>, Dequantize::P{a.group, a.bits, dtype.value_or(scales.dtype())},
                {w, scales, *biases}, s);
}

array quantized_matmul(array x, array w, array scales, const std::optional<array>& biases,
                       bool transpose, std::optional<int> group_size, std::optional<int> bits,
                       const std::string& mode, StreamOrDevice s) {
  Affine a = checked_mode("quantized_matmul", group_size, bits, mode);
  require(biases.has_value(), "[quantized_matmul] mode \"affine\" needs biases.");
  check_weights("quantized_matmul", w, scales, *biases, a);
  require(issubdtype(x.dtype(), floating), "[quantized_matmul] x is {}; it must be a float.",
          name_of(x.dtype()));
  int64_t inner = transpose ? w.shape(-1) * 32 / a.bits : w.shape(-2);
  require<ShapeError>(
      x.ndim() >= 1 && x.shape(-1) == inner,
      "[quantized_matmul] x has shape {} and w holds {} columns: inner sizes differ.",
      text_of(x.shape()), inner);
  bool vector = x.ndim() == 1;
  array rows = vector ? expand_dims(x, 0, s) : x;
  array out = record(op_of<QuantizedMatmul>,
                     QuantizedMatmul::P{a.group, a.bits, transpose, thread_precision},
                     {rows, w, scales, *biases}, s);
  return vector ? squeeze(out, 0, s) : out;
}

}  // namespace tarn
