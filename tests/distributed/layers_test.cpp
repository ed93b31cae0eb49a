// Layers and gradients that ranks share: what they give together is what one process gives.
#include <gtest/gtest.h>

#include <numeric>

#include "distributed/ranks.h"
#include "error_of.h"
#include "tarn/nn/distributed.h"
#include "tarn/nn/quantize.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn::nn {
namespace {

using distributed::Group;
using tarn_test::error_of;
using tarn_test::everyone;
using tarn_test::me;
using tarn_test::ranks;

array drawn(const Shape& shape, uint64_t seed = 5) {
  return random::normal(shape, random::key(seed));
}
void expect_close(const array& got, const array& wanted, double tolerance = 2e-6) {
  ASSERT_EQ(got.shape(), wanted.shape());
  double most = max(abs(wanted)).item<float>() + 1;
  EXPECT_LE(max(abs(got - wanted)).item<float>(), tolerance * most);
}
array my_part(const array& a, int axis) {
  return split(a, ranks(), axis)[static_cast<size_t>(me())];
}

struct Gradient {
  array a{};
  std::optional<array> b{};
  std::vector<array> rest{};
  TARN_FIELDS(a, b, rest)
};

TEST(AverageGradients, AreTheMeanOverTheRanksInAnyGrouping) {
  auto of_rank = [](int r) {
    Gradient g;
    g.a = full({3, 2}, static_cast<float>(r));
    g.rest = {full({5}, static_cast<float>(2 * r)),
              astype(full({2}, 1.0f * static_cast<float>(r)), bfloat16), full({1}, -1.0f), array()};
    return g;
  };
  float mean = static_cast<float>(ranks() - 1) / 2;
  for (int64_t size : {0, 1, 40, 1 << 25}) {
    Gradient g = average_gradients(of_rank(me()), {}, size);
    EXPECT_TRUE(array_equal(g.a, full({3, 2}, mean)).item<bool>());
    EXPECT_FALSE(g.b);
    EXPECT_TRUE(array_equal(g.rest[0], full({5}, 2 * mean)).item<bool>());
    EXPECT_EQ(g.rest[1].dtype(), bfloat16);
    EXPECT_TRUE(array_equal(g.rest[1], astype(full({2}, mean), bfloat16)).item<bool>());
    EXPECT_EQ(g.rest[2].item<float>(), -1);
    EXPECT_EQ(g.rest[3].size(), 0u);
  }
}

TEST(SumGradients, SumWhatComesBack) {
  array x({1.0f, 2.0f});
  auto f = sum_gradients();
  EXPECT_TRUE(array_equal(f(x), x).item<bool>());
  array g =
      grad([&](const array& v) { return sum(f(v) * array(static_cast<float>(me() + 1))); })(x);
  float wanted = static_cast<float>(ranks() * (ranks() + 1) / 2);
  EXPECT_TRUE(array_equal(g, full({2}, wanted)).item<bool>());
}

// 12 divides by 1, 2, 3 and 4.
Linear whole_layer(bool quantised, bool bias = true) {
  Linear l = Linear::init(12 * 32, 24, random::key(3), bias);
  if (quantised) quantize(l, {.group_size = 32, .bits = 4});
  return l;
}

TEST(ShardedLayers, TogetherGiveWhatTheWholeLayerGives) {
  array x = drawn({5, 12 * 32});
  for (bool quantised : {false, true})
    for (bool bias : {false, true}) {
      Linear l = whole_layer(quantised, bias);
      auto to_parts = shard_linear<AllToShardedLinear>(l);
      EXPECT_EQ(to_parts.rows, 24 / ranks());
      EXPECT_EQ(to_parts.columns, 12 * 32);
      expect_close(to_parts(x), my_part(l(x), -1));
      auto to_all = shard_linear<ShardedToAllLinear>(l);
      EXPECT_EQ(to_all.rows, 24);
      EXPECT_EQ(to_all.columns, 12 * 32 / ranks());
      expect_close(to_all(my_part(x, -1)), l(x));
    }
}

TEST(ShardedLayers, AreDividedSegmentBySegment) {
  Linear l = whole_layer(false);
  auto part = shard_linear<AllToShardedLinear>(l, 2);
  std::vector<array> halves;
  for (const array& half : split(l.weight, 2, 0)) halves.push_back(my_part(half, 0));
  EXPECT_TRUE(array_equal(part.weight, concatenate(halves, 0)).item<bool>());
}

TEST(ShardedLayers, HaveTheGradientsOfTheWholeLayers) {
  Linear up = Linear::init(8, 24, random::key(1)), down = Linear::init(24, 8, random::key(2));
  array x = drawn({5, 8}), target = drawn({5, 8}, 9);
  auto loss = [&](const array& y) { return sum(square(y - target)); };
  auto whole = [&](const Linear& a, const Linear& b, const array& v) {
    return loss(b(tanh(a(v))));
  };
  auto a = shard_linear<AllToShardedLinear>(up);
  auto b = shard_linear<ShardedToAllLinear>(down);
  // With respect to x, then to the weights.
  expect_close(grad([&](const array& v) { return loss(b(tanh(a(v)))); })(x),
               grad([&](const array& v) { return whole(up, down, v); })(x), 1e-5);
  auto of_parts = [&](const std::vector<array>& w) {
    auto c = a;
    auto d = b;
    c.weight = w[0], d.weight = w[1];
    return loss(d(tanh(c(x))));
  };
  auto of_all = [&](const std::vector<array>& w) {
    auto c = up, d = down;
    c.weight = w[0], d.weight = w[1];
    return whole(c, d, x);
  };
  auto mine = grad(of_parts, std::vector<int>{0, 1})({a.weight, b.weight});
  auto all = grad(of_all, std::vector<int>{0, 1})({up.weight, down.weight});
  expect_close(mine[0], my_part(all[0], 0), 1e-5);
  expect_close(mine[1], my_part(all[1], 1), 1e-5);
}

TEST(ShardedLayers, BeginAsPartsOfOneLayer) {
  Linear l = Linear::init(12, 24, random::key(4));
  auto a = AllToShardedLinear::init(12, 24, random::key(4));
  auto b = ShardedToAllLinear::init(12, 24, random::key(4));
  EXPECT_TRUE(array_equal(a.weight, my_part(l.weight, 0)).item<bool>());
  EXPECT_TRUE(array_equal(*a.bias, my_part(*l.bias, 0)).item<bool>());
  EXPECT_TRUE(array_equal(b.weight, my_part(l.weight, 1)).item<bool>());
  EXPECT_TRUE(array_equal(*b.bias, *l.bias).item<bool>());
}

struct TwoLayers {
  Linear up = Linear::init(12, 24, random::key(1));
  Embedding table = Embedding::init(24, 12, random::key(2));
  TARN_FIELDS(up, table)
};

TEST(ShardInplace, DividesEveryParameterByAFunctionOfItsPath) {
  TwoLayers m, whole = m;
  shard_inplace(m, [](const std::string& path, const array&) -> std::optional<std::pair<int, int>> {
    if (path == "table.weight") return std::pair(1, 1);
    return std::nullopt;
  });
  EXPECT_TRUE(array_equal(m.table.weight, my_part(whole.table.weight, 1)).item<bool>());
  EXPECT_EQ(m.table.columns, 12 / ranks());
  EXPECT_EQ(m.up.rows, 24);
  shard_inplace(m.up, "all-to-sharded");
  EXPECT_TRUE(array_equal(m.up.weight, my_part(whole.up.weight, 0)).item<bool>());
  EXPECT_TRUE(array_equal(*m.up.bias, my_part(*whole.up.bias, 0)).item<bool>());
}

TEST(ShardInplace, SaysWhatCannotBeDivided) {
  Linear l = Linear::init(7, 5, random::key(1));
  EXPECT_EQ(error_of([&] { shard_inplace(l, "all-to-all"); }),
            "[shard_inplace] the sharding is \"all-to-all\"; it must be all-to-sharded or "
            "sharded-to-all.");
  EXPECT_EQ(error_of([&] { shard_inplace(l, "all-to-sharded", 2); }),
            "[shard] weight has an axis of 5; that makes no 2 equal segments.");
  l.low_rank.terms.push_back(LowRank::init(l, 2, random::key(2)));
  EXPECT_EQ(error_of([&] { shard_linear<ShardedToAllLinear>(l); }),
            "[from_linear] the layer has low-rank terms; fold them into its weight first.");
  EXPECT_EQ(error_of([&] {
              shard(l.weight, 0, {2, 2}, everyone(), "x");
            }),
            "[shard] x has shape (5, 7); its axis 0 does not consist of segments of 2, 2.");
  if (ranks() == 1) return;
  EXPECT_EQ(error_of([&] { AllToShardedLinear::init(4, 12 * ranks() + 1, random::key(1)); }),
            fmt::format("[init] {} outputs cannot be divided over {} ranks: a multiple is needed.",
                        12 * ranks() + 1, ranks()));
  EXPECT_EQ(error_of([&] { ShardedToAllLinear::init(12 * ranks() + 1, 4, random::key(1)); }),
            fmt::format("[init] {} inputs cannot be divided over {} ranks: a multiple is needed.",
                        12 * ranks() + 1, ranks()));
  EXPECT_EQ(error_of([&] {
              shard(zeros({1, 2}), 0, {1}, everyone(), "x");
            }),
            fmt::format("[shard] x has shape (1, 2): 1 along axis 0 cannot be divided over {} "
                        "ranks.",
                        ranks()));
}

}  // namespace
}  // namespace tarn::nn
