// How badly logits foretell classes.
#include "ops/kinds.h"
#include "tarn/fast.h"

namespace tarn::fast {

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
  array chosen = take_along_axis(x, expand_dims(targets, -1, s), -1, s);
  return subtract(logsumexp(x, -1, false, s), squeeze(chosen, -1, s), s);
}

}  // namespace tarn::fast
