// Modules: what trains, freezing, quantised states, weights in files.
#include "tarn/nn/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdio>

#include <filesystem>

#include "error_of.h"
#include "tarn/tarn.h"

namespace tarn::nn {
namespace {

using tarn_test::error_of;

using testing::ElementsAre;

struct Mlp {
  Linear first = Linear::init(4, 8, random::key(1));
  BatchNorm norm = BatchNorm::init(8);
  Linear second = Linear::init(8, 2, random::key(2));
  TARN_FIELDS(first, norm, second)
  array operator()(const array& x) const { return second(relu(norm(first(x)))); }
};

struct Tokens {
  Embedding table = Embedding::init(20, 64, random::key(1));
  Linear out = Linear::init(64, 32, random::key(2));
  TARN_FIELDS(table, out)
  array operator()(const array& ids) const { return out(table(ids)); }
};
struct TwoLinears {
  Linear a = Linear::init(4, 4, random::key(1)), b = Linear::init(4, 1, random::key(2));
  TARN_FIELDS(a, b)
};

array some_input(int64_t rows = 6) { return random::normal({rows, 4}, random::key(3)); }
array loss_of(const Mlp& m) { return mean(square(m(some_input()))); }

std::vector<std::string> present(const auto& gradient) {
  std::vector<std::string> all;
  each_parameter(gradient, [&](const std::string& path, const array& g) {
    if (!is_absent(g)) all.push_back(path);
  });
  return all;
}
std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::to_string(::getpid()) + name)).string();
}

TEST(Module, RunningStatisticsDoNotTrain) {
  auto [value, gradient] = value_and_grad(loss_of, Mlp{});
  EXPECT_THAT(present(gradient), ElementsAre("first.weight", "first.bias", "norm.weight",
                                             "norm.bias", "second.weight", "second.bias"));
  EXPECT_EQ(gradient.first.weight.shape(), (Shape{8, 4}));
}

TEST(Module, FreezingIsAPredicate) {
  auto head = [](const std::string& path, const array&) { return path.starts_with("second."); };
  auto [value, gradient] = value_and_grad(loss_of, Mlp{}, head);
  EXPECT_THAT(present(gradient), ElementsAre("second.weight", "second.bias"));
  auto none = [](const std::string&, const array&) { return false; };
  auto [same, nothing] = value_and_grad(loss_of, Mlp{}, none);
  EXPECT_THAT(present(nothing), ElementsAre());
  EXPECT_EQ(same.item<float>(), value.item<float>());
}

TEST(Module, GradientsAgreeWithDifferences) {
  Mlp m;
  auto [value, gradient] = value_and_grad(loss_of, m);
  auto moved = [&](float by) {
    Mlp other = m;
    other.first.weight = m.first.weight + by * eye(8, 4);
    return loss_of(other).item<float>();
  };
  float slope = (moved(1e-2f) - moved(-1e-2f)) / 2e-2f;
  EXPECT_NEAR(sum(gradient.first.weight * eye(8, 4)).item<float>(), slope, 2e-3);
}

TEST(Module, CopiesShareParametersAndReplacingOneLeavesTheOther) {
  Mlp a, b = a;
  EXPECT_EQ(a.first.weight.id(), b.first.weight.id());
  b.first.weight = zeros({8, 4});
  EXPECT_NE(sum(abs(a.first.weight)).item<float>(), 0);
}

TEST(Module, ATrainingStepReturnsTheNextRunningStatistics) {
  auto loss = [](const Mlp& m) {
    Mlp next = m;
    auto [y, norm] = m.norm.train(m.first(some_input()));
    next.norm = norm;
    return std::pair(mean(square(m.second(relu(y)))), next);
  };
  Mlp m;
  auto [value, gradient] = value_and_grad(loss, m);
  array h = m.first(some_input());
  EXPECT_TRUE(allclose(*value.second.norm.running_mean, 0.1f * mean(h, 0), 1e-4).item<bool>());
  EXPECT_TRUE(allclose(*value.second.norm.running_var, 0.9f + 0.1f * var(h, 0, false, 1), 1e-4)
                  .item<bool>());
  EXPECT_EQ(m.norm.running_mean->id(), Mlp(m).norm.running_mean->id());
  EXPECT_EQ(sum(*m.norm.running_mean).item<float>(), 0);
}

TEST(Module, QuantisingIsAStateOfTheLayer) {
  Tokens net, small = quantize(net, {.group_size = 32, .bits = 8});
  array ids({1, 2, 3}, int32);
  EXPECT_TRUE(small.table.quantised() && small.out.quantised() && !net.out.quantised());
  EXPECT_LT(max(abs(net(ids) - small(ids))).item<float>(), 0.02);
  EXPECT_EQ(small.out.bits, 8);
  EXPECT_EQ(small.out.rows, 32);
  auto [value, gradient] = value_and_grad([&](const Tokens& n) { return sum(n(ids)); }, small);
  EXPECT_THAT(present(gradient), ElementsAre("out.bias"));

  auto only_table = [](const std::string& path, const Matrix&) { return path == "table"; };
  EXPECT_FALSE(quantize(net, {}, only_table).out.quantised());
  auto by_size = [](const std::string& path, const Matrix&) {
    return path == "out" ? std::optional(Quantization{.group_size = 64, .bits = 3}) : std::nullopt;
  };
  Tokens mixed = quantize(net, {}, by_size);
  EXPECT_TRUE(!mixed.table.quantised() && mixed.out.bits == 3);
  EXPECT_EQ(error_of([&] { quantize(net, {.group_size = 48}); }),
            "[quantize] out.weight has shape (32, 64): its columns do not make groups of 48.");
  EXPECT_EQ(error_of([&] { quantize(net, {.mode = "int3"}); }),
            "[quantize] mode is \"int3\"; affine, mxfp4, nvfp4 and mxfp8 are known.");
  EXPECT_EQ(error_of([&] { quantize(net.table, {.quantize_input = true}, "table"); }),
            "[quantize] table.weight: an Embedding's inputs are the numbers of rows.");
}

TEST(Module, InputsAreRoundedLikeTheWeight) {
  Linear l = Linear::init(64, 8, random::key(1), false);
  Linear q = QQLinear::from_linear(l, {.bits = 8, .mode = "affine"});
  array x = random::normal({3, 64}, random::key(2));
  auto parts = tarn::quantize(x, 64, 8);
  array rounded = dequantize(parts[0], parts[1], parts[2], 64, 8);
  EXPECT_TRUE(allclose(q(x), matmul(rounded, transpose(q.dense())), 1e-4, 1e-4).item<bool>());
  EXPECT_FALSE(allclose(q(x), matmul(x, transpose(q.dense())), 1e-6, 1e-6).item<bool>());
  array slope = grad([&](const array& at) { return sum(q(at)); })(x);
  EXPECT_TRUE(allclose(slope, broadcast_to(sum(q.dense(), 0), {3, 64}), 1e-4, 1e-4).item<bool>());
  EXPECT_EQ(error_of([&] { QQLinear::from_linear(Linear::init(64, 8, random::key(1))); }),
            "[QQLinear] the layer has a bias, which cannot be used here.");
}

TEST(Module, CountsAndCasts) {
  Mlp m;
  EXPECT_EQ(parameter_count(m), 4 * 8 + 8 + 4 * 8 + 8 * 2 + 2);
  EXPECT_EQ(with_dtype(m, bfloat16).second.weight.dtype(), bfloat16);
  EXPECT_EQ(with_dtype(m, float64)(astype(some_input(), float64)).dtype(), float64);
}

TEST(Module, CheckpointedModulesTrainAlike) {
  auto plain = [](const TwoLinears& n) { return sum(n.b(tanh(n.a(some_input())))); };
  auto again = [](const TwoLinears& n) {
    return sum(n.b(tanh(nn::checkpoint(n.a)(some_input()))));
  };
  auto [v, g] = value_and_grad(plain, TwoLinears{});
  auto [w, h] = value_and_grad(again, TwoLinears{});
  EXPECT_TRUE(allclose(g.a.weight, h.a.weight).item<bool>());
  EXPECT_TRUE(allclose(g.b.weight, h.b.weight).item<bool>());
}

TEST(Module, WeightsGoThroughFiles) {
  for (const char* ending : {".safetensors", ".npz"}) {
    std::string file = temporary(ending);
    Mlp from, to;
    from.second.bias = array({5.0f, 6.0f});
    from.norm.running_mean = full({8}, 2.0f);
    save_weights(file, from);
    load_weights(to, file);
    EXPECT_TRUE(array_equal(from(some_input()), to(some_input())).item<bool>());
    std::filesystem::remove(file);
  }
  EXPECT_EQ(error_of([] { save_weights("model.bin", Mlp{}); }),
            "[save_weights] model.bin: the name must end in .safetensors or .npz.");
}

TEST(Module, OneErrorListsEverythingThatDoesNotFit) {
  Linear l = Linear::init(3, 2, random::key(1)), before = l;
  std::unordered_map<std::string, array> weights{{"weight", zeros({3, 2})}, {"gate", zeros({1})}};
  std::string all =
      "weight has shape (3, 2), the model needs (2, 3). bias is missing. gate belongs to nothing "
      "in the model.";
  EXPECT_EQ(error_of([&] { load_parameters(l, weights); }), "[load_parameters] " + all);
  EXPECT_EQ(l.weight.id(), before.weight.id());
  std::string file = temporary("misfit.safetensors");
  save_safetensors(file, weights);
  EXPECT_EQ(error_of([&] { load_weights(l, file); }), "[load_weights] " + file + ": " + all);
  std::filesystem::remove(file);
  weights["weight"] = ones({2, 3});
  load_parameters(l, weights, false);
  EXPECT_EQ(sum(l.weight).item<float>(), 6);
  Linear shapeless = Linear::of(3, 2);
  load_parameters(shapeless, {{"weight", ones({2, 3})}});
  EXPECT_EQ(sum(shapeless.weight).item<float>(), 6);
}

}  // namespace
}  // namespace tarn::nn
