// Trains a small network to tell which points of a square lie in opposite quarters: a module, its
// gradient, AdamW on a cosine schedule, and a compiled step.
#include <iostream>

#include <tarn/tarn.h>

using namespace tarn;

struct Mlp {
  nn::Linear hidden = nn::Linear::init(2, 32, random::key(1));
  nn::Linear out = nn::Linear::init(32, 2, random::key(2));
  TARN_FIELDS(hidden, out)
  array operator()(const array& x) const { return out(nn::gelu(hidden(x))); }
};

int main() {
  array x = random::uniform(-1, 1, {512, 2}, float32, random::key(3));
  array y = astype(prod(x, 1) > 0.0f, int32);

  Mlp model;
  optim::AdamW adam{.learning_rate = optim::cosine_decay(0.02, 300), .bias_correction = true};
  optim::State state = adam.init(model);
  auto step = compile([&](const Mlp& m, const optim::State& s) {
    auto [loss, gradient] = nn::value_and_grad(
        [&](const Mlp& now) {
          return nn::losses::cross_entropy(now(x), y, {}, -1, 0.0, nn::losses::Reduction::mean);
        },
        m);
    std::tuple next(loss, m, s);
    adam.update(std::get<1>(next), gradient, std::get<2>(next));
    return next;
  });

  array loss;
  for (int i = 0; i < 300; ++i) {
    std::tie(loss, model, state) = step(model, state);
    eval(loss, model, state);
  }
  array right = mean(astype(argmax(model(x), 1) == y, float32));
  std::cout << nn::parameter_count(model) << " parameters, " << state["step"].item<int>()
            << " steps\n"
            << "right for more than 97 in 100: " << (right.item<float>() > 0.97f ? "yes" : "no")
            << "\n";
}

// Output:
//   162 parameters, 300 steps
//   right for more than 97 in 100: yes
