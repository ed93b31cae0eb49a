// The gated delta rule: what it is in plain array operations, a step at a time.
#include "ops/compound.h"

namespace tarn {

using namespace ops;

namespace ops {

ArraySpec GatedDelta::infer(const Params&, std::span<const array> in) {
  const Shape &v = in[2].shape(), &state = in[5].shape();
  return {{v[0], v[2], v[1] * v[3] + state[2] * state[3]}, in[2].dtype()};
}
Arrays GatedDelta::expand(const Params&, std::span<const array> in) {
  Dtype t = in[0].dtype() == float64 ? float64 : float32;
  int64_t steps = in[2].shape(1), heads = in[2].shape(2), shared = in[0].shape(2);
  // (B, T, H, ...) as (B, H, T, ...), a key head repeated for the value heads that share it.
  auto of_head = [&](const array& x) {
    array y = swapaxes(astype(x, t), 1, 2);
    return y.shape(1) == heads ? y : repeat(y, static_cast<int>(heads / shared), 1);
  };
  auto at = [](const array& x, int64_t step) { return take(x, static_cast<int>(step), 2); };
  array q = of_head(in[0]), k = of_head(in[1]), v = of_head(in[2]);
  array gates =
      expand_dims(of_head(in[3]), in[3].ndim() == 3 ? std::vector<int>{3, 4} : std::vector<int>{3});
  array beta = expand_dims(of_head(in[4]), 3), state = astype(in[5], t);
  std::vector<array> out;
  for (int64_t step = 0; step < steps; ++step) {
    array key = expand_dims(at(k, step), 2);
    state = state * at(gates, step);
    array change = at(beta, step) * (at(v, step) - sum(state * key, -1));
    state = state + expand_dims(change, -1) * key;
    out.push_back(sum(state * expand_dims(at(q, step), 2), -1));
  }
  out.push_back(flatten(state, 2, 3));
  return {astype(concatenate(std::move(out), -1), in[2].dtype())};
}
// A batch of batches is one larger batch.
Arrays GatedDelta::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  Arrays all;
  for (size_t i = 0; i < in.size(); ++i)
    all.push_back(flatten(batched(in[i], batch.mapped[i], batch.size), 0, 1));
  array out = record(op_of<GatedDelta>, p, std::move(all), {});
  return {unflatten(out, 0, {batch.size, -1})};
}

}  // namespace ops

namespace fast {
namespace {

void check_delta(const array& q, const array& k, const array& v, const array& gates,
                 const array& beta, const std::optional<array>& mask) {
  const char* op = "gated_delta_update";
  bool fits = q.ndim() == 4 && v.ndim() == 4 && q.shape() == k.shape() &&
              v.shape(0) == q.shape(0) && v.shape(1) == q.shape(1) && q.shape(2) > 0 &&
              v.shape(2) % q.shape(2) == 0;
  require<ShapeError>(fits,
                      "[{}] queries have shape {}, keys {} and values {}: they need (B, T, Hk, Dk) "
                      "twice and (B, T, Hv, Dv), Hk dividing Hv.",
                      op, text_of(q.shape()), text_of(k.shape()), text_of(v.shape()));
  Shape heads(v.shape().begin(), v.shape().end() - 1), columns = heads;
  columns.push_back(q.shape(3));
  require<ShapeError>(beta.shape() == heads && (gates.shape() == heads || gates.shape() == columns),
                      "[{}] gates have shape {} and beta {}: values of shape {} need {} for both, "
                      "or {} for gates.",
                      op, text_of(gates.shape()), text_of(beta.shape()), text_of(v.shape()),
                      text_of(heads), text_of(columns));
  Shape steps{v.shape(0), v.shape(1)};
  if (!mask) return;
  require(mask->dtype() == bool_, "[{}] mask is {}; it must be bool.", op, name_of(mask->dtype()));
  require<ShapeError>(mask->shape() == steps, "[{}] mask has shape {}; it needs {}.", op,
                      text_of(mask->shape()), text_of(steps));
}

}  // namespace

std::vector<array> gated_delta_update(const array& queries, const array& keys, const array& values,
                                      const array& gates, const array& beta,
                                      const std::optional<array>& initial_state,
                                      const std::optional<array>& mask, StreamOrDevice s) {
  check_delta(queries, keys, values, gates, beta, mask);
  int64_t batch = values.shape(0), steps = values.shape(1), heads = values.shape(2);
  int64_t rows = values.shape(3), columns = queries.shape(3);
  Shape of_state{batch, heads, rows, columns};
  require<ShapeError>(!initial_state || initial_state->shape() == of_state,
                      "[gated_delta_update] initial_state has shape {}; it needs {}.",
                      text_of(initial_state ? initial_state->shape() : of_state),
                      text_of(of_state));
  Arrays in{queries, keys, values, gates, beta};
  if (initial_state) in.push_back(*initial_state);
  bool wide = false;
  for (const array& x : in) {
    domain("gated_delta_update", Types::floating, x.dtype());
    wide |= x.dtype() == float64;
  }
  Dtype t = wide ? float64 : float32;
  for (array& x : in) x = astype(x, t, s);
  if (!initial_state) in.push_back(zeros(of_state, t, s));
  if (mask) {  // a gate of 1 and a beta of 0 leave the state
    array keep = expand_dims(*mask, 2, s);
    in[4] = where(keep, in[4], array(0, t), s);
    in[3] = where(gates.ndim() == 4 ? expand_dims(keep, 3, s) : keep, in[3], array(1, t), s);
  }
  array both = record(op_of<GatedDelta>, GatedDelta::P{}, std::move(in), s);
  Shape all = both.shape(), cut = all;
  cut[2] = steps * rows;
  array out = slice(both, Shape{0, 0, 0}, cut, s), last = slice(both, Shape{0, 0, cut[2]}, all, s);
  out = swapaxes(reshape(out, {batch, heads, steps, rows}, s), 1, 2, s);
  if (mask) out = where(expand_dims(*mask, std::vector<int>{2, 3}, s), out, array(0, t), s);
  return {astype(out, result_type(queries, keys, values), s), reshape(last, of_state, s)};
}

}  // namespace fast
}  // namespace tarn
