// Optimizers, with MLX's formulas and defaults. An optimizer is a plain value with settings:
//   optim::AdamW adam{.learning_rate = optim::cosine_decay(1e-3, 1000)};
//   optim::State state = adam.init(model);
//   adam.update(model, gradients, state);  eval(model, state);
// `model` and `gradients` are trees: modules, vectors or maps of arrays. Parameters whose gradient
// is absent (frozen ones) stay as they are. An update replaces arrays of model and state, never
// numbers, and on an error neither. Calls throw ValueError for settings out of their range.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tarn/optim/schedules.h"
#include "tarn/optim/step.h"

namespace tarn::optim {

#define TARN_OPTIMIZER(Name, needs_rate)                                                           \
  /* The state before the first step. */                                                           \
  template <Tree M>                                                                                \
  State init(const M& model) const {                                                               \
    return detail::start(rule(), detail::trainable(model));                                        \
  }                                                                                                \
  /* One step. A state without a parameter's arrays gets them. */                                  \
  template <Tree M, Tree G>                                                                        \
  void update(M& model, const G& gradients, State& state) const {                                  \
    detail::put(model, detail::stepped(rule(), detail::present(model), detail::present(gradients), \
                                       state));                                                    \
  }                                                                                                \
  detail::Rule rule() const {                                                                      \
    return {#Name,                                                                                 \
            learning_rate,                                                                         \
            needs_rate,                                                                            \
            [it = *this] { it.check(); },                                                          \
            [it = *this](const array& p, Slots& s) { it.start(p, s); },                            \
            [it = *this](const array& g, const array& p, Slots& s, const Step& step) {             \
              return it.apply(g, p, s, step);                                                      \
            }};                                                                                    \
  }                                                                                                \
  void check() const;                                                                              \
  void start(const array& parameter, Slots& slots) const;                                          \
  array apply(const array& gradient, const array& parameter, Slots& slots, const Step& step) const;

// v = momentum v + (1 - dampening) g, w -= rate v; with nesterov w -= rate (g + momentum v).
struct SGD {
  LearningRate learning_rate{};
  double momentum = 0, weight_decay = 0, dampening = 0;
  bool nesterov = false;
  TARN_OPTIMIZER(SGD, true)
};
// v = alpha v + (1 - alpha) g^2, w -= rate g / (sqrt(v) + eps). Tieleman, Hinton 2012.
struct RMSprop {
  LearningRate learning_rate{};
  double alpha = 0.99, eps = 1e-8;
  TARN_OPTIMIZER(RMSprop, true)
};
// v += g^2, w -= rate g / (sqrt(v) + eps). Duchi et al. 2011.
struct Adagrad {
  LearningRate learning_rate{};
  double eps = 1e-8;
  TARN_OPTIMIZER(Adagrad, true)
};
// v = rho v + (1 - rho) g^2, d = sqrt((u + eps) / (v + eps)) g, u = rho u + (1 - rho) d^2,
// w -= rate d. Zeiler 2012.
struct AdaDelta {
  LearningRate learning_rate{};
  double rho = 0.9, eps = 1e-6;
  TARN_OPTIMIZER(AdaDelta, true)
};
// b1, b2 = betas, m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate m / (sqrt(v) + eps);
// bias_correction divides m by 1 - b1^t and v by 1 - b2^t. Kingma, Ba 2015.
struct Adam {
  LearningRate learning_rate{};
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  bool bias_correction = false;
  TARN_OPTIMIZER(Adam, true)
};
// Adam, after w *= 1 - rate weight_decay. Loshchilov, Hutter 2019.
struct AdamW {
  LearningRate learning_rate{};
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8, weight_decay = 0.01;
  bool bias_correction = false;
  TARN_OPTIMIZER(AdamW, true)
};
// Adam with v = max(b2 v, |g|), w -= rate m / (v + eps).
struct Adamax {
  LearningRate learning_rate{};
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  TARN_OPTIMIZER(Adamax, true)
};
// c = b1 m + (1 - b1) g, m = b2 m + (1 - b2) g, w -= rate (sign(c) + weight_decay w). Chen et al.
// 2023, "Symbolic Discovery of Optimization Algorithms".
struct Lion {
  LearningRate learning_rate{};
  std::array<double, 2> betas{0.9, 0.99};
  double weight_decay = 0;
  TARN_OPTIMIZER(Lion, true)
};
// Adam's second moment kept as its row and column means. With relative_step the rate follows from
// the step, and learning_rate is not asked. Shazeer, Stern 2018.
struct Adafactor {
  LearningRate learning_rate{};
  std::array<double, 2> eps{1e-30, 1e-3};  // added to g^2; least scale of a parameter
  double clip_threshold = 1, decay_rate = -0.8;
  std::optional<double> beta_1{};  // of a first moment, which is not kept otherwise
  double weight_decay = 0;
  bool scale_parameter = true, relative_step = true, warmup_init = false;
  TARN_OPTIMIZER(Adafactor, !relative_step)
};
// Momentum whose matrices are made nearly orthogonal by Newton-Schulz steps; more than 2 axes count
// as rows and the rest. Jordan et al. 2024.
struct Muon {
  LearningRate learning_rate{};
  double momentum = 0.95, weight_decay = 0.01;
  bool nesterov = true;
  int ns_steps = 5;
  TARN_OPTIMIZER(Muon, true)
};
#undef TARN_OPTIMIZER

// Any optimizer, as one type.
class Optimizer {
 public:
  template <class O>
  requires requires(const O& o) { o.rule(); }
  Optimizer(O optimizer)
      : start_([optimizer](const detail::Leaves& p) { return detail::start(optimizer.rule(), p); }),
        stepped_([optimizer](const detail::Leaves& p, const detail::Leaves& g, State& s) {
          return detail::stepped(optimizer.rule(), p, g, s);
        }) {}
  template <Tree M>
  State init(const M& model) const {
    return start_(detail::trainable(model));
  }
  template <Tree M, Tree G>
  void update(M& model, const G& gradients, State& state) const {
    detail::put(model, stepped_(detail::present(model), detail::present(gradients), state));
  }

 private:
  friend struct MultiOptimizer;
  std::function<State(const detail::Leaves&)> start_{};
  std::function<detail::Leaves(const detail::Leaves&, const detail::Leaves&, State&)> stepped_{};
};

// Each parameter goes to the first optimizer whose filter(path, gradient) holds; the last one,
// which has no filter, takes the rest. The state has those of the optimizers under "states.0.",
// ....
struct MultiOptimizer {
  std::vector<Optimizer> optimizers{};
  std::vector<nn::Where> filters{};  // one less than optimizers, else ValueError

  template <Tree M>
  State init(const M& model) const {
    return start(detail::trainable(model));
  }
  template <Tree M, Tree G>
  void update(M& model, const G& gradients, State& state) const {
    detail::put(model, stepped(detail::present(model), detail::present(gradients), state));
  }

 private:
  std::vector<detail::Leaves> divided(const detail::Leaves& leaves) const;
  State start(const detail::Leaves& parameters) const;
  detail::Leaves stepped(const detail::Leaves& parameters, const detail::Leaves& gradients,
                         State& state) const;
};

}  // namespace tarn::optim
