// What can be wrong with an adapter, said in whole sentences; and that nothing changes then.
#include "adapters.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace tarn_test {
namespace {

const std::string q0 = "model.layers.0.self_attn.q_proj", q2 = "model.layers.2.self_attn.q_proj";
const std::string peft = "base_model.model.";
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
  template <class F>
  std::string error_of_tensors(const std::string& name, const F& edit) {
    auto copy = copy_of(name);
    edit_tensors(copy, edit);
    return error_with(copy);
  }
};
#define EXPECT_JSON_ERROR(adapter, edit, message) \
  EXPECT_EQ(error_of_json(adapter, [](Json& c) { edit; }), "[adapters] FOLDER/adapter" message)
#define EXPECT_TENSOR_ERROR(adapter, edit, message)                  \
  EXPECT_EQ(error_of_tensors(adapter, [](NamedArrays& t) { edit; }), \
            std::string("[adapters] FOLDER/adapter does not fit the model: ") + message)

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

TEST_F(AdapterMistakes, ConfigurationsOfMlxLm) {
  EXPECT_JSON_ERROR("mlx_keys", c["fine_tune_type"] = "lokr",
                    "/adapter_config.json: `fine_tune_type` is \"lokr\", \"lora\", \"dora\" or "
                    "\"full\" is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c.erase("num_layers"),
                    "/adapter_config.json: `num_layers` is missing, a whole number from -1 to "
                    "1000000 is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c["num_layers"] = 1.5,
                    "/adapter_config.json: `num_layers` is 1.5, a whole number from -1 to 1000000 "
                    "is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c.erase("lora_parameters"),
                    "/adapter_config.json: `lora_parameters` is missing, an object is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c["lora_parameters"] = 3,
                    "/adapter_config.json: `lora_parameters` is 3, an object is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c["lora_parameters"]["rank"] = 0,
                    "/adapter_config.json: `lora_parameters.rank` is 0, a whole number from 1 to "
                    "1000000 is needed.");
  EXPECT_JSON_ERROR(
      "mlx_keys", c["lora_parameters"].erase("scale"),
      "/adapter_config.json: `lora_parameters.scale` is missing, a number is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c["lora_parameters"]["dropout"] = 1,
                    "/adapter_config.json: `lora_parameters.dropout` is 1, a number in [0, 1) is "
                    "needed.");
  EXPECT_JSON_ERROR("mlx_keys", c["lora_parameters"]["keys"] = "q_proj",
                    "/adapter_config.json: `lora_parameters.keys` is \"q_proj\", a list of texts "
                    "is needed.");
  EXPECT_JSON_ERROR("mlx_keys", c["lora_parameters"]["keys"].push_back("self_attn.qq_proj"),
                    " does not fit the model: `lora_parameters.keys` has \"self_attn.qq_proj\", "
                    "which no matrix of the last 1 layers is called.");
}

TEST_F(AdapterMistakes, ConfigurationsOfPeft) {
  EXPECT_JSON_ERROR("peft_lora", c["peft_type"] = "LOHA",
                    "/adapter_config.json: `peft_type` is \"LOHA\", \"LORA\" is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["r"] = -4,
                    "/adapter_config.json: `r` is -4, a whole number from 1 to 1000000 is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["lora_alpha"] = "16",
                    "/adapter_config.json: `lora_alpha` is \"16\", a number is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["bias"] = "all",
                    "/adapter_config.json: `bias` is \"all\", \"none\" is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["fan_in_fan_out"] = true,
                    "/adapter_config.json: `fan_in_fan_out` is true, false is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["init_lora_weights"] = "pissa_niter_4",
                    "/adapter_config.json: `init_lora_weights` is \"pissa_niter_4\", a start that "
                    "leaves the base as it was is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["trainable_token_indices"] = {1},
                    "/adapter_config.json: `trainable_token_indices` is [1], nothing is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["use_rslora"] = 1,
                    "/adapter_config.json: `use_rslora` is 1, true or false is needed.");
  EXPECT_JSON_ERROR("peft_lora", (c["rank_pattern"] = {{"q_proj", 0}}),
                    "/adapter_config.json: `rank_pattern.q_proj` is 0, a whole number from 1 to "
                    "1000000 is needed.");
  EXPECT_JSON_ERROR("peft_lora", c["layers_to_transform"] = {"0"},
                    "/adapter_config.json: `layers_to_transform` is [\"0\"], a layer or a list of "
                    "layers is needed.");
  EXPECT_JSON_ERROR("peft_layers", (c["layers_to_transform"] = {0, 2, 7}),
                    " does not fit the model: `layers_to_transform` has layer 7, the model has 3.");
  EXPECT_JSON_ERROR("peft_layers", c["modules_to_save"].push_back("score"),
                    " does not fit the model: `modules_to_save` has \"score\", and no tensor is of "
                    "it.");
  EXPECT_EQ(error_of_json("peft_lora", [](Json& c) { c["target_modules"] = "(q_proj"; }),
            "[load] adapter_config.json: the pattern `\\A(?:(q_proj)\\z` is wrong at byte 15: "
            "missing closing parenthesis.");
}

TEST_F(AdapterMistakes, Tensors) {
  EXPECT_TENSOR_ERROR("mlx_keys", t.erase(q2 + ".lora_b"),
                      q2 + ".lora_b is missing: shape (2, 32) is needed.");
  EXPECT_TENSOR_ERROR("mlx_keys", t.emplace(q0 + ".lora_a", tarn::zeros({32, 2})),
                      q0 + ".lora_a is of a matrix that the configuration does not name.");
  EXPECT_TENSOR_ERROR("mlx_keys", t.emplace("model.layers.9.q.lora_a", tarn::zeros({32, 2})),
                      "model.layers.9.q.lora_a belongs to nothing in the model.");
  EXPECT_TENSOR_ERROR("mlx_keys", t.emplace("stray", tarn::zeros({2})),
                      "stray belongs to nothing in the model.");
  EXPECT_TENSOR_ERROR("mlx_keys", t.at(q2 + ".lora_a") = tarn::transpose(t.at(q2 + ".lora_a")),
                      q2 + ".lora_a is transposed: it has shape (2, 32), (32, 2) is needed.");
  EXPECT_TENSOR_ERROR("mlx_keys", t.at(q2 + ".lora_a") = tarn::zeros({64, 2}),
                      q2 + ".lora_a has shape (64, 2), (32, 2) is needed.");
  EXPECT_TENSOR_ERROR("mlx_keys", t.at(q2 + ".lora_a") = tarn::zeros({32, 2}, tarn::int32),
                      q2 + ".lora_a is of int32, floating-point numbers are needed. " + q2 +
                          ".lora_a is missing: shape (32, 2) is needed.");
  std::string all;
  for (int layer = 0; layer < 3; ++layer)
    for (const auto& [name, inputs] : {std::pair("mlp.down_proj", 64), {"self_attn.q_proj", 32}})
      all += fmt::format(
          " model.layers.{0}.{1}.lora_a is missing: shape ({2}, 2) is needed."
          " model.layers.{0}.{1}.lora_b is missing: shape (2, 32) is needed."
          " model.layers.{0}.{1}.m is missing: shape (32,) is needed.",
          layer, name, inputs);
  EXPECT_TENSOR_ERROR("mlx_dora", t.clear(), all.substr(1));
  EXPECT_TENSOR_ERROR("peft_lora", t.erase(peft + q0 + ".lora_A.weight"),
                      peft + q0 + ".lora_A.weight is missing: shape (4, 32) is needed.");
  EXPECT_TENSOR_ERROR(
      "peft_lora",
      t.at(peft + q0 + ".lora_B.weight") = tarn::transpose(t.at(peft + q0 + ".lora_B.weight")),
      peft + q0 + ".lora_B.weight is transposed: it has shape (4, 32), (32, 4) is needed.");
  EXPECT_TENSOR_ERROR("mlx_full", t.erase("model.layers.2.input_layernorm.weight"),
                      "model.layers.2.input_layernorm.weight is missing.");
  EXPECT_TENSOR_ERROR("mlx_full", t.at("model.layers.2.mlp.up_proj.weight") = tarn::zeros({32, 64}),
                      "model.layers.2.mlp.up_proj.weight has shape (32, 64), (64, 32) is needed.");
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
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  full.save(folder_ / "a");
  EXPECT_EQ(error_here([&] { LoRAContainer::from(adapter("mlx_lora")).save(folder_ / "a"); }),
            "[adapters] FOLDER/a holds an adapter with another configuration. Give another name or "
            "remove it.");
}

}  // namespace
}  // namespace tarn_test
