#include "tarn/nn/losses.h"

#include <cmath>
#include <numbers>

#include "base/require.h"
#include "nn/weak.h"
#include "tarn/ops.h"

namespace tarn::nn::losses {
namespace {

array reduced(const array& loss, Reduction reduction) {
  if (reduction == Reduction::none) return loss;
  return reduction == Reduction::mean ? tarn::mean(loss) : tarn::sum(loss);
}

void check_same(const char* loss, const char* a_is, const array& a, const char* b_is,
                const array& b) {
  require<ShapeError>(a.shape() == b.shape(), "[{}] {} have shape {}, {} {}: they must be equal.",
                      loss, a_is, text_of(a.shape()), b_is, text_of(b.shape()));
}

array weighted(const char* name, const array& loss, const std::optional<array>& weights) {
  if (!weights) return loss;
  check_same(name, "weights", *weights, "losses", loss);
  return loss * *weights;
}

array chosen(const array& from, const array& targets, int axis) {
  return squeeze(take_along_axis(from, expand_dims(targets, axis), axis), axis);
}

array length(const array& x, int axis) { return sqrt(sum(square(abs(x)), axis)); }

}  // namespace

array cross_entropy(const array& logits, const array& targets, const std::optional<array>& weights,
                    int axis, double label_smoothing, Reduction reduction) {
  require(label_smoothing >= 0 && label_smoothing < 1,
          "[cross_entropy] label_smoothing is {}; it lies in [0, 1).", label_smoothing);
  Shape want = logits.shape();
  bool probabilities = targets.ndim() == logits.ndim();
  if (!probabilities) {
    logits.shape(axis);  // throws unless there is such an axis
    want.erase(want.begin() + (axis < 0 ? axis + static_cast<int>(want.size()) : axis));
  }
  require<ShapeError>(targets.shape() == want,
                      "[cross_entropy] logits have shape {}, targets {}: give the index of a class "
                      "for each, {}, or probabilities of the logits' shape.",
                      text_of(logits.shape()), text_of(targets.shape()), text_of(want));
  array shifted = logits - stop_gradient(max(logits, axis, true));
  array score = probabilities ? sum(shifted * targets, axis) : chosen(shifted, targets, axis);
  array normaliser = logsumexp(shifted, axis);
  array loss = normaliser - score;
  if (label_smoothing > 0)
    loss = normaliser - Weak(1 - label_smoothing) * score -
           tarn::mean(shifted, axis) * Weak(label_smoothing);
  return reduced(weighted("cross_entropy", loss, weights), reduction);
}

array binary_cross_entropy(const array& inputs, const array& targets,
                           const std::optional<array>& weights, bool with_logits,
                           Reduction reduction) {
  check_same("binary_cross_entropy", "inputs", inputs, "targets", targets);
  auto log_above = [](const array& p) { return maximum(log(p), Weak(-100.0)); };
  array loss = with_logits
                   ? logaddexp((0.0_w).like(inputs), inputs) - inputs * targets
                   : -(targets * log_above(inputs) + (1_w - targets) * log_above(1_w - inputs));
  return reduced(weighted("binary_cross_entropy", loss, weights), reduction);
}

array l1_loss(const array& predictions, const array& targets, Reduction reduction) {
  check_same("l1_loss", "predictions", predictions, "targets", targets);
  return reduced(abs(predictions - targets), reduction);
}

array mse_loss(const array& predictions, const array& targets, Reduction reduction) {
  check_same("mse_loss", "predictions", predictions, "targets", targets);
  return reduced(square(predictions - targets), reduction);
}

array nll_loss(const array& inputs, const array& targets, int axis, Reduction reduction) {
  return reduced(-chosen(inputs, targets, axis), reduction);
}

array gaussian_nll_loss(const array& inputs, const array& targets, const array& vars, bool full,
                        double eps, Reduction reduction) {
  check_same("gaussian_nll_loss", "inputs", inputs, "targets", targets);
  check_same("gaussian_nll_loss", "inputs", inputs, "vars", vars);
  array v = maximum(vars, Weak(eps));
  array loss = 0.5_w * (log(v) + square(targets - inputs) / v);
  if (full) loss = loss + Weak(0.5 * std::log(2 * std::numbers::pi));
  return reduced(loss, reduction);
}

array kl_div_loss(const array& inputs, const array& targets, int axis, Reduction reduction) {
  return reduced(sum(exp(targets) * (targets - inputs), axis), reduction);
}

array smooth_l1_loss(const array& predictions, const array& targets, double beta,
                     Reduction reduction) {
  check_same("smooth_l1_loss", "predictions", predictions, "targets", targets);
  array d = abs(predictions - targets);
  array loss = where(d < Weak(beta), 0.5_w * square(d) / Weak(beta), d - Weak(0.5 * beta));
  return reduced(loss, reduction);
}

array triplet_loss(const array& anchors, const array& positives, const array& negatives, int axis,
                   int p, double margin, double eps, Reduction reduction) {
  auto distance = [&](const array& other) {
    array powers = sum(power(abs(anchors - other), Weak(p)), axis);
    return power(powers + Weak(eps), Weak(1.0 / p));
  };
  array loss = maximum(distance(positives) - distance(negatives) + Weak(margin), 0_w);
  return reduced(loss, reduction);
}

array hinge_loss(const array& inputs, const array& targets, Reduction reduction) {
  return reduced(maximum(1_w - inputs * targets, 0_w), reduction);
}

array huber_loss(const array& inputs, const array& targets, double delta, Reduction reduction) {
  array size = abs(inputs - targets);
  array quadratic = minimum(size, Weak(delta));
  return reduced(0.5_w * square(quadratic) + Weak(delta) * (size - quadratic), reduction);
}

array log_cosh_loss(const array& inputs, const array& targets, Reduction reduction) {
  array e = inputs - targets;
  return reduced(logaddexp(e, -e) - Weak(std::numbers::ln2), reduction);
}

array cosine_similarity_loss(const array& x1, const array& x2, int axis, double eps,
                             Reduction reduction) {
  array lengths = maximum(length(x1, axis) * length(x2, axis), Weak(eps));
  return reduced(sum(x1 * x2, axis) / lengths, reduction);
}

array margin_ranking_loss(const array& inputs1, const array& inputs2, const array& targets,
                          double margin, Reduction reduction) {
  check_same("margin_ranking_loss", "inputs1", inputs1, "inputs2", inputs2);
  check_same("margin_ranking_loss", "inputs1", inputs1, "targets", targets);
  return reduced(maximum(-targets * (inputs1 - inputs2) + Weak(margin), 0_w), reduction);
}

}  // namespace tarn::nn::losses
