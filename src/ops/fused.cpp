// Softmax, norms, rope and attention: what they are in plain array operations.
#include <cmath>

#include "ops/compound.h"
#include "ops/movement.h"
#include "ops/ragged.h"
#include "ops/wide.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

ArraySpec like_first(std::span<const array> in) { return {in[0].shape(), in[0].dtype()}; }
// For ops along the last axes only: a mapped first input needs no rule when the others are shared.
bool only_first(const Batch& batch) {
  for (size_t i = 1; i < batch.mapped.size(); ++i)
    if (batch.mapped[i]) return false;
  return true;
}

}  // namespace

ArraySpec Softmax::infer(const Params&, std::span<const array> in) { return like_first(in); }
Arrays Softmax::expand(const Params&, std::span<const array> in) {
  array x = wide(in[0]);
  array e = exp(x - stop_gradient(max(x, -1, true)));
  return {astype(e / sum(e, -1, true), in[0].dtype())};
}
Arrays Softmax::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {record(op_of<Softmax>, p, {in[0]}, {})};
}
std::vector<Maybe> Softmax::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  array weighted = *g[0] * call.out[0];
  return {weighted - call.out[0] * sum(weighted, -1, true)};
}

ArraySpec LogSumExp::infer(const Params&, std::span<const array> in) {
  Shape shape = in[0].shape();
  shape.back() = 1;
  return {shape, in[0].dtype()};
}
Arrays LogSumExp::expand(const Params&, std::span<const array> in) {
  array x = wide(in[0]);
  array top = stop_gradient(max(x, -1, true));
  top = where(isinf(top), constant(top, 0), top);
  return {astype(log(sum(exp(x - top), -1, true)) + top, in[0].dtype())};
}
Arrays LogSumExp::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {record(op_of<LogSumExp>, p, {in[0]}, {})};
}

ArraySpec RmsNorm::infer(const Params&, std::span<const array> in) { return like_first(in); }
Arrays RmsNorm::expand(const Params& p, std::span<const array> in) {
  array x = wide(in[0]);
  array y = x * rsqrt(mean(square(x), -1, true) + constant(x, double{p.as<P>().eps}));
  if (in.size() > 1) y = y * astype(in[1], y.dtype());
  return {astype(y, in[0].dtype())};
}
Arrays RmsNorm::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  if (only_first(batch)) return {record(op_of<RmsNorm>, p, {in.begin(), in.end()}, {})};
  array x = batch.mapped[0] ? in[0] : expand_dims(in[0], 0);
  return {record(op_of<RmsNorm>, p, {x}, {}) * align_batch(in[1], x.ndim() - 1)};
}

ArraySpec LayerNorm::infer(const Params&, std::span<const array> in) { return like_first(in); }
Arrays LayerNorm::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  array x = wide(in[0]);
  array centred = x - mean(x, -1, true);
  array y = centred * rsqrt(mean(square(centred), -1, true) + constant(x, double{p.eps}));
  if (p.has_weight) y = y * astype(in[1], y.dtype());
  if (p.has_bias) y = y + astype(in[p.has_weight ? 2 : 1], y.dtype());
  return {astype(y, in[0].dtype())};
}
Arrays LayerNorm::vmap(const Params& params, std::span<const array> in, const Batch& batch) {
  if (only_first(batch)) return {record(op_of<LayerNorm>, params, {in.begin(), in.end()}, {})};
  auto p = params.as<P>();
  array x = batch.mapped[0] ? in[0] : expand_dims(in[0], 0);
  array y = record(op_of<LayerNorm>, P{p.eps, false, false}, {x}, {});
  auto aligned = [&](size_t i) {
    return batch.mapped[i] ? align_batch(in[i], x.ndim() - 1) : in[i];
  };
  if (p.has_weight) y = y * aligned(1);
  if (p.has_bias) y = y + aligned(p.has_weight ? 2 : 1);
  return {y};
}

array turned(const array& x, const array& angle, int64_t dims, bool traditional) {
  int64_t half = dims / 2;
  array c = cos(angle), s = sin(angle);
  auto part = [&](int64_t from, int64_t n, int64_t step) {
    Shape start(x.ndim(), 0), size = x.shape(), steps(x.ndim(), 1);
    start.back() = from;
    size.back() = n;
    steps.back() = step;
    return slice_of(x, start, size, steps);
  };
  array a = traditional ? part(0, half, 2) : part(0, half, 1);
  array b = traditional ? part(1, half, 2) : part(half, half, 1);
  array u = a * c - b * s, v = a * s + b * c;
  array out = traditional ? flatten(stack({u, v}, -1), -2, -1) : concatenate({u, v}, -1);
  if (dims == x.shape(-1)) return out;
  return concatenate({out, part(dims, x.shape(-1) - dims, 1)}, -1);
}

ArraySpec Rope::infer(const Params&, std::span<const array> in) { return like_first(in); }
Arrays Rope::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  array x = wide(in[0]);
  Dtype t = x.dtype();
  int64_t half = p.dims / 2;
  array position =
      arange(double(p.offset), double(p.offset + x.shape(-2)), t) * constant(x, double{p.scale});
  array rate =
      in.size() > 1
          ? reciprocal(astype(in[1], t))
          : exp(arange(0.0, double(half), t) * constant(x, -2 * std::log(double{p.base}) / p.dims));
  return {
      astype(turned(x, reshape(position, {-1, 1}) * rate, p.dims, p.traditional), in[0].dtype())};
}
Arrays Rope::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  require(only_first(batch), "[rope] vmap over freqs is not defined.");
  return {record(op_of<Rope>, p, {in.begin(), in.end()}, {})};
}

ArraySpec Attention::infer(const Params&, std::span<const array> in) {
  Shape shape = in[0].shape();
  shape.back() = in[2].shape(-1);
  return {shape, in[0].dtype()};
}
Arrays Attention::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  int64_t heads = in[0].shape(1), shared = in[1].shape(1), rows = in[0].shape(2);
  auto valid = [&](const array& x) {
    Shape size = x.shape();
    size[2] = p.length;
    return slice_of(x, Shape(4, 0), size, Shape(4, 1));
  };
  auto split_heads = [&](const array& x) { return unflatten(x, 1, {shared, heads / shared}); };
  array q = split_heads(wide(in[0]) * constant(wide(in[0]), double{p.scale}));
  array k = expand_dims(wide(valid(in[1])), 2), v = expand_dims(wide(valid(in[2])), 2);
  array scores = matmul(q, swapaxes(k, -1, -2));
  array lowest = array(scores.dtype() == float64 ? -1.7976931348623157e308 : -3.4028234663852886e38,
                       scores.dtype());
  if (p.softcap > 0) {
    array cap = constant(scores, double{p.softcap});
    scores = cap * tanh(scores / cap);
  }
  if (p.causal || p.window > 0) {
    array column = arange(0.0, double(p.length), int64);
    array row = reshape(arange(double(p.length - rows), double(p.length), int64), {rows, 1});
    if (p.causal) scores = where(column <= row, scores, lowest);
    if (p.window > 0) scores = where(row - column < array(p.window, int64), scores, lowest);
  }
  if (p.has_mask) {
    array mask = in[3];
    if (mask.shape(-1) > p.length) {
      Shape size = mask.shape();
      size.back() = p.length;
      mask = slice_of(mask, Shape(size.size(), 0), size, Shape(size.size(), 1));
    }
    mask = split_heads(broadcast_to(mask, Shape{in[0].shape(0), heads, rows, p.length}));
    scores =
        mask.dtype() == bool_ ? where(mask, scores, lowest) : scores + astype(mask, scores.dtype());
  }
  if (p.has_sinks) {
    Shape shape = scores.shape();
    shape.back() = 1;
    array sinks = reshape(astype(in.back(), scores.dtype()), {1, shared, heads / shared, 1, 1});
    array all = softmax(concatenate({scores, broadcast_to(sinks, shape)}, -1), -1);
    scores = slice_of(all, Shape(5, 0), scores.shape(), Shape(5, 1));
  } else {
    scores = softmax(scores, -1);
  }
  return {astype(flatten(matmul(scores, v), 1, 2), in[0].dtype())};
}
// A batch of batches is one larger batch.
Arrays Attention::vmap(const Params& params, std::span<const array> in, const Batch& batch) {
  const auto& p = params.as<P>();
  require(!p.has_sinks || !batch.mapped[in.size() - 1],
          "[attention] vmap over sinks is not defined.");
  std::vector<array> all;
  int64_t inner = in[0].shape(batch.mapped[0] ? 1 : 0);
  for (size_t i = 0; i < in.size(); ++i) {
    bool per_batch = i < 3 || (p.has_mask && i == 3);
    if (!per_batch) {
      all.push_back(in[i]);
      continue;
    }
    Shape shape = in[i].shape();
    if (batch.mapped[i]) shape.erase(shape.begin());
    array x = batch.mapped[i] ? align_batch(in[i], 4) : in[i];
    Shape wide_shape{batch.size, inner};
    while (shape.size() < 4) shape.insert(shape.begin(), 1);
    wide_shape.insert(wide_shape.end(), shape.begin() + 1, shape.end());
    if (!batch.mapped[i]) x = expand_dims(reshape(in[i], shape), 0);
    all.push_back(flatten(broadcast_to(x, wide_shape), 0, 1));
  }
  array out = record(op_of<Attention>, p, std::move(all), {});
  return {unflatten(out, 0, {batch.size, inner})};
}

}  // namespace ops

array softmax(const array& a, const std::vector<int>& axes, bool, StreamOrDevice s) {
  Axes all = normalize_axes("softmax", axes, a.ndim());
  array x = astype(a, domain("softmax", Types::floating, a.dtype()), s);
  if (a.size() == 0) return x;
  if (all.empty()) return ones_like(x, s);  // each element is a row of its own
  int last = static_cast<int>(a.ndim()) - 1;
  if (all.size() == 1 && all[0] == last) return record(op_of<Softmax>, Softmax::P{}, {x}, s);
  if (all.size() == 1)
    return swapaxes(record(op_of<Softmax>, Softmax::P{}, {swapaxes(x, all[0], last, s)}, s), all[0],
                    last, s);
  array e = exp(subtract(x, stop_gradient(max(x, axes, true, s), s), s), s);
  return divide(e, sum(e, axes, true, s), s);
}
array softmax(const array& a, bool precise, StreamOrDevice s) {
  std::vector<int> axes(a.ndim());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int>(i);
  return softmax(a, axes, precise, s);
}
array softmax(const array& a, int axis, bool precise, StreamOrDevice s) {
  return softmax(a, std::vector<int>{axis}, precise, s);
}

namespace fast {
namespace {

array floats(const char* op, const array& x, StreamOrDevice s) {
  require<ShapeError>(x.ndim() > 0, "[{}] x is 0-d; there is no last axis.", op);
  return astype(x, domain(op, Types::floating, x.dtype()), s);
}
void check_row(const char* op, const char* what, const array& x, const array& row) {
  require<ShapeError>(row.ndim() == 1 && row.shape(0) == x.shape(-1),
                      "[{}] x has shape {} and {} {}: the last sizes must agree.", op,
                      text_of(x.shape()), what, text_of(row.shape()));
}

}  // namespace

array rms_norm(const array& x, const std::optional<array>& weight, float eps, StreamOrDevice s) {
  array in = floats("rms_norm", x, s);
  if (!weight) return record(op_of<RmsNorm>, RmsNorm::P{eps}, {in}, s);
  check_row("rms_norm", "weight", x, *weight);
  return record(op_of<RmsNorm>, RmsNorm::P{eps}, {in, *weight}, s);
}
array layer_norm(const array& x, const std::optional<array>& weight,
                 const std::optional<array>& bias, float eps, StreamOrDevice s) {
  std::vector<array> in{floats("layer_norm", x, s)};
  if (weight) check_row("layer_norm", "weight", x, *weight), in.push_back(*weight);
  if (bias) check_row("layer_norm", "bias", x, *bias), in.push_back(*bias);
  return record(op_of<LayerNorm>, LayerNorm::P{eps, weight.has_value(), bias.has_value()},
                std::move(in), s);
}
namespace {
void check_rope(const array& x, int dims, std::optional<float> base,
                const std::optional<array>& freqs) {
  require<ShapeError>(x.ndim() >= 2, "[rope] x has shape {}; it needs at least 2 axes.",
                      text_of(x.shape()));
  require(dims > 0 && dims % 2 == 0 && dims <= x.shape(-1),
          "[rope] dims is {}; it must be even and at most the last size, {}.", dims, x.shape(-1));
  require(base.has_value() != freqs.has_value(), "[rope] exactly one of base and freqs is needed.");
  if (!freqs) return;
  require<ShapeError>(freqs->ndim() == 1 && freqs->shape(0) == dims / 2,
                      "[rope] freqs has shape {}; {} dims need ({},).", text_of(freqs->shape()),
                      dims, dims / 2);
}
}  // namespace

array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale,
           int offset, const std::optional<array>& freqs, StreamOrDevice s) {
  check_rope(x, dims, base, freqs);
  std::vector<array> in{floats("rope", x, s)};
  if (freqs) in.push_back(*freqs);
  return record(op_of<Rope>, Rope::P{dims, traditional, base.value_or(0), scale, offset},
                std::move(in), s);
}

array rope(const array& x, int dims, bool traditional, std::optional<float> base, float scale,
           const array& offset, const std::optional<array>& freqs, StreamOrDevice s) {
  check_rope(x, dims, base, freqs);
  require(issubdtype(offset.dtype(), integer), "[rope] offset is {}; it must be integers.",
          name_of(offset.dtype()));
  auto count = static_cast<int64_t>(offset.size());
  require<ShapeError>(count == 1 || (x.ndim() >= 3 && count == x.shape(0)),
                      "[rope] offset has shape {} and x {}: one offset for all or one for each row "
                      "of x is needed.",
                      text_of(offset.shape()), text_of(x.shape()));
  array in = floats("rope", x, s);
  bool by_row = x.ndim() >= 3 && count == x.shape(0);
  Arrays all{by_row ? in : expand_dims(in, 0, s), reshape(astype(offset, int64, s), {count}, s)};
  if (freqs) all.push_back(*freqs);
  array out = record(op_of<RopeRows>, RopeRows::P{dims, traditional, base.value_or(0), scale},
                     std::move(all), s);
  return by_row ? out : reshape(out, in.shape(), s);
}

namespace {
void check_attention(const array& q, const array& k, const array& v) {
  bool fits = q.ndim() == 4 && k.ndim() == 4 && v.ndim() == 4 && q.shape(0) == k.shape(0) &&
              q.shape(0) == v.shape(0) && k.shape(1) == v.shape(1) && k.shape(2) == v.shape(2) &&
              q.shape(3) == k.shape(3) && k.shape(1) > 0 && q.shape(1) % k.shape(1) == 0;
  require<ShapeError>(
      fits,
      "[scaled_dot_product_attention] queries have shape {}, keys {} and values {}: "
      "they need (B, Hq, L, D), (B, Hk, S, D) and (B, Hk, S, Dv), Hk dividing Hq.",
      text_of(q.shape()), text_of(k.shape()), text_of(v.shape()));
}
}  // namespace

namespace {
// What follows keys and values among the inputs, checked.
void add_mask_and_sinks(const AttentionOptions& o, const array& q, int64_t keys,
                        std::vector<array>& in) {
  require(o.window >= 0 && o.softcap >= 0,
          "[attention] window is {} and softcap {}; 0 is for none, and neither is negative.",
          o.window, o.softcap);
  if (o.mask) {
    broadcast_to(*o.mask, {q.shape(0), q.shape(1), q.shape(2), keys});
    in.push_back(*o.mask);
  }
  if (!o.sinks) return;
  require<ShapeError>(o.sinks->ndim() == 1 && o.sinks->shape(0) == q.shape(1),
                      "[scaled_dot_product_attention] sinks have shape {}; {} heads need ({},).",
                      text_of(o.sinks->shape()), q.shape(1), q.shape(1));
  in.push_back(*o.sinks);
}
array record_attention(const AttentionOptions& o, int64_t length, std::vector<array> in,
                       StreamOrDevice s, Precision precision = Precision::exact) {
  Attention::P p{o.scale, o.causal,  o.mask.has_value(), o.sinks.has_value(),
                 length,  o.softcap, o.window,           precision};
  return record(op_of<Attention>, p, std::move(in), s);
}
void check_length(const array& queries, const array& keys, int64_t length) {
  require<ShapeError>(length > 0 && length <= keys.shape(2) && queries.shape(2) <= length,
                      "[cached_attention] {} queries over {} of {} keys.", queries.shape(2), length,
                      keys.shape(2));
}
}  // namespace

array attention(const array& queries, const array& keys, const array& values,
                const AttentionOptions& o, StreamOrDevice s) {
  check_attention(queries, keys, values);
  Dtype t = domain("attention", Types::floating, result_type(queries, keys, values));
  std::vector<array> in{astype(queries, t, s), astype(keys, t, s), astype(values, t, s)};
  add_mask_and_sinks(o, queries, keys.shape(2), in);
  return record_attention(o, keys.shape(2), std::move(in), s, default_precision());
}
array scaled_dot_product_attention(const array& queries, const array& keys, const array& values,
                                   float scale, const std::string& mask_mode,
                                   const std::optional<array>& mask_arr,
                                   const std::optional<array>& sinks, bool force_fused,
                                   StreamOrDevice s) {
  require(mask_mode.empty() || mask_mode == "causal" || mask_mode == "array",
          "[scaled_dot_product_attention] mask_mode is \"{}\"; it must be \"\", \"causal\" or "
          "\"array\".",
          mask_mode);
  Dtype t = result_type(queries, keys, values);
  require(!force_fused || t == float32,
          "[scaled_dot_product_attention] force_fused: float32 has one kernel for all, {} is "
          "computed in steps.",
          name_of(t));
  AttentionOptions o{.scale = scale, .causal = mask_mode == "causal", .sinks = sinks};
  if (!o.causal) o.mask = mask_arr;
  return attention(queries, keys, values, o, s);
}
array cached_attention(const array& queries, const array& keys, const array& values, float scale,
                       int64_t length, bool causal, StreamOrDevice s) {
  check_attention(queries, keys, values);
  check_length(queries, keys, length);
  return record_attention({.scale = scale, .causal = causal}, length, {queries, keys, values}, s);
}
array cached_attention(const array& queries, const array& keys, const array& values, int64_t length,
                       const AttentionOptions& o, StreamOrDevice s) {
  check_attention(queries, keys, values);
  check_length(queries, keys, length);
  std::vector<array> in{queries, keys, values};
  bool all = o.mask && o.mask->ndim() > 0 && o.mask->shape(-1) == keys.shape(2);
  add_mask_and_sinks(o, queries, all ? keys.shape(2) : length, in);
  return record_attention(o, length, std::move(in), s);
}

}  // namespace fast
}  // namespace tarn
