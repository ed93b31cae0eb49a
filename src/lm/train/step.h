// The parts of a step: losses, gradients and the update, each recorded once for each shape.
#pragma once

#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "lm/train/batches.h"
#include "lm/train/packed.h"
#include "tarn/lm/train.h"
#include "tarn/ops/quantized.h"

namespace tarn::lm {

optim::LearningRate rate_of(const TrainOptions& options, int64_t steps);
optim::Optimizer optimizer_of(const TrainOptions& options, int64_t steps);

// The model with some of its parameters replaced.
Model with_parameters(const Model& model, const NamedParameters& parameters);

// {losses, correct} of the batch's places, float32 (k,) each; 0 for places that only fill up.
std::pair<array, array> place_losses(const Model& model, const Batch& batch);

// Losses in one recording a shape, for any number of batches.
class BatchLosses {
 public:
  explicit BatchLosses(Model model, ComputeIn compute);
  // One for each row of the batch.
  std::vector<SampleLoss> operator()(const NamedParameters& parameters, const TrainSet& set,
                                     const Rows& rows) const;

 private:
  static constexpr int64_t tokens_at_once = 512;  // their logits are the most memory it takes
  std::function<std::pair<array, array>(const NamedParameters&, const Batch&)> losses_{};
  ComputeIn compute_;
};

// Parameters, gradients and state are what `packed` makes of them.
struct TrainStep {
  TrainStep(const Model& model, const TrainOptions& options, int64_t steps,
            const Packed& packed = {});
  optim::Optimizer optimizer;
  // {sum of the losses, its gradient}; dropout is drawn from `key`.
  std::function<std::pair<array, NamedParameters>(const NamedParameters&, const Batch&,
                                                  const array& key)>
      gradients{};
  // Adds gradients to others.
  std::function<NamedParameters(const NamedParameters&, const NamedParameters&)> add{};
  // {gradients over the number of tokens and clipped, their norm before}.
  std::function<std::pair<NamedParameters, array>(const NamedParameters&, const array& tokens)>
      scaled{};
  // {parameters, state} after the step.
  std::function<std::pair<NamedParameters, optim::State>(
      const NamedParameters&, const optim::State&, const NamedParameters&)>
      update{};
};

// Precision for the calling thread's products while it lives.
Precision precision_of(ComputeIn compute);

}  // namespace tarn::lm
