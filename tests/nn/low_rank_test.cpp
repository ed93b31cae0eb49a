// Low-rank terms as a state of Linear and Embedding.
#include "tarn/nn/low_rank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_of.h"
#include "tarn/tarn.h"

namespace tarn::nn {
namespace {

using tarn_test::error_of;
using testing::ElementsAre;

array random_numbers(const Shape& shape, uint64_t seed) {
  return random::normal(shape, random::key(seed));
}
double apart(const array& a, const array& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return double{max(abs(a - b)).item<float>()};
}

constexpr int64_t inputs = 64, outputs = 96, count = 50, size = 64;

// A drawn term of a Linear or an Embedding.
template <class L>
LowRank term(const L& layer, int64_t rank, uint64_t seed, bool dora = false) {
  LowRank t = LowRank::init(layer, rank, random::key(seed), dora);
  t.lora_b = random_numbers(t.lora_b.shape(), seed + 1);
  t.scale = 0.5f;
  if (dora) t.m = *t.m * random::uniform(0.5f, 1.5f, t.m->shape(), float32, random::key(seed + 2));
  return t;
}
LowRank named(LowRank t, const std::string& adapter) {
  t.adapter = adapter, t.on_request = true;
  return t;
}

Linear linear() { return Linear::init(inputs, outputs, random::key(1)); }
Embedding table() { return Embedding::init(count, size, random::key(2)); }
std::vector<Quantization> ways() {
  return {{.mode = "affine"}, {.bits = 8}, {.mode = "mxfp4"}, {.mode = "nvfp4"}, {.mode = "mxfp8"}};
}
std::vector<Linear> linears() {
  std::vector<Linear> all{linear(), linear()};
  all[1].weight = astype(all[1].weight, bfloat16);
  for (const auto& how : ways()) all.push_back(QuantizedLinear::from_linear(linear(), how));
  return all;
}
std::vector<Embedding> tables() {
  std::vector<Embedding> all{table()};
  for (const auto& how : ways()) all.push_back(QuantizedEmbedding::from_embedding(table(), how));
  return all;
}

// The papers' formulas with every matrix written out; `d` is A B as it stands beside W.
array changed(const array& w, const array& d, const LowRank& t) {
  array all = w + array(t.scale) * d;
  if (!t.m) return w + array(t.weight) * (all - w);
  all = expand_dims(*t.m / linalg::norm(all, 1), 1) * all;
  return w + array(t.weight) * (all - w);
}
array weight_of(const Linear& l) {
  const LowRank& t = l.low_rank.terms.at(0);
  return changed(l.dense(), transpose(matmul(t.lora_a, t.lora_b)), t);
}
array weight_of(const Embedding& e) {
  const LowRank& t = e.low_rank.terms.at(0);
  return changed(e.dense(), matmul(t.lora_a, t.lora_b), t);
}

TEST(LowRank, LinearIsTheFormula) {
  array x = random_numbers({2, 3, inputs}, 9);
  for (Linear l : linears())
    for (bool dora : {false, true})
      for (float weight : {1.0f, 0.25f}) {
        l.low_rank.terms = {term(l, 4, 5, dora)};
        l.low_rank.terms[0].weight = weight;
        array w = weight_of(l);
        EXPECT_LT(apart(l(x), matmul(x, transpose(w)) + *l.bias), 2e-5) << l.mode << dora;
        EXPECT_LT(apart(fused(l), w), 2e-6) << l.mode << dora;
      }
}

TEST(LowRank, EmbeddingIsTheFormulaBothWays) {
  array ids({3, 0, 49, -1, 7, 3}, {2, 3}), x = random_numbers({2, size}, 9);
  for (Embedding e : tables())
    for (bool dora : {false, true}) {
      e.low_rank.terms = {term(e, 4, 5, dora)};
      array w = weight_of(e);
      EXPECT_LT(apart(e(ids), take(w, ids, 0)), 2e-6) << e.mode << dora;
      EXPECT_LT(apart(e.as_linear(x), matmul(x, transpose(w))), 2e-5) << e.mode << dora;
      EXPECT_LT(apart(fused(e), w), 2e-6) << e.mode << dora;
      e.low_rank.terms[0].in_head = false;
      EXPECT_EQ(apart(e.as_linear(x), e.times(x)), 0);
    }
}

TEST(LowRank, AFreshTermChangesNothing) {
  array x = random_numbers({5, inputs}, 9);
  for (bool dora : {false, true}) {
    Linear l = linear();
    array before = l(x);
    l.low_rank.terms = {LowRank::init(l, 8, random::key(3), dora)};
    EXPECT_LT(apart(l(x), before), 1e-6);
    EXPECT_EQ(l.low_rank.terms[0].lora_a.shape(), (Shape{inputs, 8}));
    EXPECT_LE(double{max(abs(l.low_rank.terms[0].lora_a)).item<float>()}, 0.125);
  }
  EXPECT_EQ(error_of([] { LowRank::init(linear(), 0, random::key(1)); }),
            "[LowRank] the rank is 0; it must be positive.");
}

TEST(LowRank, RemovingATermRestoresTheSameLayer) {
  Linear before = QuantizedLinear::from_linear(linear()), l = before;
  l.low_rank.terms = {term(l, 4, 5)};
  EXPECT_EQ(l.weight.id(), before.weight.id());
  l.low_rank.terms.clear();
  std::vector<std::uintptr_t> ids, ids_before;
  each_parameter(l, [&](auto&, const array& a) { ids.push_back(a.id()); });
  each_parameter(before, [&](auto&, const array& a) { ids_before.push_back(a.id()); });
  EXPECT_EQ(ids, ids_before);
}

struct Two {
  Linear q_proj = linear();
  Embedding embed_tokens = table();
  RMSNorm norm{ones({outputs})};
  TARN_FIELDS(q_proj, embed_tokens, norm)
};

TEST(LowRank, ParametersHaveTheNamesOfMlx) {
  Two m;
  quantize(m.q_proj, {});
  m.q_proj.low_rank.terms = {term(m.q_proj, 4, 5, true), named(term(m.q_proj, 4, 6), "other")};
  m.embed_tokens.low_rank.terms = {term(m.embed_tokens, 4, 7)};
  std::vector<std::string> all, trained;
  each_parameter(m, [&](const std::string& path, auto&) { all.push_back(path); });
  each_trainable(m, [&](const std::string& path, auto&) { trained.push_back(path); });
  EXPECT_THAT(all, ElementsAre("q_proj.weight", "q_proj.scales", "q_proj.biases", "q_proj.bias",
                               "q_proj.lora_a", "q_proj.lora_b", "q_proj.m", "q_proj.other.lora_a",
                               "q_proj.other.lora_b", "embed_tokens.weight", "embed_tokens.lora_a",
                               "embed_tokens.lora_b", "norm.weight"));
  EXPECT_THAT(trained, ElementsAre("q_proj.lora_a", "q_proj.lora_b", "q_proj.m",
                                   "q_proj.other.lora_a", "q_proj.other.lora_b",
                                   "embed_tokens.lora_a", "embed_tokens.lora_b", "norm.weight"));
}

TEST(LowRank, TermsTrainAndTheWeightDoesNot) {
  array x = random_numbers({5, inputs}, 9), target = random_numbers({5, outputs}, 10);
  for (Linear l : linears()) {
    if (l.weight.dtype() == bfloat16) continue;
    for (bool dora : {false, true}) {
      l.low_rank.terms = {term(l, 4, 5, dora)};
      auto loss = [&](const Linear& layer) { return mean(square(layer(x) - target)); };
      auto [value, slope] = value_and_grad(loss, l);
      EXPECT_TRUE(is_absent(slope.weight) && is_absent(*slope.bias));
      // The same with every matrix written out; lengths count as constants.
      LowRank t = l.low_rank.terms[0];
      array w = l.dense();
      auto written_out = [&](const std::vector<array>& p) {
        array sum = w + array(t.scale) * transpose(matmul(p[0], p[1]));
        if (dora) sum = expand_dims(p[2] / stop_gradient(linalg::norm(sum, 1)), 1) * sum;
        return mean(square(matmul(x, transpose(sum)) + *l.bias - target));
      };
      std::vector<array> all{t.lora_a, t.lora_b};
      if (dora) all.push_back(*t.m);
      std::vector<int> which{0, 1};
      if (dora) which.push_back(2);
      auto want = tarn::value_and_grad(
          [&](const std::vector<array>& p) { return std::vector<array>{written_out(p)}; },
          which)(all);
      const LowRank& got = slope.low_rank.terms.at(0);
      EXPECT_LT(apart(got.lora_a, want.second[0]), 1e-5) << l.mode << dora;
      EXPECT_LT(apart(got.lora_b, want.second[1]), 1e-5) << l.mode << dora;
      EXPECT_EQ(got.m.has_value(), dora);
      if (got.m) {
        EXPECT_LT(apart(*got.m, want.second[2]), 1e-5) << l.mode;
      }
    }
  }
}

TEST(LowRank, GradientsDoNotMakeTheQuantisedWeightDense) {
  constexpr int64_t wide = 2048;
  Linear l = QuantizedLinear::init(wide, wide, random::key(1), false, {.mode = "affine"});
  LowRank t = LowRank::init(l, 4, random::key(2));
  l.low_rank.terms = {t};
  array x = random_numbers({4, wide}, 3);
  eval({l.weight, *l.scales, *l.biases, t.lora_a, t.lora_b, x});
  auto loss = [&](const Linear& layer, const array& in) { return sum(square(layer(layer(in)))); };
  reset_peak_memory();
  size_t before = get_active_memory();
  auto slope = value_and_grad([&](const Linear& layer) { return loss(layer, x); }, l).second;
  eval({slope.low_rank.terms[0].lora_a, slope.low_rank.terms[0].lora_b});
  EXPECT_LT(get_peak_memory() - before, size_t{wide * wide * 2});  // half of the dense weight
}

TEST(LowRank, SettledTermsGiveTheSame) {
  array x = random_numbers({5, inputs}, 9);
  for (bool dora : {false, true}) {
    Linear l = QuantizedLinear::from_linear(linear());
    l.low_rank.terms = {term(l, 4, 5, dora), term(l, 2, 8)};
    array before = l(x);
    eval(settle(l));
    EXPECT_EQ(apart(l(x), before), 0);
    l.low_rank.terms[0].lora_b = l.low_rank.terms[0].lora_b * array(2.0f);
    l.low_rank.terms[1].weight = 0;
    Linear fresh = l;
    for (auto& t : fresh.low_rank.terms) t.settled = nullptr;
    EXPECT_EQ(apart(l(x), fresh(x)), 0);
    EXPECT_GT(apart(l(x), before), 0.01);
  }
}

// Each row of the mixture is what it is alone.
template <class L, class Call>
void rows_choose(L layer, bool dora, const Call& call, const array& x) {
  std::vector<AdapterChoice> choices{{"a", 1}, {"", 1}, {"c", 0.5f}, {"b", 1}, {"a", 1}};
  layer.low_rank.terms = {named(term(layer, 4, 5, dora), "a"), named(term(layer, 2, 15), "b"),
                          term(layer, 3, 25), named(term(layer, 4, 35), "c")};
  for (bool settled : {false, true}) {
    if (settled) eval(settle(layer));
    for (int repeat = 0; repeat < 2; ++repeat) {
      array mixed;
      {
        LowRankScope scope({choices, {}, std::nullopt});
        mixed = call(layer, x);
      }
      for (int row = 0; row < 5; ++row) {
        LowRankScope scope({{choices[static_cast<size_t>(row)]}, {}, std::nullopt});
        array index = array({row});
        EXPECT_LT(apart(take(mixed, index, 0), call(layer, take(x, index, 0))), 2e-5) << row;
      }
    }
  }
}

TEST(LowRank, RowsChooseTheirAdapters) {
  auto apply = [](const auto& layer, const array& x) { return layer(x); };
  auto head = [](const auto& layer, const array& x) { return layer.as_linear(x); };
  array ids({3, 0, 49, -1, 7, 3, 1, 1, 2, 0}, {5, 2});
  for (bool dora : {false, true}) {
    for (const Linear& l : linears())
      rows_choose(l, dora, apply, random_numbers({5, 2, inputs}, 9));
    for (const Embedding& e : tables()) {
      rows_choose(e, dora, head, random_numbers({5, 1, size}, 9));
      rows_choose(e, dora, apply, ids);
    }
  }
}

TEST(LowRank, RowsSideBySideChooseByTheirCounts) {
  Linear l = linear();
  l.low_rank.terms = {named(term(l, 4, 5), "a"), named(term(l, 2, 15), "b")};
  array x = random_numbers({1, 6, inputs}, 9);
  LowRankScope scope({{{"b", 1}, {"a", 1}}, {4, 2}, std::nullopt});
  array mixed = l(x);
  auto alone = [&](const char* name) {
    LowRankScope one({{{name, 1}}, {}, std::nullopt});
    return l(x);
  };
  EXPECT_LT(apart(slice(mixed, {0, 0, 0}, {1, 4, outputs}),
                  slice(alone("b"), {0, 0, 0}, {1, 4, outputs})),
            1e-5);
  EXPECT_LT(apart(slice(mixed, {0, 4, 0}, {1, 6, outputs}),
                  slice(alone("a"), {0, 4, 0}, {1, 6, outputs})),
            1e-5);
  EXPECT_EQ(error_of([&] {
              l(random_numbers({3, 1, inputs}, 1));
            }),
            "[LowRank] x has shape (3, 1, 64), and 2 sequences choose their adapters: a row for "
            "each is needed.");
}

TEST(LowRank, DropoutNeedsAKey) {
  Linear l = linear();
  l.low_rank.terms = {term(l, 4, 5)};
  array x = random_numbers({5, inputs}, 9), without = l(x);
  l.low_rank.terms[0].dropout = 0.5f;
  EXPECT_EQ(apart(l(x), without), 0);
  auto with_key = [&](uint64_t seed) {
    LowRankScope scope({{}, {}, random::key(seed)});
    return std::pair(l(x), l(x));
  };
  auto [first, second] = with_key(1);
  EXPECT_EQ(apart(first, with_key(1).first), 0);
  EXPECT_GT(apart(first, second), 0.01);
  EXPECT_GT(apart(first, with_key(2).first), 0.01);
  // Half of x counts twice: on the average nothing changes.
  array sum = zeros_like(without);
  LowRankScope scope({{}, {}, random::key(3)});
  for (int i = 0; i < 400; ++i) sum = sum + l(x);
  EXPECT_LT(double{mean(abs(sum / array(400.0f) - without)).item<float>()}, 0.1);
}

}  // namespace
}  // namespace tarn::nn
