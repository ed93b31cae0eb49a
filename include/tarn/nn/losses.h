// Losses, with MLX's formulas and defaults. Arguments that do not fit throw ShapeError.
#pragma once

#include <cstdint>
#include <optional>

#include "tarn/array.h"

namespace tarn::nn::losses {

// What becomes of the losses of a batch: as they are, their mean, their sum.
enum class Reduction : uint8_t { none, mean, sum };

// logsumexp(logits) less the target's logit, along the axis. Targets are class indices, of the
// shape of logits without the axis, or probabilities, of the shape of logits. label_smoothing in
// [0, 1) moves that part of the target's weight to all classes alike. weights have the loss's
// shape.
array cross_entropy(const array& logits, const array& targets,
                    const std::optional<array>& weights = std::nullopt, int axis = -1,
                    double label_smoothing = 0.0, Reduction reduction = Reduction::none);
// -(t log(p) + (1 - t) log(1 - p)) of inputs that are logits, or probabilities p, whose logarithms
// are held above -100.
array binary_cross_entropy(const array& inputs, const array& targets,
                           const std::optional<array>& weights = std::nullopt,
                           bool with_logits = true, Reduction reduction = Reduction::mean);
// |p - t|.
array l1_loss(const array& predictions, const array& targets,
              Reduction reduction = Reduction::mean);
// (p - t)^2.
array mse_loss(const array& predictions, const array& targets,
               Reduction reduction = Reduction::mean);
// -inputs at the target's index; inputs are log-probabilities.
array nll_loss(const array& inputs, const array& targets, int axis = -1,
               Reduction reduction = Reduction::none);
// (log v + (t - x)^2 / v) / 2 with v = max(vars, eps); `full` adds log(2 pi) / 2.
array gaussian_nll_loss(const array& inputs, const array& targets, const array& vars,
                        bool full = false, double eps = 1e-6,
                        Reduction reduction = Reduction::mean);
// The sum along the axis of exp(t) (t - x); both are log-probabilities.
array kl_div_loss(const array& inputs, const array& targets, int axis = -1,
                  Reduction reduction = Reduction::none);
// d^2 / (2 beta) for d = |p - t| below beta, else d - beta / 2.
array smooth_l1_loss(const array& predictions, const array& targets, double beta = 1.0,
                     Reduction reduction = Reduction::mean);
// max(|a - p| - |a - n| + margin, 0) with p-norms along the axis.
array triplet_loss(const array& anchors, const array& positives, const array& negatives,
                   int axis = -1, int p = 2, double margin = 1.0, double eps = 1e-6,
                   Reduction reduction = Reduction::none);
// max(1 - x t, 0), t being -1 or 1.
array hinge_loss(const array& inputs, const array& targets, Reduction reduction = Reduction::none);
// e^2 / 2 for |e| = |x - t| below delta, else delta (|e| - delta / 2).
array huber_loss(const array& inputs, const array& targets, double delta = 1.0,
                 Reduction reduction = Reduction::none);
// log(cosh(x - t)).
array log_cosh_loss(const array& inputs, const array& targets,
                    Reduction reduction = Reduction::none);
// x1 . x2 / max(|x1| |x2|, eps) along the axis.
array cosine_similarity_loss(const array& x1, const array& x2, int axis = 1, double eps = 1e-8,
                             Reduction reduction = Reduction::none);
// max(0, -t (x1 - x2) + margin).
array margin_ranking_loss(const array& inputs1, const array& inputs2, const array& targets,
                          double margin = 0.0, Reduction reduction = Reduction::none);

}  // namespace tarn::nn::losses
