// The derivatives of norms, losses and attention.
#include "ops/back.h"

#include "ops/compound.h"
#include "ops/movement.h"
#include "ops/wide.h"

namespace tarn::ops {
namespace {

Arrays all_batched(std::span<const array> in, const Batch& batch) {
  Arrays all;
  for (size_t i = 0; i < in.size(); ++i) all.push_back(batched(in[i], batch.mapped[i], batch.size));
  return all;
}

}  // namespace

// --- rms_norm

ArraySpec RmsNormBack::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
// y = r x w with r = 1 / sqrt(mean(x x) + eps).
Arrays RmsNormBack::expand(const Params& p, std::span<const array> in) {
  array x = wide(in[0]), g = wide(in[1]);
  if (in.size() > 2) g = g * astype(in[2], g.dtype());
  array r = rsqrt(mean(square(x), -1, true) + constant(x, double{p.as<P>().eps}));
  return {astype(r * (g - x * (square(r) * mean(g * x, -1, true))), in[0].dtype())};
}
Arrays RmsNormBack::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  Arrays all = all_batched(in.first(2), batch);
  if (in.size() > 2 && batch.mapped[2])
    all[1] = all[1] * astype(align_batch(in[2], all[0].ndim() - 1), all[1].dtype());
  else if (in.size() > 2)
    all.push_back(in[2]);
  return {record(op_of<RmsNormBack>, p, std::move(all), {})};
}
std::vector<Maybe> RmsNorm::vjp(const Call& call, std::span<const Maybe> g) {
  std::vector<Maybe> result(call.in.size());
  if (!g[0]) return result;
  Arrays in{call.in[0], *g[0]};
  if (call.in.size() > 1) in.push_back(call.in[1]);
  float eps = call.params.as<P>().eps;
  result[0] = record(op_of<RmsNormBack>, RmsNormBack::P{eps}, std::move(in), {});
  if (call.in.size() > 1) {
    array normed = record(op_of<RmsNorm>, P{eps}, {call.in[0]}, {});
    result[1] = astype(sum_to(wide(*g[0]) * wide(normed), call.in[1].shape()), call.in[1].dtype());
  }
  return result;
}

// --- logsumexp and cross_entropy

// An infinite sum has one part in it, or none.
std::vector<Maybe> LogSumExp::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  array top = where(isinf(call.out[0]), constant(call.out[0], 0), call.out[0]);
  return {*g[0] * exp(call.in[0] - top)};
}

ArraySpec CrossEntropyBack::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays CrossEntropyBack::expand(const Params&, std::span<const array> in) {
  array x = wide(in[0]);
  array place = expand_dims(astype(in[1], int64), -1), size(x.shape(-1), int64);
  place = where(place < array(int64_t{0}), place + size, place);
  array hit = astype(arange(0.0, double(x.shape(-1)), int64) == place, x.dtype());
  return {astype((softmax(x, -1) - hit) * expand_dims(wide(in[2]), -1), in[0].dtype())};
}
Arrays CrossEntropyBack::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return {record(op_of<CrossEntropyBack>, p, all_batched(in, batch), {})};
}

// --- attention

namespace {

// What a head of keys is to the queries that share it, (B, Hk, heads, S, D).
array for_queries(const array& x) { return expand_dims(wide(x), 2); }

}  // namespace

ArraySpec AttentionBack::infer(const Params&, std::span<const array> in) {
  int64_t parts = 0;
  for (size_t i = 0; i < 3; ++i) parts += in[i].shape(1) * in[i].shape(2) * in[i].shape(3);
  return {{in[0].shape(0), parts}, in[0].dtype()};
}
// With P the weights and dP = g vᵀ, dS = P (dP - rowsum(P dP)) scale: dS k, dSᵀ q and Pᵀ g.
Arrays AttentionBack::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  int64_t shared = in[1].shape(1), rows = in[0].shape(2), keys = in[1].shape(2);
  auto split = [&](const array& x) {
    return unflatten(wide(x), 1, {shared, in[0].shape(1) / shared});
  };
  array q = split(in[0]), g = split(in[3]);
  array k = for_queries(in[1]), v = for_queries(in[2]);
  array scale = constant(q, double{p.scale});
  array scores = matmul(q * scale, swapaxes(k, -1, -2));
  if (p.causal) {
    array column = arange(0.0, double(keys), int64);
    array row = reshape(arange(double(keys - rows), double(keys), int64), {rows, 1});
    scores = where(column <= row, scores, constant(scores, -3.4028234663852886e38));
  }
  array weights = softmax(scores, -1);
  array slope = matmul(g, swapaxes(v, -1, -2));
  slope = weights * (slope - sum(weights * slope, -1, true)) * scale;
  array dq = matmul(slope, k);
  array dk = sum(matmul(swapaxes(slope, -1, -2), q), 2);
  array dv = sum(matmul(swapaxes(weights, -1, -2), g), 2);
  Arrays parts;
  for (const array& x : {dq, dk, dv}) parts.push_back(flatten(x, 1, -1));
  return {astype(concatenate(parts, 1), in[0].dtype())};
}
// A batch of batches is one larger batch.
Arrays AttentionBack::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  Arrays all;
  for (const array& x : all_batched(in, batch)) all.push_back(flatten(x, 0, 1));
  array out = record(op_of<AttentionBack>, p, std::move(all), {});
  return {unflatten(out, 0, {batch.size, -1})};
}

// Masks, sinks, caps and windows go through the expansion.
std::vector<Maybe> Attention::vjp(const Call& call, std::span<const Maybe> g) {
  const auto& p = call.params.as<P>();
  Shape q = call.in[0].shape(), k = call.in[1].shape();
  bool plain = !p.has_mask && !p.has_sinks && p.softcap == 0 && p.window == 0 && p.length == k[2] &&
               q[2] <= k[2] && call.in[1].dtype() == call.in[0].dtype() &&
               call.in[2].dtype() == call.in[0].dtype();
  if (!plain || !g[0]) return {};
  Arrays in{call.in[0], call.in[1], call.in[2], *g[0]};
  AttentionBack::P back{p.scale, p.causal, p.precision};
  array all = record(op_of<AttentionBack>, back, std::move(in), {});
  std::vector<Maybe> result;
  int64_t from = 0;
  for (const array& x : call.in) {
    int64_t n = x.shape(1) * x.shape(2) * x.shape(3);
    array part = slice(all, {0, from}, {all.shape(0), from + n});
    result.push_back(reshape(part, x.shape()));
    from += n;
  }
  return result;
}

// Turned back by as much.
std::vector<Maybe> Rope::vjp(const Call& call, std::span<const Maybe> g) {
  if (call.in.size() > 1 || !g[0]) return {};  // frequencies have derivatives as well
  auto p = call.params.as<P>();
  p.scale = -p.scale;
  return {record(op_of<Rope>, p, {*g[0]}, {})};
}

}  // namespace tarn::ops
