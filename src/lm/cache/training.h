// What a training step asks of a pass besides what its callers do.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "tarn/lm/model.h"
#include "tarn/nn/layers.h"
#include "tarn/ops/indexing.h"
#include "tarn/random.h"
#include "tarn/tree_transforms.h"

namespace tarn::lm {

// What the logits of a step are for: the sum of weights (k,) times the cross entropies of targets
// (k,) int32.
struct HeadLoss {
  array targets{}, weights{};
};

struct Training {
  // Places in ids, flattened, whose logits are wanted: (k,) int32, for logits (1, k, vocabulary).
  std::optional<array> places{};
  bool recompute = false;  // derivatives compute a layer's values again instead of keeping them
  std::optional<HeadLoss> loss{};  // a model that calls run_head gives this instead of its logits
};

// The calling thread's passes are of a training step while it lives.
class TrainingScope {
 public:
  explicit TrainingScope(Training training);
  ~TrainingScope();
  TrainingScope(const TrainingScope&) = delete;
  TrainingScope& operator=(const TrainingScope&) = delete;
  static const Training& current();

 private:
  Training before_;
};

// block(x, pass, layer). Computed again, dropout is to drop what it dropped the first time, and
// something else in each layer.
template <class Block>
array run_layer(const Block& block, const array& x, Pass& pass, size_t layer) {
  if (!TrainingScope::current().recompute || !pass.rows.empty()) return block(x, pass, layer);
  nn::LowRankContext context = nn::LowRankScope::current();
  if (context.dropout_key) {
    auto number = static_cast<int>(layer) + 1;
    context.dropout_key = take(random::split(*context.dropout_key, number + 1), number, 0);
  }
  auto run = [layer, context](const Block& b, const array& h) {
    nn::LowRankScope scope(context);
    Pass without_rows{.last_only = false};  // the scope that asks for places ends before this does
    return b(h, without_rows, layer);
  };
  return checkpoint(run)(block, x);
}

// The logits of x (1, k, width) by the head, or by the table that shares its weights where there is
// none; softcap * tanh(logit / softcap) where that is not 0. Where the step asks for it, their loss
// instead, 0-d. Then there are never the logits of more than some hundred places: they become their
// loss and its derivative at once, a piece of x after the other.
array run_head(const std::optional<nn::Linear>& head, const nn::Embedding& table, const array& x,
               float softcap);

}  // namespace tarn::lm
