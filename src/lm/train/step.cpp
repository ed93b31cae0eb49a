#include "lm/train/step.h"

#include "lm/cache/training.h"

#include "tarn/fast.h"
#include "tarn/ops.h"
#include "tarn/tree_transforms.h"

namespace tarn::lm {

// Above the rows below which activations become integers: see rounded_up in batches.cpp.
Precision precision_of(ComputeIn compute) {
  return compute == ComputeIn::bfloat16 ? Precision::balanced : Precision::exact;
}

Model with_parameters(const Model& model, const NamedParameters& parameters) {
  Model copy = model;
  copy.parameters([&](const std::string& path, array& a) {
    if (auto it = parameters.find(path); it != parameters.end()) a = it->second;
  });
  return copy;
}

namespace {

array logits_of(const Model& model, const Batch& batch) {
  Pass pass;
  TrainingScope scope({.places = batch.places});
  return reshape(model(batch.ids, pass), {batch.places.shape(0), -1});
}

// The sum over the places, whether the model has made it or logits.
array loss_of(const Model& model, const Batch& batch, const array& key, bool recompute) {
  Pass pass;
  TrainingScope scope({batch.places, recompute, HeadLoss{batch.targets, batch.weights}});
  pass.dropout_key = key;
  array y = model(batch.ids, pass);
  if (y.ndim() == 0) return y;
  array logits = reshape(y, {batch.places.shape(0), -1});
  return sum(fast::cross_entropy(logits, batch.targets) * batch.weights);
}

}  // namespace

std::pair<array, array> place_losses(const Model& model, const Batch& batch) {
  array logits = logits_of(model, batch);
  array losses = fast::cross_entropy(logits, batch.targets) * batch.weights;
  array right = astype(astype(argmax(logits, -1), int32) == batch.targets, float32);
  return {losses, right * batch.weights};
}

BatchLosses::BatchLosses(Model model, ComputeIn compute) : compute_(compute) {
  losses_ = compile([model = std::move(model)](const NamedParameters& p, const Batch& batch) {
    return place_losses(with_parameters(model, p), batch);
  });
}

std::vector<SampleLoss> BatchLosses::operator()(const NamedParameters& parameters,
                                                const TrainSet& set, const Rows& rows) const {
  PrecisionScope scope(precision_of(compute_));
  std::vector<SampleLoss> all;
  for (const Rows& part : parts_of(set, rows, tokens_at_once)) {
    auto [losses, right] = losses_(parameters, make_batch(set, part));
    eval(losses, right);
    const auto *loss = losses.data<float>(), *correct = right.data<float>();
    for (size_t r : part) {
      SampleLoss one{.tokens = set.samples[r].counted()};
      for (int64_t i = 0; i < one.tokens; ++i) {
        one.loss += static_cast<double>(*loss++);
        one.correct += *correct++ > 0 ? 1 : 0;
      }
      all.push_back(one);
    }
  }
  return all;
}

TrainStep::TrainStep(const Model& model, const TrainOptions& options, int64_t steps,
                     const Packed& packed)
    : optimizer(optimizer_of(options, steps)) {
  bool recompute = options.recompute;
  gradients = compile([model, recompute, packed](const NamedParameters& parameters,
                                                 const Batch& batch, const array& key) {
    auto [loss, slopes] = value_and_grad([&](const NamedParameters& p) {
      return loss_of(with_parameters(model, p), batch, key, recompute);
    })(packed.named(parameters));
    return std::pair(loss, packed.packed(slopes));
  });
  add = compile([](const NamedParameters& a, const NamedParameters& b) {
    return tree_map([](const array& x, const array& y) { return x + y; }, a, b);
  });
  scaled = compile([clip = options.clip](const NamedParameters& sums, const array& tokens) {
    auto means = tree_map([&](const array& g) { return g / tokens; }, sums);
    auto [clipped, norm] = optim::clip_grad_norm(means, clip > 0 ? clip : 0);
    return std::pair(clip > 0 ? clipped : means, norm);
  });
  update = compile([o = optimizer](const NamedParameters& parameters, const optim::State& state,
                                   const NamedParameters& gradient) {
    std::pair next(parameters, state);
    o.update(next.first, gradient, next.second);
    return next;
  });
}

}  // namespace tarn::lm
