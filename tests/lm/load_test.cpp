// Folders with config.json, tokenizer.json and safetensors: a tiny Llama, whole and damaged.
#include "tarn/lm/load.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "error_of.h"
#include "tarn/io.h"
#include "tarn/lm/generate.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn_test {
namespace {

using tarn::array;
using tarn::Json;
using tarn::Shape;
using tarn::lm::LanguageModel;
using Weights = std::unordered_map<std::string, array>;
namespace fs = std::filesystem;

constexpr int64_t vocabulary = 16, hidden = 64, inner = 128, kv = 32;
const char* const tokenizer_json = R"({"added_tokens": [{"id": 15, "content": "<end>",
  "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}],
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5, "g": 6, "h": 7,
  "i": 8, "j": 9, "k": 10, "l": 11, "m": 12, "n": 13, "o": 14}, "merges": []},
  "decoder": {"type": "Fuse"}})";

Json tiny_config(bool tied) {
  return {{"model_type", "llama"},      {"hidden_size", hidden},    {"num_hidden_layers", 2},
          {"intermediate_size", inner}, {"num_attention_heads", 2}, {"num_key_value_heads", 1},
          {"vocab_size", vocabulary},   {"rms_norm_eps", 1e-5},     {"max_position_embeddings", 64},
          {"rope_theta", 10000.0},      {"eos_token_id", 15},       {"tie_word_embeddings", tied}};
}

Weights tiny_weights(bool tied) {
  Weights w;
  uint64_t seed = 1;
  auto matrix = [&](const std::string& name, int64_t rows, int64_t columns) {
    w.insert_or_assign(name + ".weight", tarn::random::normal({rows, columns}, tarn::float32, 0.0f,
                                                              0.2f, tarn::random::key(seed++)));
  };
  matrix("model.embed_tokens", vocabulary, hidden);
  if (!tied) matrix("lm_head", vocabulary, hidden);
  for (int i = 0; i < 2; ++i) {
    auto layer = fmt::format("model.layers.{}.", i);
    matrix(layer + "self_attn.q_proj", hidden, hidden);
    matrix(layer + "self_attn.k_proj", kv, hidden);
    matrix(layer + "self_attn.v_proj", kv, hidden);
    matrix(layer + "self_attn.o_proj", hidden, hidden);
    matrix(layer + "mlp.gate_proj", inner, hidden);
    matrix(layer + "mlp.up_proj", inner, hidden);
    matrix(layer + "mlp.down_proj", hidden, inner);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      w.insert_or_assign(layer + norm + ".weight", tarn::ones({hidden}));
  }
  w.insert_or_assign("model.norm.weight", tarn::ones({hidden}));
  return w;
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

class ModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    auto test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("tarn-load-{}-{}", getpid(), test->name());
    fs::create_directories(folder_);
    write(folder_ / "tokenizer.json", tokenizer_json);
  }
  void TearDown() override { fs::remove_all(folder_); }

  LanguageModel load(const Json& config, const Weights& weights) {
    write(folder_ / "config.json", config.dump());
    tarn::save_safetensors((folder_ / "model.safetensors").string(), weights);
    return tarn::lm::load(folder_);
  }
  std::string error(const Json& config, const Weights& weights) {
    return error_in<tarn::FileError>(folder_, [&] { load(config, weights); });
  }

  fs::path folder_{};
};

std::vector<float> logits_of(const LanguageModel& lm) {
  tarn::PrecisionScope scope(tarn::Precision::exact);
  auto pass = lm.model.new_pass();
  pass.last_only = false;
  array logits = lm.model(array({3, 1, 4, 1, 5, 9, 2, 6}, {1, 8}, tarn::int32), pass);
  EXPECT_EQ(logits.shape(), (Shape{1, 8, vocabulary}));
  const float* data = logits.data<float>();
  return {data, data + logits.size()};
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

// ---- Folders that load ----

TEST_F(ModelFolder, TiedAndUntiedHeads) {
  auto tied = load(tiny_config(true), tiny_weights(true));
  EXPECT_EQ(tied.name, folder_.filename().string());
  EXPECT_EQ(tied.model.shape().vocabulary, vocabulary);
  EXPECT_EQ(tied.model.shape().layers, 2);
  EXPECT_EQ(tied.stop_ids, std::vector<int32_t>{15});
  EXPECT_FALSE(tied.chat_template.has_value());
  auto with_tied = logits_of(tied);
  Weights weights = tiny_weights(true);
  weights.insert_or_assign("lm_head.weight", weights.at("model.embed_tokens.weight"));
  // The same numbers as a head of its own, as a copy that the config says to ignore, and unsaid.
  EXPECT_LT(difference(logits_of(load(tiny_config(false), weights)), with_tied), 1e-5);
  EXPECT_LT(difference(logits_of(load(tiny_config(true), weights)), with_tied), 1e-5);
  Json unsaid = tiny_config(true);
  unsaid.erase("tie_word_embeddings");
  EXPECT_LT(difference(logits_of(load(unsaid, weights)), with_tied), 1e-5);
  EXPECT_LT(difference(logits_of(load(unsaid, tiny_weights(true))), with_tied), 1e-5);
  // A head of other numbers is used.
  EXPECT_GT(difference(logits_of(load(tiny_config(false), tiny_weights(false))), with_tied), 0.1);
}

TEST_F(ModelFolder, FolderNameWithASlashAtTheEnd) {
  load(tiny_config(true), tiny_weights(true));
  EXPECT_EQ(tarn::lm::load(folder_ / "").name, folder_.filename().string());
}

TEST_F(ModelFolder, HalfPrecisionWeights) {
  auto whole = logits_of(load(tiny_config(false), tiny_weights(false)));
  for (auto dtype : {tarn::float16, tarn::bfloat16}) {
    Weights weights = tiny_weights(false);
    for (auto& [name, a] : weights) a = astype(a, dtype);
    EXPECT_LT(difference(logits_of(load(tiny_config(false), weights)), whole), 0.1);
  }
}

TEST_F(ModelFolder, BiasesWhereTheConfigAsksForThem) {
  auto without = logits_of(load(tiny_config(true), tiny_weights(true)));
  Json config = tiny_config(true);
  config["attention_bias"] = true;
  Weights weights = tiny_weights(true);
  for (int i = 0; i < 2; ++i)
    for (auto [name, rows] : {std::pair{"q", hidden}, {"k", kv}, {"v", kv}, {"o", hidden}})
      weights.insert_or_assign(fmt::format("model.layers.{}.self_attn.{}_proj.bias", i, name),
                               tarn::zeros({rows}));
  EXPECT_LT(difference(logits_of(load(config, weights)), without), 1e-6);
  weights.insert_or_assign("model.layers.1.self_attn.v_proj.bias", tarn::ones({kv}));
  EXPECT_GT(difference(logits_of(load(config, weights)), without), 0.01);
}

// A folder whose matrices are quantised, all alike or each in its own way, beside a dense folder
// with the same numbers.
TEST_F(ModelFolder, QuantisedWeights) {
  for (bool mixed : {false, true}) {
    Weights dense = tiny_weights(false), quantised;
    Json config = tiny_config(false);
    config["quantization"] = {{"group_size", 32}, {"bits", 4}};
    for (auto& [name, a] : dense) {
      std::string stem = name.substr(0, name.rfind('.'));
      if (a.ndim() != 2) {
        quantised.insert_or_assign(name, a);
        continue;
      }
      bool other = mixed && stem.find("down_proj") != std::string::npos;
      int group = other ? 64 : 32, bits = other ? 8 : 4;
      if (other) config["quantization"][stem] = {{"group_size", group}, {"bits", bits}};
      auto parts = tarn::quantize(a, group, bits);
      a = tarn::dequantize(parts[0], parts[1], parts[2], group, bits);
      quantised.insert_or_assign(name, parts[0]);
      quantised.insert_or_assign(stem + ".scales", parts[1]);
      quantised.insert_or_assign(stem + ".biases", parts[2]);
    }
    auto want = logits_of(load(tiny_config(false), dense));
    EXPECT_LT(difference(logits_of(load(config, quantised)), want), 1e-4) << mixed;
  }
}

TEST_F(ModelFolder, TemplateAndStopTokensOfTheCompanions) {
  write(folder_ / "tokenizer_config.json",
        R"({"eos_token": "<end>", "chat_template": [{"name": "other", "template": "no"},
        {"name": "default", "template": "{{ messages[0].content }}<end>"}]})");
  write(folder_ / "generation_config.json", R"({"eos_token_id": [15, 14]})");
  auto lm = load(tiny_config(true), tiny_weights(true));
  EXPECT_EQ(lm.stop_ids, (std::vector<int32_t>{14, 15}));
  EXPECT_EQ(lm.render({{"user", "abc"}}), "abc<end>");
  EXPECT_EQ(lm.encode_chat({{"user", "abc"}}), (std::vector<int32_t>{0, 1, 2, 15}));
  write(folder_ / "chat_template.jinja", "the file wins");
  EXPECT_EQ(tarn::lm::load(folder_).render({{"user", "abc"}}), "the file wins");
  tarn::lm::GenerateParameters options;
  options.max_tokens = 4;
  EXPECT_FALSE(tarn::lm::respond(lm, "abc", options).size() > 4);
}

TEST_F(ModelFolder, ConversationWithoutATemplate) {
  auto lm = load(tiny_config(true), tiny_weights(true));
  try {
    lm.render({{"user", "a"}});
    FAIL();
  } catch (const tarn::ValueError& e) {
    EXPECT_EQ(std::string(e.message()),
              "[chat] " + lm.name + " has no chat template. Use the prompt as it stands (--raw).");
  }
}

// ---- Weights that do not fit, all in one message ----

TEST_F(ModelFolder, MissingAndLeftOverWeights) {
  Weights weights = tiny_weights(true);
  weights.erase("model.norm.weight");
  weights.erase("model.layers.1.mlp.up_proj.weight");
  weights.insert_or_assign("model.layers.2.mlp.up_proj.weight", tarn::ones({2}));
  weights.insert_or_assign("model.layers.0.self_attn.q_proj.bias", tarn::ones({hidden}));
  weights.insert_or_assign("a\nb", tarn::ones({2}));
  EXPECT_EQ(error(tiny_config(true), weights),
            "[load] FOLDER: 5 of the weights do not fit the model: "
            "model.layers.1.mlp.up_proj.weight is missing. model.norm.weight is missing. "
            "a\\x0ab belongs to nothing in the model. "
            "model.layers.0.self_attn.q_proj.bias belongs to nothing in the model. "
            "model.layers.2.mlp.up_proj.weight belongs to nothing in the model.");
  EXPECT_EQ(error(tiny_config(false), tiny_weights(true)),
            "[load] FOLDER: 1 of the weights does not fit the model: lm_head.weight is missing.");
}

TEST_F(ModelFolder, LongListsAreCut) {
  Weights weights = tiny_weights(true);
  for (int i = 0; i < 20; ++i) weights.insert_or_assign(fmt::format("x{:02}", i), tarn::ones({2}));
  std::string want = "[load] FOLDER: 20 of the weights do not fit the model:";
  for (int i = 0; i < 12; ++i) want += fmt::format(" x{:02} belongs to nothing in the model.", i);
  EXPECT_EQ(error(tiny_config(true), weights), want + " And 8 more.");
}

TEST_F(ModelFolder, WeightsOfAnotherShapeOrType) {
  Weights weights = tiny_weights(true);
  weights.insert_or_assign("model.layers.0.mlp.up_proj.weight", tarn::ones({hidden, inner}));
  weights.insert_or_assign("model.layers.1.self_attn.k_proj.weight", tarn::ones({kv}));
  weights.insert_or_assign("model.layers.1.input_layernorm.weight", tarn::ones({hidden + 1}));
  weights.insert_or_assign("model.norm.weight", tarn::zeros({hidden}, tarn::int32));
  EXPECT_EQ(error(tiny_config(true), weights),
            "[load] FOLDER: 4 of the weights do not fit the model: "
            "model.layers.0.mlp.up_proj.weight has shape (64, 128), the model needs (128, 64). "
            "model.layers.1.self_attn.k_proj.weight has shape (32), the model needs (32, 64). "
            "model.layers.1.input_layernorm.weight has shape (65), the model needs (64). "
            "model.norm.weight is of int32, the model needs floating-point numbers.");
}

TEST_F(ModelFolder, QuantisedWeightsThatDoNotFit) {
  Weights weights = tiny_weights(true);
  auto parts = tarn::quantize(weights.at("model.embed_tokens.weight"), 32, 4);
  weights.insert_or_assign("model.embed_tokens.weight", parts[0]);
  weights.insert_or_assign("model.embed_tokens.scales", parts[1]);
  Json config = tiny_config(true);
  config["quantization"] = {{"group_size", 32}, {"bits", 4}};
  EXPECT_EQ(error(config, weights),
            "[load] FOLDER: 1 of the weights does not fit the model: model.embed_tokens.biases is "
            "missing.");
  weights.insert_or_assign("model.embed_tokens.biases", parts[2]);
  EXPECT_EQ(error(config, weights), "no error");
  config["quantization"] = {{"group_size", 64}, {"bits", 8}};
  EXPECT_EQ(error(config, weights),
            "[load] FOLDER: 1 of the weights does not fit the model: model.embed_tokens.weight has "
            "shape (16, 8) and scales (16, 2); (16, 64) in 8 bits and groups of 64 need (16, 16) "
            "and (16, 1).");
  for (auto [group, bits] : {std::pair{0, 4}, {128, 4}, {32, 7}, {32, 0}}) {
    config["quantization"] = {{"group_size", group}, {"bits", bits}};
    EXPECT_EQ(
        error(config, weights),
        fmt::format("[load] FOLDER: 1 of the weights does not fit the model: "
                    "model.embed_tokens.weight has 64 columns in {} bits and groups of {}; 2, "
                    "3, 4, 5, 6 or 8 bits and whole groups of 32, 64 or 128 are needed.",
                    bits, group));
  }
  for (const Json& wrong : {Json("4"), Json(-4), Json(1e9), Json(nullptr)}) {
    config["quantization"] = {{"group_size", 32}, {"bits", wrong}};
    EXPECT_EQ(error(config, weights), "[load] FOLDER/config.json: `quantization` has bits " +
                                          wrong.dump() + ", a small number is needed.");
  }
}

// ---- Configs that are wrong ----

TEST_F(ModelFolder, WrongConfigs) {
  Weights weights = tiny_weights(true);
  auto with = [&](const char* key, const Json& value) {
    Json config = tiny_config(true);
    config[key] = value;
    return error(config, weights);
  };
  auto without = [&](const char* key) {
    Json config = tiny_config(true);
    config.erase(key);
    return error(config, weights);
  };
  EXPECT_EQ(without("model_type"), "[load] FOLDER/config.json lacks `model_type`.");
  EXPECT_EQ(
      with("model_type", "mamba"),
      "[load] FOLDER/config.json: model_type \"mamba\" is not supported; the nearest that are: "
      "llama, gemma2, gemma3.");
  EXPECT_EQ(without("hidden_size"),
            "[load] FOLDER/config.json lacks `hidden_size`, which llama needs.");
  EXPECT_EQ(with("hidden_size", "64"),
            "[load] FOLDER/config.json: `hidden_size` is \"64\", which llama cannot use.");
  EXPECT_EQ(with("num_attention_heads", 3),
            "[load] FOLDER/config.json: sizes do not fit a llama model: hidden_size 64, layers 2, "
            "heads 3 over 1 of size 21, intermediate_size 128, vocabulary 16, rms_norm_eps 1e-05.");
  EXPECT_EQ(with("tie_word_embeddings", "yes"),
            "[load] FOLDER/config.json: `tie_word_embeddings` is \"yes\", not true or false.");
  EXPECT_EQ(error(Json::array(), weights), "[load] FOLDER/config.json: a JSON object is needed.");
}

TEST_F(ModelFolder, MissingFiles) {
  load(tiny_config(true), tiny_weights(true));
  auto error_of_path = [](const fs::path& path) -> std::string {
    try {
      tarn::lm::load(path);
    } catch (const tarn::FileError& e) {
      return e.message();
    }
    return "no error";
  };
  std::string name = folder_.string();
  EXPECT_EQ(error_of_path(folder_ / "none"),
            "[load] " + name +
                "/none does not exist. Give a GGUF file, a folder with config.json, or run "
                "`make chat` once to fetch the default model.");
  const std::pair<const char*, const char*> files[] = {
      {"tokenizer.json",
       " has no tokenizer: tokenizer.json, tekken.json, tokenizer.model or a .tiktoken file is "
       "needed."},
      {"model.safetensors", ": the folder holds no .safetensors file. Check the path."},
      {"config.json", " has no config.json."}};
  for (auto [file, error] : files) {
    fs::remove(folder_ / file);
    EXPECT_EQ(error_of_path(folder_), "[load] " + name + error);
  }
}

TEST_F(ModelFolder, CancelledLoading) {
  load(tiny_config(true), tiny_weights(true));
  std::stop_source source;
  source.request_stop();
  EXPECT_THROW(tarn::lm::load(folder_, {.stop = source.get_token()}), tarn::Cancelled);
}

}  // namespace
}  // namespace tarn_test
