// What can be wrong with an adapter as a whole, and that nothing changes then; files of it are in
// named_mistakes_test.cpp.
#include "adapters.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace tarn_test {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

class AdapterMistakes : public Adapters {
 protected:
  // The error of reading a damaged copy and loading it; the model must be as before.
  std::string error_with(const fs::path& damaged, const AdapterPlace& place = {}) {
    LanguageModel lm = base_for("mlx_keys");
    auto ids = ids_of(lm);
    std::string text = error_here([&] { LoRAContainer::from(damaged).load(lm, place); });
    EXPECT_EQ(ids_of(lm), ids);
    EXPECT_TRUE(lm.adapters.empty());
    return text;
  }
  template <class F>
  std::string error_of_json(const std::string& name, const F& edit) {
    auto copy = copy_of(name);
    edit_json(copy, edit);
    return error_with(copy);
  }
};
TEST_F(AdapterMistakes, Folders) {
  EXPECT_EQ(error_with(folder_ / "nothing"),
            "[adapters] FOLDER/nothing is no folder: one with adapter_config.json is needed.");
  auto copy = copy_of("mlx_keys");
  fs::remove(copy / "adapter_config.json");
  EXPECT_EQ(error_with(copy), "[adapters] FOLDER/adapter has no adapter_config.json.");
  copy = copy_of("mlx_keys");
  fs::remove(tensors_of(copy));
  EXPECT_EQ(error_with(copy),
            "[adapters] FOLDER/adapter has neither adapters.safetensors nor "
            "adapter_model.safetensors.");
  copy = copy_of("mlx_keys");
  fs::copy(copy / "adapters.safetensors", copy / "adapter_model.safetensors");
  EXPECT_EQ(error_with(copy),
            "[adapters] FOLDER/adapter has both adapters.safetensors and "
            "adapter_model.safetensors: remove one.");
  copy = copy_of("mlx_keys");
  write_text(copy / "adapter_config.json", "{");
  EXPECT_THAT(error_with(copy), testing::StartsWith("[json] FOLDER/adapter/adapter_config.json"));
  write_text(copy / "adapter_config.json", "[1]");
  EXPECT_EQ(error_with(copy),
            "[adapters] FOLDER/adapter/adapter_config.json: the configuration is [1], an object is "
            "needed.");
  copy = copy_of("mlx_keys");
  fs::resize_file(tensors_of(copy), 300);
  EXPECT_THAT(error_with(copy),
              testing::MatchesRegex("\\[load\\] FOLDER/adapter/adapters.safetensors: byte 8: the "
                                    "header needs [0-9]+ bytes, 292 are left. The file is cut off "
                                    "or damaged; fetch it again."));
}

TEST_F(AdapterMistakes, PatternsThatAreNone) {
  EXPECT_EQ(error_of_json("peft_lora", [](Json& c) { c["target_modules"] = "(q_proj"; }),
            "[load] adapter_config.json: the pattern `\\A(?:(q_proj)\\z` is wrong at byte 15: "
            "missing closing parenthesis.");
}

TEST_F(AdapterMistakes, ThePeftFormOfDoraOfAnEmbedding) {
  LanguageModel lm = base("tied");
  auto copy = copy_of("peft_embedding");
  edit_json(copy, [](Json& c) { c["use_dora"] = true; });
  EXPECT_THAT(error_here([&] { LoRAContainer::from(copy).load(lm); }),
              testing::HasSubstr(
                  "model.embed_tokens is an embedding, of which PEFT's DoRA gives the columns "
                  "their lengths, not the rows: leave it out of `target_modules`."));
}

TEST_F(AdapterMistakes, AllMissingTensorsAreListed) {
  std::string all;
  for (int layer = 0; layer < 3; ++layer)
    for (const auto& [name, inputs] : {std::pair("mlp.down_proj", 64), {"self_attn.q_proj", 32}})
      all += fmt::format(
          " model.layers.{0}.{1}.lora_a is missing: shape ({2}, 2) is needed."
          " model.layers.{0}.{1}.lora_b is missing: shape (2, 32) is needed."
          " model.layers.{0}.{1}.m is missing: shape (32,) is needed.",
          layer, name, inputs);
  auto copy = copy_of("mlx_dora");
  edit_tensors(copy, [](NamedArrays& t) { t.clear(); });
  EXPECT_EQ(error_with(copy), "[adapters] FOLDER/adapter does not fit the model:" + all);
}

TEST_F(AdapterMistakes, AnotherRankThanTheConfigurationSays) {
  std::string all = error_of_json("mlx_keys", [](Json& c) { c["lora_parameters"]["rank"] = 3; });
  EXPECT_EQ(all,
            "[adapters] FOLDER/adapter does not fit the model: lm_head.lora_a has shape (32, 2), "
            "(32, 3) is needed. lm_head.lora_b has shape (2, 96), (3, 96) is needed. "
            "model.layers.0.mlp.up_proj.lora_a has shape (32, 2), (32, 3) is needed. "
            "model.layers.0.mlp.up_proj.lora_b has shape (2, 64), (3, 64) is needed. "
            "model.layers.2.self_attn.q_proj.lora_a has shape (32, 2), (32, 3) is needed. "
            "model.layers.2.self_attn.q_proj.lora_b has shape (2, 32), (3, 32) is needed.");
}

TEST_F(AdapterMistakes, AnotherModel) {
  LanguageModel other = base("tied");
  auto ids = ids_of(other);
  auto copy = copy_of("mlx_keys");
  EXPECT_EQ(
      error_here([&] { LoRAContainer::from(copy).load(other); }),
      "[adapters] FOLDER/adapter does not fit the model: lm_head.lora_a belongs to nothing in "
      "the model. lm_head.lora_b belongs to nothing in the model. `lora_parameters.keys` has "
      "\"lm_head\", which no matrix of the last 1 layers is called.");
  EXPECT_EQ(ids_of(other), ids);
}

TEST_F(AdapterMistakes, Places) {
  LanguageModel lm = base("apart");
  auto one = LoRAContainer::from(adapter("peft_lora")),
       full = LoRAContainer::from(adapter("mlx_full"));
  one.load(lm);
  auto ids = ids_of(lm);
  auto error = [&](const auto& f) {
    std::string text = error_of(f);
    EXPECT_EQ(ids_of(lm), ids);
    return text;
  };
  EXPECT_EQ(error([&] { one.load(lm); }),
            "[adapters] an adapter named \"peft_lora\" is in the model already. Unload it, or give "
            "another name.");
  EXPECT_EQ(error([&] { one.load(lm, {.name = "b", .weight = infinity}); }),
            "[adapters] the weight of \"b\" is inf; a number is needed.");
  EXPECT_EQ(error([&] { LoRAContainer::from(lm, {}).load(lm, {.on_request = true}); }),
            "[adapters] an adapter on request needs a name to be asked for by.");
  EXPECT_EQ(error([&] { full.load(lm, {.on_request = true}); }),
            "[adapters] \"mlx_full\" replaces whole parameters, which answers cannot choose. Load "
            "it for all, not on request.");
  EXPECT_EQ(error([&] { full.load(lm, {.weight = 0.5f}); }),
            "[adapters] \"mlx_full\" replaces whole parameters, which have no weight: it is 0.5, 1 "
            "is needed.");
  EXPECT_EQ(error([&] { unload_adapter(lm, "nobody"); }),
            "[adapters] the model has no adapter \"nobody\".");
  EXPECT_EQ(error([&] { set_adapter_weight(lm, "nobody", 1); }),
            "[adapters] the model has no adapter \"nobody\".");
  EXPECT_EQ(error([&] { one.updated_from(lm, "nobody"); }),
            "[adapters] the model has no adapter \"nobody\".");
  full.load(lm);
  ids = ids_of(lm);
  EXPECT_EQ(error([&] { full.load(lm, {.name = "again"}); }),
            "[adapters] \"again\" replaces model.layers.2.mlp.down_proj, which \"mlx_full\" "
            "replaced already.");
  EXPECT_EQ(error([&] { set_adapter_weight(lm, "mlx_full", 2); }),
            "[adapters] \"mlx_full\" replaces whole parameters, which have no weight: it is 2, 1 "
            "is needed.");
}

TEST_F(AdapterMistakes, NewOnes) {
  LanguageModel lm = base("apart");
  auto error = [&](const LoRAConfiguration& c) {
    return error_of([&] { LoRAContainer::from(lm, c); });
  };
  EXPECT_EQ(error({.fine_tune_type = "loha"}),
            "[adapters] fine_tune_type is \"loha\"; lora, dora and full are known.");
  EXPECT_EQ(error({.lora_parameters = {.rank = 0}}),
            "[adapters] the rank is 0; it must be positive.");
  EXPECT_EQ(error({.lora_parameters = {.scale = std::nanf("")}}),
            "[adapters] the scale is nan; a number is needed.");
  EXPECT_EQ(error({.lora_parameters = {.dropout = 1}}),
            "[adapters] the dropout is 1; it lies in [0, 1).");
  EXPECT_EQ(error({.num_layers = 2, .lora_parameters = {.keys = {{"q_proj"}}}}),
            "[adapters] the adapter does not fit the model: `lora_parameters.keys` has \"q_proj\", "
            "which no matrix of the last 2 layers is called.");
}

TEST_F(AdapterMistakes, Writing) {
  auto layers = LoRAContainer::from(adapter("peft_layers")),
       full = LoRAContainer::from(adapter("mlx_full"));
  EXPECT_THAT(error_of([&] { layers.save(folder_ / "a", AdapterForm::mlx); }),
              testing::EndsWith(": mlx-lm's form has no place for whole parameters beside low-rank "
                                "terms. Write PEFT's form, or fold the adapter into the model."));
  EXPECT_THAT(error_of([&] { full.save(folder_ / "a", AdapterForm::peft); }),
              testing::EndsWith(": PEFT's form has no place for whole layers. Fold the adapter "
                                "into the model."));
  auto table = LoRAContainer::from(adapter("mlx_dora_embedding"));
  EXPECT_EQ(error_of([&] { table.save(folder_ / "a", AdapterForm::peft); }),
            "[adapters] model.embed_tokens: DoRA of an embedding gives its rows their lengths, "
            "PEFT's form its columns. Write mlx-lm's form, or fold the adapter into the model.");
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  full.save(folder_ / "a");
  EXPECT_EQ(error_here([&] { LoRAContainer::from(adapter("mlx_lora")).save(folder_ / "a"); }),
            "[adapters] FOLDER/a holds an adapter with another configuration. Give another name or "
            "remove it.");
}

}  // namespace
}  // namespace tarn_test
