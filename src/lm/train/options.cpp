// Options: what is allowed, the optimizer and the course of its rate.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/require.h"
#include "lm/train/step.h"
#include "tarn/info.h"

namespace tarn::lm {
namespace {

constexpr std::array optimizers{"adam", "adamw", "sgd", "muon", "adafactor", "lion"};
constexpr std::array schedules{"constant", "cosine", "linear", "exponential"};

template <class Names>
void check_name(const char* what, const std::string& name, const Names& names) {
  require(std::find(names.begin(), names.end(), name) != names.end(),
          "[train] {} is \"{}\"; there are {}.", what, name, joined(names));
}
void check_least(const char* what, int64_t value, int64_t least) {
  require(value >= least, "[train] {} is {}; it must be at least {}.", what, value, least);
}

}  // namespace

ComputeIn fastest_compute() {
  return machine_info().isa == "amx" ? ComputeIn::bfloat16 : ComputeIn::float32;
}

void check(const TrainOptions& o) {
  check_name("optimizer", o.optimizer, optimizers);
  check_name("schedule", o.schedule, schedules);
  require(std::isfinite(o.learning_rate) && o.learning_rate > 0,
          "[train] learning_rate is {}; it must be positive, such as 2e-3 for adapters.",
          o.learning_rate);
  require(o.weight_decay >= 0 && o.weight_decay < 1,
          "[train] weight_decay is {}; it lies in [0, 1).", o.weight_decay);
  require(o.end_share >= 0 && o.end_share <= 1, "[train] end_share is {}; it lies in [0, 1].",
          o.end_share);
  require(o.schedule != "exponential" || o.end_share > 0,
          "[train] end_share is 0; an exponential schedule ends above it.");
  require(o.clip >= 0, "[train] clip is {}; it must not be negative.", o.clip);
  require(o.steps > 0 || (std::isfinite(o.epochs) && o.epochs > 0),
          "[train] epochs is {}; it must be positive, or steps given.", o.epochs);
  check_least("steps", o.steps, 0);
  check_least("warmup", o.warmup, 0);
  check_least("batch_size", o.batch_size, 1);
  check_least("accumulate", o.accumulate, 1);
  check_least("tokens_at_once", o.tokens_at_once, 1);
  check_least("steps_per_eval", o.steps_per_eval, 0);
  check_least("steps_per_save", o.steps_per_save, 0);
  check_least("validation_batches", o.validation_batches, 0);
  check_least("patience", o.patience, 0);
}

optim::LearningRate rate_of(const TrainOptions& o, int64_t steps) {
  double top = o.learning_rate, end = top * o.end_share;
  int64_t rest = std::max<int64_t>(steps - o.warmup, 1);
  auto constant = [top](const array&) { return array(static_cast<float>(top)); };
  optim::Schedule course = constant;
  if (o.schedule == "cosine") course = optim::cosine_decay(top, rest, end);
  if (o.schedule == "linear") course = optim::linear_schedule(top, end, rest);
  if (o.schedule == "exponential")
    course = optim::exponential_decay(top, std::pow(o.end_share, 1.0 / static_cast<double>(rest)));
  if (o.warmup == 0) return course;
  // The first step is not lost: it has a share of the rate already.
  double share = top / static_cast<double>(o.warmup + 1);
  return optim::join_schedules({optim::linear_schedule(share, top, o.warmup), course}, {o.warmup});
}

optim::Optimizer optimizer_of(const TrainOptions& o, int64_t steps) {
  optim::LearningRate rate = rate_of(o, steps);
  double decay = o.weight_decay;
  if (o.optimizer == "adam") return optim::Adam{.learning_rate = rate, .bias_correction = true};
  if (o.optimizer == "sgd")
    return optim::SGD{.learning_rate = rate, .momentum = 0.9, .weight_decay = decay};
  if (o.optimizer == "muon") return optim::Muon{.learning_rate = rate, .weight_decay = decay};
  if (o.optimizer == "adafactor")
    return optim::Adafactor{.learning_rate = rate, .weight_decay = decay, .relative_step = false};
  if (o.optimizer == "lion") return optim::Lion{.learning_rate = rate, .weight_decay = decay};
  return optim::AdamW{.learning_rate = rate, .weight_decay = decay, .bias_correction = true};
}

}  // namespace tarn::lm
