// A tiny Llama with random weights and a vocabulary of single characters, for tests of what goes
// on around a model. It is written to a folder and loaded from there.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "answers.h"
#include "base/json.h"
#include "base/text.h"
#include "tarn/io.h"
#include "tarn/lm.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn_test {

using namespace tarn::lm;
using tarn::array;
using tarn::Json;
namespace fs = std::filesystem;

struct TinyOptions {
  int64_t vocabulary = 128, hidden = 64, context = 256;
  uint64_t seed = 1;
};

// Ids: 0 the line break, 1 to 95 printable ASCII, then these.
inline const std::vector<std::string> tiny_specials{"<|system|>", "<|user|>", "<|assistant|>",
                                                    "<|tool|>", "<end>"};
inline int32_t tiny_id(char c) { return c == '\n' ? 0 : c - ' ' + 1; }
inline Ids tiny_ids(const std::string& text) {
  Ids ids;
  for (char c : text) ids.push_back(tiny_id(c));
  return ids;
}
constexpr int32_t tiny_tool = 99, tiny_end = 100;

inline void write_tiny_tokenizer(const fs::path& folder) {
  Json vocabulary{{"\n", 0}}, added = Json::array();
  for (char c = ' '; c <= '~'; ++c) vocabulary[std::string(1, c)] = tiny_id(c);
  for (size_t i = 0; i < tiny_specials.size(); ++i)
    added.push_back({{"id", 96 + i},
                     {"content", tiny_specials[i]},
                     {"special", true},
                     {"normalized", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"single_word", false}});
  Json tokenizer{{"added_tokens", added},
                 {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}},
                 {"decoder", {{"type", "Fuse"}}}};
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
  std::ofstream(folder / "chat_template.jinja")
      << "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
         "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}</tool_call>"
         "{% endfor %}<end>{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>{% endif %}";
}

inline void write_tiny_weights(const fs::path& folder, const TinyOptions& o) {
  std::unordered_map<std::string, array> w;
  uint64_t seed = o.seed * 1000;
  auto matrix = [&](const std::string& name, int64_t rows, int64_t columns) {
    w.insert_or_assign(name + ".weight", tarn::random::normal({rows, columns}, tarn::float32, 0.0f,
                                                              0.2f, tarn::random::key(seed++)));
  };
  int64_t h = o.hidden;
  matrix("model.embed_tokens", o.vocabulary, h);
  for (int i = 0; i < 2; ++i) {
    auto layer = fmt::format("model.layers.{}.", i);
    for (const char* name : {"q_proj", "o_proj"}) matrix(layer + "self_attn." + name, h, h);
    for (const char* name : {"k_proj", "v_proj"}) matrix(layer + "self_attn." + name, h / 2, h);
    for (const char* name : {"gate_proj", "up_proj"}) matrix(layer + "mlp." + name, 2 * h, h);
    matrix(layer + "mlp.down_proj", h, 2 * h);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      w.insert_or_assign(layer + norm + ".weight", tarn::ones({h}));
  }
  w.insert_or_assign("model.norm.weight", tarn::ones({h}));
  tarn::save_safetensors((folder / "model.safetensors").string(), w);
}

inline fs::path write_tiny_model(const fs::path& folder, const TinyOptions& o = {}) {
  fs::create_directories(folder);
  write_tiny_tokenizer(folder);
  write_tiny_weights(folder, o);
  Json config{{"model_type", "llama"},
              {"hidden_size", o.hidden},
              {"num_hidden_layers", 2},
              {"intermediate_size", 2 * o.hidden},
              {"num_attention_heads", 2},
              {"num_key_value_heads", 1},
              {"vocab_size", o.vocabulary},
              {"rms_norm_eps", 1e-5},
              {"max_position_embeddings", o.context},
              {"rope_theta", 10000.0},
              {"eos_token_id", tiny_end},
              {"tie_word_embeddings", true}};
  std::ofstream(folder / "config.json") << config.dump();
  return folder;
}

class TinyModel : public testing::Test {
 protected:
  void SetUp() override {
    auto test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("tarn-tiny-{}-{}", getpid(), test->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  LanguageModel tiny(const TinyOptions& options = {}) {
    return load(write_tiny_model(folder_ / fmt::format("model-{}", options.seed), options));
  }
  // It never ends an answer by itself.
  LanguageModel endless(const TinyOptions& options = {}) {
    LanguageModel lm = tiny(options);
    lm.stop_ids.clear();
    return lm;
  }

  fs::path folder_{};
};

// The answer is this text, and then ends.
inline LogitProcessor saying(std::string text) {
  return [ids = tiny_ids(text)](const TokensSoFar& tokens, std::span<float> logits) {
    size_t at = tokens.answer().size();
    logits[static_cast<size_t>(at < ids.size() ? ids[at] : tiny_end)] = 1e9f;
  };
}

}  // namespace tarn_test
