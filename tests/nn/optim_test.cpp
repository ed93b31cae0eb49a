// Optimizers over trees: states that are saved, frozen parameters, errors, compiled steps.
#include "tarn/optim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "error_of.h"
#include "tarn/tarn.h"

namespace tarn::optim {
namespace {

using tarn_test::error_of;

using testing::ElementsAre;

struct Net {
  nn::Linear first = nn::Linear::init(3, 8, random::key(1));
  nn::Linear second = nn::Linear::init(8, 1, random::key(2));
  TARN_FIELDS(first, second)
  array operator()(const array& x) const { return second(tanh(first(x))); }
};
array some_input() { return random::normal({16, 3}, random::key(3)); }
array loss_of(const Net& n) {
  array x = some_input();
  return mean(square(n(x) - sum(x, 1, true)));
}
std::vector<std::string> names(const State& state) {
  std::vector<std::string> all;
  for (const auto& [name, a] : state) all.push_back(name);
  return all;
}
void train(const auto& optimizer, Net& net, State& state, int steps) {
  for (int i = 0; i < steps; ++i) {
    auto [value, gradient] = nn::value_and_grad(loss_of, net);
    optimizer.update(net, gradient, state);
    eval(net, state);
  }
}
bool equal_trees(const auto& a, const auto& b) {
  array same(true);
  tree_map(
      [&](const array& x, const array& y) {
        same = same && array_equal(x, y);
        return x;
      },
      a, b);
  return same.template item<bool>();
}

TEST(Optim, EveryOptimizerBringsTheLossDown) {
  std::vector<Optimizer> all{
      SGD{.learning_rate = 0.1, .momentum = 0.9},
      RMSprop{0.01},
      Adagrad{0.1},
      AdaDelta{50.0},
      Adam{0.02},
      AdamW{0.02},
      Adamax{0.02},
      Lion{0.01},
      Adafactor{.learning_rate = 0.02, .scale_parameter = false, .relative_step = false},
      Muon{0.02}};
  for (size_t i = 0; i < all.size(); ++i) {
    const Optimizer& optimizer = all[i];
    Net net;
    State state = optimizer.init(net);
    float before = loss_of(net).item<float>();
    train(optimizer, net, state, 60);
    EXPECT_LT(loss_of(net).item<float>(), 0.3f * before) << i;
    EXPECT_EQ(state["step"].item<int>(), 60);
  }
}

TEST(Optim, TheStateHasTheNamesOfMlxAndNeedsNoInit) {
  Net net;
  State given = Adam{1e-3}.init(net), made;
  EXPECT_THAT(names(given),
              ElementsAre("first.bias.m", "first.bias.v", "first.weight.m", "first.weight.v",
                          "learning_rate", "second.bias.m", "second.bias.v", "second.weight.m",
                          "second.weight.v", "step"));
  train(Adam{1e-3}, net, made, 1);
  EXPECT_EQ(names(made), names(given));
  std::vector<array> list{array(1.0f), array({1.0f, 2.0f})};
  EXPECT_THAT(names(SGD{0.1}.init(list)), ElementsAre("0.v", "1.v", "learning_rate", "step"));
  EXPECT_THAT(names(SGD{0.1}.init(array(1.0f))), ElementsAre("learning_rate", "step", "v"));
}

TEST(Optim, ARunThatWasSavedGoesOnAsIfNothingHadBeen) {
  AdamW adam{.learning_rate = cosine_decay(0.05, 12), .bias_correction = true};
  Net whole, part;
  State whole_state, part_state;
  train(adam, whole, whole_state, 10);
  train(adam, part, part_state, 4);
  auto folder = std::filesystem::temp_directory_path() / ("tarn_optim" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  save_safetensors(folder / "state.safetensors", {part_state.begin(), part_state.end()});
  nn::save_weights(folder / "net.safetensors", part);
  Net restored;
  nn::load_weights(restored, folder / "net.safetensors");
  auto loaded = load_safetensors(folder / "state.safetensors").first;
  State state(loaded.begin(), loaded.end());
  std::filesystem::remove_all(folder);
  train(adam, restored, state, 6);
  EXPECT_TRUE(equal_trees(whole, restored));
  EXPECT_TRUE(equal_trees(whole_state, state));
}

TEST(Optim, FrozenParametersStayAndHaveNoState) {
  Net net, before = net;
  State state;
  auto head = [](const std::string& path, const array&) { return path.starts_with("second."); };
  auto [value, gradient] = nn::value_and_grad(loss_of, net, head);
  AdamW{0.1}.update(net, gradient, state);
  EXPECT_EQ(net.first.weight.id(), before.first.weight.id());
  EXPECT_FALSE(allclose(net.second.weight, before.second.weight).item<bool>());
  EXPECT_EQ(state.count("first.weight.m"), 0u);
}

TEST(Optim, ANumberIsPutIntoTheStateAndCountsFromThere) {
  array w(1.0f);
  State state = SGD{0.5}.init(w);
  SGD{0.5}.update(w, array(1.0f), state);
  EXPECT_EQ(w.item<float>(), 0.5f);
  state["learning_rate"] = array(0.25f);
  SGD{0.5}.update(w, array(1.0f), state);
  EXPECT_EQ(w.item<float>(), 0.25f);
}

TEST(Optim, ManyOptimizersAsOne) {
  MultiOptimizer both{{Muon{.learning_rate = 0.05}, Adam{0.01}},
                      {[](const std::string&, const array& a) { return a.ndim() == 2; }}};
  Net net;
  State state = both.init(net);
  EXPECT_THAT(names(state),
              ElementsAre("states.0.first.weight.v", "states.0.learning_rate",
                          "states.0.second.weight.v", "states.0.step", "states.1.first.bias.m",
                          "states.1.first.bias.v", "states.1.learning_rate",
                          "states.1.second.bias.m", "states.1.second.bias.v", "states.1.step"));
  float before = loss_of(net).item<float>();
  train(both, net, state, 40);
  EXPECT_LT(loss_of(net).item<float>(), 0.3f * before);
  both.filters.clear();
  EXPECT_EQ(error_of([&] { both.init(net); }),
            "[MultiOptimizer] 2 optimizers and 0 filters: one filter less than optimizers is "
            "needed.");
}

TEST(Optim, ACompiledStepTrainsAlike) {
  Adam adam{.learning_rate = linear_schedule(0.1, 0.01, 10), .bias_correction = true};
  auto step = [&](const Net& net, const State& state) {
    auto [value, gradient] = nn::value_and_grad(loss_of, net);
    std::tuple next(value, net, state);
    adam.update(std::get<1>(next), gradient, std::get<2>(next));
    return next;
  };
  auto compiled = compile(step);
  Net a, b;
  State of_a = adam.init(a), of_b = of_a;
  for (int i = 0; i < 5; ++i) {
    std::tie(std::ignore, a, of_a) = step(a, of_a);
    std::tie(std::ignore, b, of_b) = compiled(b, of_b);
    eval(a, of_a, b, of_b);
  }
  EXPECT_LT(max(abs(a.first.weight - b.first.weight)).item<float>(), 1e-6);
  EXPECT_EQ(of_b["step"].item<int>(), 5);
}

TEST(Optim, ClippingKeepsAbsentLeavesAndSmallGradients) {
  std::vector<array> g{array({3.0f, 0.0f}), array(), array({4.0f})};
  auto [clipped, norm] = clip_grad_norm(g, 1.0);
  EXPECT_EQ(norm.item<float>(), 5);
  EXPECT_NEAR(sum(clipped[0]).item<float>(), 0.6, 1e-5);
  EXPECT_NEAR(clipped[2].item<float>(), 0.8, 1e-5);
  EXPECT_TRUE(is_absent(clipped[1]));
  EXPECT_EQ(clip_grad_norm(g, 10.0).first[2].item<float>(), 4);
  EXPECT_EQ(error_of([&] { clip_grad_norm(g, -1); }),
            "[clip_grad_norm] max_norm is -1; it must not be negative.");
}

TEST(Optim, ErrorsChangeNothing) {
  std::map<std::string, array> p{{"w", ones({2})}}, g{{"w", ones({3})}};
  State state = Adam{0.1}.init(p), before = state;
  EXPECT_EQ(error_of([&] { Adam{0.1}.update(p, g, state); }),
            "[Adam] the gradient at w has shape (3,), the parameter (2,).");
  EXPECT_EQ(state["step"].id(), before["step"].id());
  g = {{"v", ones({2})}};
  EXPECT_EQ(error_of([&] { Adam{0.1}.update(p, g, state); }),
            "[Adam] there is a gradient but no parameter at v.");
  g = {{"w", ones({2})}};
  state["w.m"] = ones({5});
  EXPECT_EQ(error_of([&] { Adam{0.1}.update(p, g, state); }),
            "[optimizer] the state has w.m of shape (5,); the parameter needs (2,).");
}

TEST(Optim, SettingsOutOfRange) {
  std::vector<array> p{ones({2})};
  EXPECT_EQ(error_of([&] { SGD{}.init(p); }), "[SGD] learning_rate is not set.");
  EXPECT_EQ(error_of([&] { SGD{.learning_rate = 0.1, .nesterov = true}.init(p); }),
            "[SGD] momentum is 0 and dampening 0: nesterov needs the first and not the second.");
  EXPECT_EQ(error_of([&] {
              Adam{.learning_rate = 0.1, .betas = {0.9, 1.0}}.init(p);
            }),
            "[Adam] betas are 0.9 and 1; each lies in [0, 1).");
  EXPECT_EQ(error_of([&] { RMSprop{.learning_rate = 0.1, .eps = 0}.init(p); }),
            "[RMSprop] eps is 0; it must be positive.");
  EXPECT_EQ(error_of([&] { Muon{.learning_rate = 0.1, .ns_steps = -1}.init(p); }),
            "[Muon] ns_steps is -1; it must not be negative.");
  EXPECT_EQ(error_of([] { cosine_decay(0.1, 0); }),
            "[cosine_decay] decay_steps is 0; it must be positive.");
  EXPECT_EQ(error_of([] { step_decay(0.1, 0.5, 0); }),
            "[step_decay] step_size is 0; it must be positive.");
  EXPECT_EQ(error_of([] { join_schedules({}, {}); }),
            "[join_schedules] 0 schedules and 0 boundaries: one boundary less than schedules is "
            "needed.");
}

}  // namespace
}  // namespace tarn::optim
