// Trees: walks, maps, merges, and transforms of functions over trees.
#include "tarn/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "error_of.h"
#include "tarn/nn.h"
#include "tarn/ops.h"
#include "tarn/random.h"
#include "tarn/tree_transforms.h"

namespace tarn {
namespace {

using tarn_test::error_of;

using testing::ElementsAre;
using Named = std::map<std::string, array>;

struct Pair {
  array a = array(1.0f), b = array(2.0f);
  double scale = 1;  // no part of the tree
  TARN_FIELDS(a, b)
};
struct Model {
  std::vector<Pair> layers{};
  std::optional<array> bias{};
  Named extra{};
  std::tuple<Pair, int, array> mixed{Pair{}, 3, array(7.0f)};
  TARN_FIELDS(layers, bias, extra, mixed)
};

std::vector<std::string> paths(const auto& tree) {
  std::vector<std::string> all;
  each_leaf(tree, [&](const std::string& path, const array&) { all.push_back(path); });
  return all;
}
std::vector<float> numbers(const auto& tree) {
  std::vector<float> all;
  each_leaf(tree, [&](auto&, const array& a) { all.push_back(sum(a).template item<float>()); });
  return all;
}

Model some_model() {
  Model m;
  m.layers = {Pair{}, Pair{array(3.0f), array(4.0f)}};
  m.extra = {{"y", array(6.0f)}, {"x", array(5.0f)}};
  return m;
}

TEST(Tree, PathsAreTheNamesOfCheckpoints) {
  EXPECT_THAT(paths(some_model()),
              ElementsAre("layers.0.a", "layers.0.b", "layers.1.a", "layers.1.b", "extra.x",
                          "extra.y", "mixed.0.a", "mixed.0.b", "mixed.2"));
  EXPECT_THAT(paths(array(1.0f)), ElementsAre(""));
  EXPECT_EQ(tree_flatten(std::vector{array(1.0f)}, "p")[0].first, "p.0");
}

TEST(Tree, UnflattenPutsLeavesBackAndNamesWhatDoesNotFit) {
  Model m = some_model();
  auto flat = tree_flatten(m);
  for (auto& [path, a] : flat) a = a * 10.0f;
  EXPECT_THAT(numbers(tree_unflatten(flat, m)), ElementsAre(10, 20, 30, 40, 50, 60, 10, 20, 70));
  flat.pop_back();
  flat.emplace_back("other", array(0.0f));
  EXPECT_EQ(error_of([&] { tree_unflatten(flat, m); }),
            "[tree_unflatten] the leaves do not fit the tree: missing: mixed.2. Not in it: other.");
}

TEST(Tree, MapTakesSeveralTreesOfOneShape) {
  Model m = some_model();
  Model twice = tree_map([](const array& a, const array& b) { return a + b; }, m, m);
  EXPECT_THAT(numbers(twice), ElementsAre(2, 4, 6, 8, 10, 12, 2, 4, 14));
  Named seen = tree_map_with_path(
      [](const std::string& path, const array& a) { return path == "x" ? a : -a; },
      Named{{"x", array(1.0f)}, {"y", array(1.0f)}});
  EXPECT_THAT(numbers(seen), ElementsAre(1, -1));
  Model longer = m;
  longer.bias = array(0.0f);
  auto add = [](const array& a, const array&) { return a; };
  EXPECT_EQ(error_of([&] { tree_map(add, m, longer); }),
            "[tree_map] the trees differ: where one has extra.x the other has bias.");
  EXPECT_EQ(error_of([&] {
              tree_map(add, Named{}, Named{{"z", array(0.0f)}});
            }),
            "[tree_map] the trees differ: only one of them has z.");
}

TEST(Tree, ReduceGoesInOrder) {
  auto digits = [](float so_far, const array& a) { return 10 * so_far + a.item<float>(); };
  EXPECT_EQ(tree_reduce(digits, some_model().layers, 0.0f), 1234);
}

TEST(Tree, MergeTakesWhatIsPresent) {
  Model a = some_model(), b;
  a.layers[1].b = array();
  b.layers = {Pair{array(), array()}, Pair{array(), array(40.0f)}, Pair{}};
  b.bias = array(9.0f);
  b.extra = {{"z", array(8.0f)}};
  std::get<0>(b.mixed) = {array(), array()};
  std::get<2>(b.mixed) = array();
  EXPECT_THAT(numbers(tree_merge(a, b)), ElementsAre(1, 2, 3, 40, 1, 2, 9, 5, 6, 8, 1, 2, 7));
  Named one{{"w", array(1.0f)}}, two{{"w", array(2.0f)}};
  EXPECT_EQ(error_of([&] { tree_merge(one, two); }),
            "[tree_merge] both trees have w: give a function that merges leaves.");
  auto sum = [](const std::string&, const array& x, const array& y) { return x + y; };
  EXPECT_THAT(numbers(tree_merge(one, two, sum)), ElementsAre(3));
}

// --- transforms

TEST(TreeTransforms, GradientsHaveTheTypeOfTheTree) {
  auto loss = [](const Named& p, const array& x) { return sum(square(p.at("w")) * x) + p.at("b"); };
  Named p{{"w", array({1.0f, 2.0f})}, {"b", array(3.0f)}, {"n", array(4)}};
  auto [value, gradient] = value_and_grad(loss)(p, array(2.0f));
  EXPECT_EQ(value.item<float>(), 13);
  EXPECT_THAT(numbers(Named{{"w", gradient["w"]}, {"b", gradient["b"]}}), ElementsAre(1, 12));
  EXPECT_TRUE(is_absent(gradient["n"]));
  EXPECT_EQ(sum(grad(loss)(p, array(2.0f))["w"]).item<float>(), 12);
}

TEST(TreeTransforms, SecondDerivatives) {
  auto loss = [](const Pair& p) { return p.a * p.a * p.a * p.b; };
  auto slope = [&](const Pair& p) { return grad(loss)(p).a; };
  Pair second = grad(slope)(Pair{array(2.0f), array(5.0f)});
  EXPECT_EQ(second.a.item<float>(), 60);  // 6 a b
  EXPECT_EQ(second.b.item<float>(), 12);  // 3 a^2
}

TEST(TreeTransforms, OtherResultsComeBesideTheLoss) {
  auto loss = [](const Pair& p) { return std::tuple(p.a * p.b, Named{{"seen", p.a + 1.0f}}); };
  auto [value, gradient] = value_and_grad(loss)(Pair{array(2.0f), array(5.0f)});
  EXPECT_EQ(std::get<0>(value).item<float>(), 10);
  EXPECT_EQ(std::get<1>(value)["seen"].item<float>(), 3);
  EXPECT_EQ(gradient.a.item<float>(), 5);
}

TEST(TreeTransforms, VmapMapsEveryLeafOfAnArgument) {
  auto f = [](const Pair& p, const array& x) { return Pair{p.a * x, sum(p.b)}; };
  Pair rows{array({1.0f, 2.0f, 3.0f}), ones({3, 4})};
  Pair out = vmap(f, {0, -1})(rows, array(10.0f));
  EXPECT_THAT(numbers(out), ElementsAre(60, 12));
  EXPECT_EQ(out.b.shape(), (Shape{3}));
  EXPECT_EQ(error_of([&] { vmap(f, {0})(rows, array(1.0f)); }),
            "[vmap] 1 in_axes for 2 arguments.");
  auto pairs = [](const Pair& p) { return std::vector{p.a * ones({2})}; };
  EXPECT_EQ(vmap(pairs, {}, 1)(Pair{ones({5}), ones({5})})[0].shape(), (Shape{2, 5}));
}

TEST(TreeTransforms, CompiledFunctionsRunOncePerStructure) {
  std::atomic<int> runs{0};
  auto f = [&](const std::vector<Pair>& p, const array& x) {
    ++runs;
    Named out;
    for (size_t i = 0; i < p.size(); ++i) out["r" + std::to_string(i)] = p[i].a * x + p[i].b;
    return out;
  };
  auto compiled = compile(f);
  for (float x : {1.0f, 2.0f, 3.0f}) {
    Named out = compiled(std::vector<Pair>(2), array(x));
    EXPECT_THAT(numbers(out), ElementsAre(x + 2, x + 2));
  }
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(compiled(std::vector<Pair>(3), array(1.0f)).size(), 3u);
  EXPECT_EQ(compiled(std::vector<Pair>(2), array({1.0f, 2.0f}))["r0"].shape(), (Shape{2}));
  EXPECT_EQ(runs, 3);
}

TEST(TreeTransforms, CompiledFunctionsMayBeCalledFromManyThreads) {
  auto compiled = compile([](const Pair& p) { return Pair{p.a + p.b, p.a * p.b}; });
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        auto n = static_cast<float>(t * 20 + i);
        Pair out = compiled(Pair{array(n), array(2.0f)});
        right += out.a.item<float>() == n + 2 && out.b.item<float>() == 2 * n;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 80);
}

TEST(TreeTransforms, CheckpointedFunctionsHaveTheSameDerivatives) {
  std::atomic<int> runs{0};
  auto f = [&](const Pair& p, const array& x) {
    ++runs;
    return sum(sin(p.a * x) * p.b);
  };
  auto loss = [&](const Pair& p) { return checkpoint(f)(p, array({1.0f, 2.0f})); };
  Pair p{array(0.5f), array(3.0f)};
  Pair gradient = grad(loss)(p);
  EXPECT_EQ(runs, 2);
  EXPECT_NEAR(gradient.a.item<float>(), 3 * (std::cos(0.5) + 2 * std::cos(1.0)), 1e-5);
  EXPECT_NEAR(gradient.b.item<float>(), std::sin(0.5) + std::sin(1.0), 1e-6);
}

}  // namespace
}  // namespace tarn
