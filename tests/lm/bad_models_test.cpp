// Configs and files that are wrong, one a line, with the whole of what is said of each.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "error_of.h"
#include "small_models.h"
#include "tarn/lm.h"

namespace tarn_test {
namespace {

class BadModels : public SmallModels {
 protected:
  std::string error(const fs::path& path) {
    return error_in(folder_, [&] { tarn::lm::load(path); });
  }
  std::string error_with(const std::string& model, const std::string& key, const Json& value) {
    Json config = about()[model]["given"];
    config[key] = value;
    return error(write("bad", config, small_weights(about()[model])));
  }
};

TEST_F(BadModels, Keys) {
  struct Case {
    const char *model, *key;
    Json value;
    const char* said;  // behind "[load] FOLDER/bad/config.json"
  };
  const Json longrope{{"type", "longrope"}, {"short_factor", {1, 2}}, {"long_factor", {1}}};
  const std::vector<Case> cases{
      {"llama", "hidden_size", nullptr, " lacks `hidden_size`, which llama needs."},
      {"llama", "hidden_size", 64.5, ": `hidden_size` is 64.5, which llama cannot use."},
      {"llama", "hidden_size", 1e300, ": `hidden_size` is 1e+300, which llama cannot use."},
      {"llama", "hidden_size", true, ": `hidden_size` is true, which llama cannot use."},
      {"llama", "vocab_size", 18446744073709551615u,
       ": `vocab_size` is 18446744073709551615, which llama cannot use."},
      {"llama", "rms_norm_eps", "tiny", ": `rms_norm_eps` is \"tiny\", which llama cannot use."},
      {"llama", "rms_norm_eps", 1e300, ": `rms_norm_eps` is 1e+300, which llama cannot use."},
      {"llama", "rope_theta", Json::array(), ": `rope_theta` is [], which llama cannot use."},
      {"llama", "attention_bias", 1, ": `attention_bias` is 1, which llama cannot use."},
      {"llama", "num_hidden_layers", 0,
       ": sizes do not fit a llama model: hidden_size 64, layers 0, heads 4 over 2 of size 16, "
       "intermediate_size 96, vocabulary 96, rms_norm_eps 1e-05."},
      {"llama", "num_hidden_layers", 1000000,
       ": sizes do not fit a llama model: hidden_size 64, layers 1000000, heads 4 over 2 of size "
       "16, intermediate_size 96, vocabulary 96, rms_norm_eps 1e-05."},
      {"llama", "num_attention_heads", 0,
       ": sizes do not fit a llama model: hidden_size 64, layers 4, heads 0 over 2 of size 0, "
       "intermediate_size 96, vocabulary 96, rms_norm_eps 1e-05."},
      {"llama", "num_key_value_heads", 3,
       ": sizes do not fit a llama model: hidden_size 64, layers 4, heads 4 over 3 of size 16, "
       "intermediate_size 96, vocabulary 96, rms_norm_eps 1e-05."},
      {"llama", "head_dim", 15,
       ": sizes do not fit a llama model: hidden_size 64, layers 4, heads 4 over 2 of size 15, "
       "intermediate_size 96, vocabulary 96, rms_norm_eps 1e-05."},
      {"llama", "vocab_size", int64_t{1} << 40,
       ": sizes do not fit a llama model: hidden_size 64, layers 4, heads 4 over 2 of size 16, "
       "intermediate_size 96, vocabulary 1099511627776, rms_norm_eps 1e-05."},
      {"llama", "rms_norm_eps", 0,
       ": sizes do not fit a llama model: hidden_size 64, layers 4, heads 4 over 2 of size 16, "
       "intermediate_size 96, vocabulary 96, rms_norm_eps 0."},
      {"llama", "hidden_act", "relu6",
       ": activation \"relu6\" is not known; silu, gelu and gelu_pytorch_tanh are."},
      {"llama", "rope_theta", -1, ": 16 of 16 numbers of a head cannot be rotated with base -1."},
      {"llama", "partial_rotary_factor", 0,
       ": `partial_rotary_factor` is 0; more than 0 and at most 1 is needed."},
      {"llama", "partial_rotary_factor", 0.07,
       ": 1 of 16 numbers of a head cannot be rotated with base 10000."},
      {"llama", "rope_scaling", "yes", ": `rope_scaling` is \"yes\", not an object."},
      {"llama",
       "rope_scaling",
       {{"type", "spiral"}},
       ": rope type \"spiral\" is not known; default, linear, dynamic, llama3, yarn, longrope and "
       "su are."},
      {"llama",
       "rope_scaling",
       {{"type", "linear"}, {"factor", 0}},
       ": the rope factor 0 is not positive."},
      {"llama",
       "rope_scaling",
       {{"type", "linear"}, {"factor", "2"}},
       ": `rope_scaling.factor` is \"2\", which the model cannot use."},
      {"llama",
       "rope_scaling",
       {{"type", "llama3"}, {"high_freq_factor", 1}},
       ": rope factors 1 (low) and 1 (high): the high one must be larger."},
      {"llama", "rope_scaling", longrope,
       ": 2 short and 1 long rope factors: 8 pairs need as many of each."},
      {"qwen3", "layer_types", {"full_attention"}, ": `layer_types` has 1 entries for 4 layers."},
      {"qwen3",
       "layer_types",
       {"full_attention", "linear", "x", "y"},
       ": `layer_types` has \"linear\"; full_attention and sliding_attention are known."},
      {"smollm3", "no_rope_layers", {1, 0}, ": `no_rope_layers` has 2 entries for 4 layers."},
      {"smollm3", "no_rope_layer_interval", 0,
       ": no_rope_layer_interval 0, sliding_window_pattern 1 and sliding_window 1 must be "
       "positive."},
      {"mistral", "sliding_window", -5,
       ": no_rope_layer_interval 1, sliding_window_pattern 1 and sliding_window -5 must be "
       "positive."},
      {"gemma2", "query_pre_attn_scalar", 0, ": `query_pre_attn_scalar` is 0."},
      {"gemma2", "attn_logit_softcapping", -1, ": soft caps of -1 and 3 must not be negative."},
      {"llama", "model_type", "lama",
       ": model_type \"lama\" is not supported; the nearest that are: llama, gemma2, gemma3."},
      {"llama", "model_type", 7, " lacks `model_type`."},
      {"llama", "quantization", 4, ": `quantization` is 4, not an object."},
      {"llama", "quantization", {{"mode", 4}}, ": `quantization` has mode 4, a text is needed."},
      {"llama",
       "quantization_config",
       {{"quant_method", "gptq"}},
       ": weights in the form \"gptq\" cannot be read; MLX's quantisation, GGUF and weights that "
       "are not quantised can."},
  };
  for (const Case& c : cases)
    EXPECT_EQ(error_with(c.model, c.key, c.value),
              std::string("[load] FOLDER/bad/config.json") + c.said)
        << c.key << " of " << c.value;
}

TEST_F(BadModels, WhatHoldsNoModel) {
  fs::path good = write("llama");
  EXPECT_EQ(error(folder_ / "none"),
            "[load] FOLDER/none does not exist. Give a GGUF file, a folder with config.json, or "
            "run `make chat` once to fetch the default model.");
  fs::create_directories(folder_ / "empty");
  EXPECT_EQ(error(folder_ / "empty"), "[load] FOLDER/empty has no config.json.");
  fs::remove(good / "tokenizer.json");
  EXPECT_EQ(
      error(good),
      "[load] FOLDER/llama has no tokenizer: tokenizer.json, tekken.json, tokenizer.model or a "
      ".tiktoken file is needed.");
  NamedArrays weights = small_weights(about()["gemma3"]), twice;
  for (auto& [name, a] : weights) twice.emplace(name, a);
  twice.emplace("language_model.model.norm.weight", weights.at("model.norm.weight"));
  Json sees{{"model_type", "gemma3"}, {"text_config", about()["gemma3"]["given"]}};
  std::string said = error(write("twice", sees, twice));
  EXPECT_TRUE(said.starts_with("[load] FOLDER/twice: two tensors stand for model.norm.weight, "))
      << said;
}

TEST_F(BadModels, Gguf) {
  using tarn::array;
  auto number = [](uint32_t n) { return array(n, tarn::uint32); };
  std::unordered_map<std::string, tarn::GGUFMetaData> about_it{
      {"general.architecture", std::string("llama")},
      {"llama.embedding_length", number(32)},
      {"llama.block_count", number(1)},
      {"llama.feed_forward_length", number(64)},
      {"llama.attention.head_count", number(2)},
      {"llama.attention.layer_norm_rms_epsilon", array(1e-5f)}};
  NamedArrays tensors{{"token_embd.weight", tarn::zeros({8, 32})}};
  fs::path file = folder_ / "m.gguf";
  auto said = [&](auto change) {
    auto metadata = about_it;
    auto weights = tensors;
    change(metadata, weights);
    fs::remove(file);
    tarn::save_gguf(file.string(), weights, metadata);
    return error(file);
  };
  EXPECT_EQ(said([](auto& m, auto&) { m["general.architecture"] = std::string("rwkv\n"); }),
            "[load] FOLDER/m.gguf: architecture \"rwkv\\x0a\" is not supported; these are: llama, "
            "smollm3, qwen2, qwen3, phi3, gemma2, gemma3.");
  EXPECT_EQ(said([](auto&, auto& w) {
              w.clear();
              w.emplace("other.weight", tarn::zeros({8, 32}));
            }),
            "[load] FOLDER/m.gguf has no tensor token_embd.weight of two axes.");
  EXPECT_EQ(said([&](auto& m, auto&) { m["llama.attention.head_count"] = number(0); }),
            "[load] FOLDER/m.gguf: sizes do not fit a llama model: hidden_size 32, layers 1, heads "
            "0 over 0 of size 0, intermediate_size 64, vocabulary 8, rms_norm_eps 1e-05.");
  EXPECT_EQ(said([&](auto& m, auto&) { m["llama.rope.scaling.type"] = std::string("spiral"); }),
            "[load] FOLDER/m.gguf: rope type \"spiral\" is not known; default, linear, dynamic, "
            "llama3, yarn, longrope and su are.");
  EXPECT_EQ(said([&](auto&, auto& w) {
              w.emplace("rope_freqs.weight", tarn::zeros({2, 2}));
            }),
            "[load] FOLDER/m.gguf: rope_freqs.weight is not a row of floating-point numbers.");
}

}  // namespace
}  // namespace tarn_test
