// How badly logits foretell classes.
#include "ops/back.h"
#include "ops/compound.h"

namespace tarn {
namespace ops {

ArraySpec CrossEntropy::infer(const Params&, std::span<const array> in) {
  return {in[1].shape(), in[0].dtype()};
}
Arrays CrossEntropy::expand(const Params&, std::span<const array> in) {
  array x = in[0].dtype() == float64 ? in[0] : astype(in[0], float32);
  array chosen = take_along_axis(x, expand_dims(in[1], -1), -1);
  return {astype(logsumexp(x, -1) - squeeze(chosen, -1), in[0].dtype())};
}
Arrays CrossEntropy::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return {record(
      op_of<CrossEntropy>, p,
      {batched(in[0], batch.mapped[0], batch.size), batched(in[1], batch.mapped[1], batch.size)},
      {})};
}
std::vector<Maybe> CrossEntropy::vjp(const Call& call, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}, Maybe{}};
  return {
      record(op_of<CrossEntropyBack>, CrossEntropyBack::P{}, {call.in[0], call.in[1], *g[0]}, {}),
      Maybe{}};
}

}  // namespace ops

namespace fast {

array cross_entropy(const array& logits, const array& targets, StreamOrDevice s) {
  require<ShapeError>(logits.ndim() > 0, "[cross_entropy] x is 0-d; there is no last axis.");
  Dtype t = ops::domain("cross_entropy", ops::Types::floating, logits.dtype());
  require(issubdtype(targets.dtype(), integer),
          "[cross_entropy] targets are {}; they must be integers, the indices of classes.",
          name_of(targets.dtype()));
  require<ShapeError>(targets.shape() == Shape(logits.shape().begin(), logits.shape().end() - 1),
                      "[cross_entropy] logits have shape {} and targets {}: targets need all axes "
                      "of the logits but the last.",
                      text_of(logits.shape()), text_of(targets.shape()));
  array x = astype(logits, t == float64 ? float64 : float32, s);
  return record(ops::op_of<ops::CrossEntropy>, ops::CrossEntropy::P{}, {x, targets}, s);
}

}  // namespace fast
}  // namespace tarn
