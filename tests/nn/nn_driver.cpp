// Computes the cases of tests/oracle/nn_test.py, see mlx_driver.h.
#include "nn/nn_calls.h"

namespace tarn::mlx_test {
namespace {

nn::losses::Reduction reduction(const Case& c) {
  using R = nn::losses::Reduction;
  return c.word("reduction") == "mean" ? R::mean : c.word("reduction") == "sum" ? R::sum : R::none;
}

// What has no parameters to differentiate: weights turned into codes, numbers dropped with a key.
void add_keyed(Calls& calls) {
  calls["quantize"] = [](const Case& c) {
    nn::Linear linear = nn::Linear::of(64, 16, true);
    linear.weight = c[0], linear.bias = c[1];
    nn::Quantization how{.group_size = c.number("group_size"), .bits = c.number("bits")};
    nn::quantize(linear, how);
    return Arrays{linear.weight, linear.scales.value(), linear.biases.value()};
  };
#define TARN_DROPOUT(Name)                           \
  calls[#Name] = [](const Case& c) {                 \
    nn::Name layer{static_cast<float>(c.real("p"))}; \
    return Arrays{layer(c[0], c[1])};                \
  };
  TARN_DROPOUT(Dropout)
  TARN_DROPOUT(Dropout2d)
  TARN_DROPOUT(Dropout3d)
#undef TARN_DROPOUT
}

void add_losses(Calls& calls) {
  using namespace nn::losses;
  calls["cross_entropy"] = [](const Case& c) {
    return Arrays{cross_entropy(c[0], c[1], c.maybe(2), c.number("axis", -1),
                                c.real("label_smoothing"), reduction(c))};
  };
  calls["binary_cross_entropy"] = [](const Case& c) {
    return Arrays{
        binary_cross_entropy(c[0], c[1], c.maybe(2), c.flag("with_logits"), reduction(c))};
  };
  calls["gaussian_nll_loss"] = [](const Case& c) {
    return Arrays{gaussian_nll_loss(c[0], c[1], c[2], c.flag("full"), 1e-6, reduction(c))};
  };
  calls["triplet_loss"] = [](const Case& c) {
    return Arrays{triplet_loss(c[0], c[1], c[2], -1, c.number("p", 2), 1.0, 1e-6, reduction(c))};
  };
  calls["margin_ranking_loss"] = [](const Case& c) {
    return Arrays{margin_ranking_loss(c[0], c[1], c[2], c.real("margin"), reduction(c))};
  };
#define TARN_LOSS(name, ...)                                                  \
  calls[#name] = [](const Case& c) {                                          \
    return Arrays{name(c[0], c[1], __VA_ARGS__ __VA_OPT__(, ) reduction(c))}; \
  };
  TARN_LOSS(l1_loss)
  TARN_LOSS(mse_loss)
  TARN_LOSS(nll_loss, c.number("axis", -1))
  TARN_LOSS(kl_div_loss, -1)
  TARN_LOSS(smooth_l1_loss, c.real("beta", 1))
  TARN_LOSS(hinge_loss)
  TARN_LOSS(huber_loss, c.real("delta", 1))
  TARN_LOSS(log_cosh_loss)
  TARN_LOSS(cosine_similarity_loss, 1, 1e-8)
#undef TARN_LOSS
}

void add_initialisers(Calls& calls) {
  using namespace nn::init;
  calls["init.constant"] = [](const Case& c) { return Arrays{constant(c.shape("shape"), 0.5)}; };
  calls["init.identity"] = [](const Case& c) { return Arrays{identity(c.shape("shape"))}; };
  calls["init.normal"] = [](const Case& c) {
    return Arrays{normal(c.shape("shape"), c[0], 1.0, 0.5)};
  };
  calls["init.uniform"] = [](const Case& c) {
    return Arrays{uniform(c.shape("shape"), c[0], -1.0, 3.0)};
  };
  calls["init.sparse"] = [](const Case& c) {
    array drawn = nn::init::sparse(c.shape("shape"), c[0], c.real("sparsity"));
    return Arrays{sum(equal(drawn, array(0.0f)), 1)};
  };
  calls["init.orthogonal"] = [](const Case& c) {
    return Arrays{orthogonal(c.shape("shape"), c[0], c.real("gain", 1))};
  };
  calls["init.glorot_normal"] = [](const Case& c) {
    return Arrays{glorot_normal(c.shape("shape"), c[0], c.real("gain", 1))};
  };
  calls["init.glorot_uniform"] = [](const Case& c) {
    return Arrays{glorot_uniform(c.shape("shape"), c[0], c.real("gain", 1))};
  };
  auto fan = [](const Case& c) { return c.word("mode") == "fan_out" ? Fan::out : Fan::in; };
  calls["init.he_normal"] = [fan](const Case& c) {
    return Arrays{he_normal(c.shape("shape"), c[0], fan(c), c.real("gain", 1))};
  };
  calls["init.he_uniform"] = [fan](const Case& c) {
    return Arrays{he_uniform(c.shape("shape"), c[0], fan(c), c.real("gain", 1))};
  };
}

// Steps on sum((tanh(x w) + b - y)^2) + sum(k^2 cos(k)) from w, b, k: the parameters afterwards,
// and the state by name.
template <class O>
Arrays trained(const Case& c, const O& optimizer) {
  std::map<std::string, array> p{{"w", c[0]}, {"b", c[1]}, {"k", c[2]}};
  auto loss = [&](const std::map<std::string, array>& q) {
    array r = tanh(matmul(c[3], q.at("w"))) + q.at("b") - c[4];
    return sum(square(r)) + sum(square(q.at("k")) * cos(q.at("k")));
  };
  auto step = value_and_grad(loss);
  optim::State state = optimizer.init(p);
  for (int i = 0; i < c.number("steps", 20); ++i) {
    auto [value, gradient] = step(p);
    optimizer.update(p, gradient, state);
    eval(p, state);
  }
  Arrays out{p.at("w"), p.at("b"), p.at("k")};
  for (const auto& [name, a] : state) out.push_back(a);
  return out;
}

void add_optimizers(Calls& calls) {
  using namespace optim;
  auto rate = [](const Case& c) {
    return c.flag("schedule") ? LearningRate(cosine_decay(0.05, 15, 0.01)) : LearningRate(0.02);
  };
  calls["optim.SGD"] = [rate](const Case& c) {
    return trained(c, SGD{rate(c), c.real("momentum"), c.real("weight_decay"), c.real("dampening"),
                          c.flag("nesterov")});
  };
  calls["optim.RMSprop"] = [rate](const Case& c) { return trained(c, RMSprop{rate(c)}); };
  calls["optim.Adagrad"] = [rate](const Case& c) { return trained(c, Adagrad{rate(c)}); };
  calls["optim.AdaDelta"] = [rate](const Case& c) { return trained(c, AdaDelta{rate(c)}); };
  calls["optim.Adam"] = [rate](const Case& c) {
    return trained(c, Adam{.learning_rate = rate(c), .bias_correction = c.flag("bias_correction")});
  };
  calls["optim.AdamW"] = [rate](const Case& c) {
    return trained(c, AdamW{.learning_rate = rate(c), .weight_decay = 0.1});
  };
  calls["optim.Adamax"] = [rate](const Case& c) { return trained(c, Adamax{rate(c)}); };
  calls["optim.Lion"] = [rate](const Case& c) {
    return trained(c, Lion{.learning_rate = rate(c), .weight_decay = c.real("weight_decay")});
  };
  calls["optim.Adafactor"] = [rate](const Case& c) {
    Adafactor a{.weight_decay = c.real("weight_decay"),
                .relative_step = !c.has("rate"),
                .warmup_init = c.flag("warmup_init")};
    if (c.has("rate")) a.learning_rate = rate(c);
    if (c.has("beta_1")) a.beta_1 = c.real("beta_1");
    return trained(c, a);
  };
  calls["optim.Muon"] = [rate](const Case& c) {
    return trained(c, Muon{.learning_rate = rate(c), .nesterov = c.flag("nesterov")});
  };
  calls["optim.MultiOptimizer"] = [rate](const Case& c) {
    return trained(c, MultiOptimizer{{Adam{rate(c)}, SGD{.learning_rate = 0.01, .momentum = 0.9}},
                                     {[](const std::string& path, const array& a) {
                                       return path == "w" && a.ndim() == 2;
                                     }}});
  };
  calls["clip_grad_norm"] = [](const Case& c) {
    auto [clipped, norm] = clip_grad_norm(c.in, c.real("max_norm"));
    clipped.push_back(norm);
    return clipped;
  };
}

void add_schedules(Calls& calls) {
  using namespace optim;
  auto add = [&](const char* name, Schedule s) {
    calls[name] = [s](const Case& c) { return Arrays{s(c[0])}; };
  };
  add("schedule.exponential_decay", exponential_decay(0.1, 0.9));
  add("schedule.step_decay", step_decay(0.1, 0.5, 7));
  add("schedule.cosine_decay", cosine_decay(0.1, 30, 0.02));
  add("schedule.linear_schedule", linear_schedule(0, 0.1, 12));
  add("schedule.join_schedules",
      join_schedules({linear_schedule(0, 0.1, 10), cosine_decay(0.1, 20)}, {10}));
}

}  // namespace
}  // namespace tarn::mlx_test

int main(int count, char** words) {
  using namespace tarn::mlx_test;
  Calls calls;
  add_layers(calls);
  add_attention(calls);
  add_positions(calls);
  add_activations(calls);
  add_keyed(calls);
  add_losses(calls);
  add_initialisers(calls);
  add_optimizers(calls);
  add_schedules(calls);
  return run_driver(calls, count, words);
}
