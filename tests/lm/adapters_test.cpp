// Adapters in models: what they compute, that they leave no trace, files in both forms.
#include "adapters.h"

#include <gmock/gmock.h>

#include "tarn/random.h"

namespace tarn_test {
namespace {

const std::vector<std::string> cases{
    "peft_lora", "peft_patterns", "peft_layers",        "peft_dora",         "peft_embedding",
    "peft_all",  "mlx_lora",      "mlx_keys",           "mlx_dora",          "mlx_embedding",
    "mlx_full",  "mlx_quantised", "mlx_dora_embedding", "mlx_quantised_dora"};

// logits[:, 7::8], as the script keeps them.
array kept(const array& logits) {
  return tarn::slice(logits, {0, 7, 0}, logits.shape(), {1, 8, 1});
}

TEST_F(Adapters, LogitsAreThoseOfPeftAndMlxLm) {
  auto wanted = tarn::load_npz((adapter("logits.npz")).string());
  ASSERT_EQ(wanted.size(), cases.size());
  for (const auto& name : cases) {
    LanguageModel lm = base_for(name);
    array without = kept(logits(lm));
    LoRAContainer::from(adapter(name)).load(lm);
    EXPECT_LT(worst_difference(kept(logits(lm)), wanted.at(name)), 1e-4) << name;
    EXPECT_GT(worst_difference(without, wanted.at(name)), 0.1) << name;
  }
}

TEST_F(Adapters, UnloadingRestoresTheVeryModel) {
  for (const auto& name : cases) {
    LanguageModel lm = base_for(name);
    array before = logits(lm);
    auto ids = ids_of(lm);
    auto adapted = LoRAContainer::from(adapter(name));
    adapted.load(lm);
    EXPECT_NE(ids_of(lm), ids) << name;
    ASSERT_EQ(lm.adapters.size(), 1u);
    EXPECT_EQ(lm.adapters[0].name, name);
    adapted.unload(lm);
    EXPECT_EQ(ids_of(lm), ids) << name;
    EXPECT_EQ(worst_difference(logits(lm), before), 0) << name;
    EXPECT_TRUE(lm.adapters.empty());
  }
}

TEST_F(Adapters, FoldedInTheyGiveTheSame) {
  for (const auto& name : cases) {
    if (name == "peft_embedding") continue;  // its head is not the embedding it changes
    LanguageModel with = base_for(name), fused = with;
    auto adapted = LoRAContainer::from(adapter(name));
    adapted.load(with);
    adapted.fuse(fused, {.dequantize = true});
    EXPECT_TRUE(fused.adapters.empty());
    EXPECT_LT(worst_difference(logits(with), logits(fused)), 2e-4) << name;
  }
}

TEST_F(Adapters, QuantisedWeightsStayQuantised) {
  LanguageModel with = base_for("mlx_quantised"), fused = with;
  auto adapted = LoRAContainer::from(adapter("mlx_quantised"));
  adapted.load(with);
  adapted.fuse(fused);
  std::vector<std::string> before, after;
  auto described = [](LanguageModel lm) {
    std::vector<std::string> all;
    lm.model.matrices([&](const std::string& path, tarn::nn::Matrix& m) {
      if (m.quantised()) all.push_back(fmt::format("{} {} {}", path, m.bits, m.group_size));
    });
    return all;
  };
  EXPECT_EQ(described(fused), described(base_for("mlx_quantised")));
  EXPECT_EQ(described(fused).size(), 21u);
  double apart = worst_difference(logits(with), logits(fused));
  EXPECT_GT(apart, 1e-6);
  EXPECT_LT(apart, 0.3);  // of logits up to 20: eight bits again
}

TEST_F(Adapters, AMergedFolderIsAModel) {
  for (std::string name : {"peft_layers", "mlx_embedding"}) {
    LanguageModel with = base_for(name);
    LoRAContainer::from(adapter(name)).load(with);
    fs::path from = folder_ / models()["cases"][name].get<std::string>(), to = folder_ / name;
    convert(from, to, {.adapters = {adapter(name)}});
    EXPECT_LT(worst_difference(logits(load(to)), logits(with)), 2e-4) << name;
  }
  fs::path from = folder_ / "tied", to = folder_ / "other";
  std::string text = error_of([&] { convert(from, to, {.adapters = {adapter("mlx_keys")}}); });
  EXPECT_THAT(text, testing::HasSubstr("mlx_keys does not fit the model: lm_head.lora_a belongs "));
  EXPECT_FALSE(fs::exists(to));
}

TEST_F(Adapters, WrittenInEitherFormTheyAreTheSame) {
  std::set<std::string> only_mlx{"mlx_full", "mlx_dora_embedding"}, only_peft{"peft_layers"};
  for (const auto& name : cases)
    for (AdapterForm form : {AdapterForm::mlx, AdapterForm::peft}) {
      bool mlx = form == AdapterForm::mlx;
      if ((mlx ? only_peft : only_mlx).count(name) > 0) continue;
      fs::path to = folder_ / fmt::format("{}-{}", name, mlx ? "mlx" : "peft");
      auto original = LoRAContainer::from(adapter(name));
      original.save(to, form);
      EXPECT_EQ(fs::exists(to / "adapters.safetensors"), mlx);
      LanguageModel a = base_for(name), b = a;
      original.load(a);
      LoRAContainer::from(to).load(b);
      // What an embedding's term does to a head that shares it is each form's own.
      if (name.ends_with("embedding") && mlx != name.starts_with("mlx")) continue;
      EXPECT_LT(worst_difference(logits(a), logits(b)), 1e-4) << to;
    }
}

TEST_F(Adapters, FreshOnesChangeNothingAndAreSavedAsTheyAreTrained) {
  LanguageModel lm = base("apart");
  array before = logits(lm);
  LoRAConfiguration how{.num_layers = 2, .lora_parameters = {.rank = 3, .scale = 2}};
  auto fresh = LoRAContainer::from(lm, how);
  fresh.load(lm);
  EXPECT_LT(worst_difference(logits(lm), before), 1e-6);
  std::vector<std::string> names;
  lm.model.parameters([&](const std::string& path, array& a) {
    if (!path.ends_with(".lora_b")) return;
    names.push_back(path);
    a = tarn::random::normal(a.shape(), tarn::random::key(names.size()));
  });
  EXPECT_EQ(names.size(), 14u);
  EXPECT_EQ(names[0], "model.layers.1.self_attn.q_proj.lora_b");
  array trained = logits(lm);
  EXPECT_GT(worst_difference(trained, before), 0.1);

  fresh.updated_from(lm).save(folder_ / "mine");
  LanguageModel other = base("apart");
  auto mine = LoRAContainer::from(folder_ / "mine");
  EXPECT_EQ(mine.name(), "mine");
  EXPECT_EQ(mine.configuration().num_layers, 2);
  mine.load(other);
  EXPECT_LT(worst_difference(logits(other), trained), 1e-5);
  // The same configuration again replaces the numbers.
  fresh.save(folder_ / "mine");
  LanguageModel third = base("apart");
  LoRAContainer::from(folder_ / "mine").load(third);
  EXPECT_LT(worst_difference(logits(third), before), 1e-6);
}

TEST_F(Adapters, TheyAddUpWithWeights) {
  LanguageModel lm = base("apart");
  auto one = LoRAContainer::from(adapter("peft_lora")),
       two = LoRAContainer::from(adapter("mlx_lora"));
  auto with = [&](float a, float b) {
    LanguageModel both = lm;
    one.load(both, {.weight = a});
    two.load(both, {.weight = b});
    return logits(both);
  };
  LanguageModel only_one = lm, only_two = lm;
  one.load(only_one), two.load(only_two);
  EXPECT_LT(worst_difference(with(1, 0), logits(only_one)), 1e-5);
  EXPECT_LT(worst_difference(with(0, 1), logits(only_two)), 1e-5);
  // In the order in which they came, or another; folded in one after the other.
  LanguageModel turned = lm, fused = lm;
  two.load(turned, {.weight = 0.5f});
  one.load(turned, {.weight = 2});
  EXPECT_LT(worst_difference(with(2, 0.5f), logits(turned)), 1e-4);
  one.fuse(fused, {.weight = 2});
  two.fuse(fused, {.weight = 0.5f});
  EXPECT_LT(worst_difference(with(2, 0.5f), logits(fused)), 2e-4);
  // The weight may change afterwards, and either may go first.
  set_adapter_weight(turned, "peft_lora", 0);
  EXPECT_LT(worst_difference(logits(turned), with(0, 0.5f)), 1e-5);
  unload_adapter(turned, "mlx_lora");
  unload_adapter(turned, "peft_lora");
  EXPECT_EQ(ids_of(turned), ids_of(lm));
}

TEST_F(Adapters, PerformLeavesTheContainerAsItIs) {
  ModelContainer container(base("apart"));
  auto before = container.model();
  array with = LoRAContainer::from(adapter("peft_lora")).perform(container, [](const auto& lm) {
    return logits(lm);
  });
  EXPECT_GT(worst_difference(with, logits(*before)), 0.1);
  EXPECT_EQ(container.model(), before);
}

TEST_F(Adapters, TheBaseIsRemembered) {
  LanguageModel lm = base("apart"), other = lm;
  other.model.norms([](const std::string& path, tarn::nn::RMSNorm& norm) {
    if (path == "model.norm") norm.weight = norm.weight * array(1.5f);
  });
  LoRAContainer::from(lm, {}).save(folder_ / "mine");
  auto mine = LoRAContainer::from(folder_ / "mine");
  std::string text = error_here([&] { mine.load(other); });
  EXPECT_THAT(text,
              testing::MatchesRegex(
                  "\\[adapters\\] FOLDER/mine does not fit the model: It was made for a model "
                  "with the fingerprint [0-9a-f]+, this one has [0-9a-f]+\\. "
                  "Take that model, or any_base \\(--any-base\\) to use it all the same\\."));
  mine.load(other, {.any_base = true});
  EXPECT_EQ(other.adapters.size(), 1u);
  // Other adapters are no part of the base.
  LoRAContainer::from(adapter("peft_layers")).load(lm);
  mine.load(lm);
  EXPECT_EQ(lm.adapters.size(), 2u);
}

}  // namespace
}  // namespace tarn_test
