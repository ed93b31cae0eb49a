// Llamas of random weights in 4 bits, groups of 64 with bfloat16 scales.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "lm/generation/decode.h"
#include "runtime/ahead.h"
#include "tarn/lm.h"
#include "tarn/tarn.h"

namespace bench {

using namespace tarn;

struct LlamaShape {
  const char* title;
  int hidden, layers, inner, heads, kv_heads;
  bool tied;
};
inline constexpr LlamaShape llama_shapes[] = {{"1B", 2048, 16, 8192, 32, 8, true},
                                              {"3B", 3072, 28, 8192, 24, 8, true},
                                              {"8B", 4096, 32, 14336, 32, 8, false}};

// Codes that look random, as a hash of their place, and factors that keep a vector's length.
class RandomWeights {
 public:
  void fill(nn::Matrix& m) {
    int64_t words = m.rows * m.columns / 8, groups = m.columns / 64;
    array at = slice(places_, {0}, {words}) + array(++seed_ * 0x9e3779b9u);
    array mixed = (at ^ (at >> array(15u))) * array(0x2c1b3c6du);
    m.weight = reshape(mixed ^ (mixed >> array(12u)), {m.rows, m.columns / 8});
    float scale = 1 / (4.61f * std::sqrt(float(m.columns)));
    m.scales = astype(full({m.rows, groups}, array(scale)), bfloat16);
    m.biases = astype(full({m.rows, groups}, array(-7.5f * scale)), bfloat16);
    eval(m.weight, *m.scales, *m.biases);
  }

 private:
  array places_ = astype(arange(0.0, double(1 << 26), uint32), uint32);
  uint32_t seed_ = 0;
};

// What a config of it says.
inline std::string config_of(const LlamaShape& s) {
  std::string text =
      "{\"model_type\": \"llama\", \"vocab_size\": 128256, "
      "\"rms_norm_eps\": 1e-5, \"rope_theta\": 500000, "
      "\"max_position_embeddings\": 8192, \"tie_word_embeddings\": ";
  text += s.tied ? "true" : "false";
  auto add = [&](const char* key, int value) {
    text += std::string(", \"") + key + "\": " + std::to_string(value);
  };
  add("hidden_size", s.hidden), add("num_hidden_layers", s.layers);
  add("intermediate_size", s.inner);
  add("num_attention_heads", s.heads), add("num_key_value_heads", s.kv_heads);
  return text + "}";
}

inline lm::LanguageModel random_llama(const LlamaShape& s) {
  lm::LanguageModel model;
  model.model = lm::find_architecture("llama")->make(lm::Config::parse(config_of(s), s.title));
  RandomWeights random;
  model.model.matrices([&](const std::string&, nn::Matrix& m) { random.fill(m); });
  model.model.norms([](const std::string&, nn::RMSNorm& norm) { norm.weight = ones({norm.size}); });
  return model;
}

// Where a token's time goes, in microseconds: the host's part of 64 tokens that are given to the
// card one behind the other, and all until the card has done them.
struct TokenTime {
  double host = 0, card = 0;
};
// As an answer does it; or each token recorded, walked and bound like the first ones.
enum class Recording : uint8_t { when_needed, each };
inline TokenTime token_time(const lm::LanguageModel& model, const std::vector<int32_t>& prompt,
                            Precision precision, Recording recording = Recording::when_needed) {
  using Clock = std::chrono::steady_clock;
  constexpr int warm = 8, tokens = 64;
  lm::GenerateParameters parameters{.temperature = 0, .precision = precision};
  lm::Session session{.pass = model.model.new_pass(parameters.caching())};
  lm::Decoder decoder(model, parameters, session);
  decoder.forward(prompt);
  ArrivingNumber arriving = decoder.likeliest_after(prompt[0]);
  auto next = [&] {
    if (recording == Recording::each) decoder.forget_turns();
    arriving = decoder.likeliest_after_that();
  };
  for (int i = 0; i < warm; ++i) next();
  synchronize();
  auto start = Clock::now();
  auto since = [&] {
    return std::chrono::duration<double>(Clock::now() - start).count() * 1e6 / tokens;
  };
  for (int i = 0; i < tokens; ++i) next();
  TokenTime time;
  time.host = since();
  synchronize();
  time.card = since();
  return time;
}

// Microseconds of a prompt: the host's part of four that are given to the card one behind the
// other, and all until the card has done them.
inline TokenTime prompt_time(const lm::LanguageModel& model, const std::vector<int32_t>& prompt,
                             Precision precision) {
  using Clock = std::chrono::steady_clock;
  constexpr int turns = 4;
  PrecisionScope scope(precision);
  array ids(prompt.begin(), Shape{1, static_cast<int64_t>(prompt.size())}, int32);
  TokenTime time;
  auto start = Clock::now();
  auto since = [&] { return std::chrono::duration<double>(Clock::now() - start).count() * 1e6; };
  for (int turn = -turns; turn < turns; ++turn) {
    if (turn == 0) synchronize(), start = Clock::now();
    lm::Pass pass = model.model.new_pass(lm::GenerateParameters{.precision = precision}.caching());
    pass.last_only = true;
    std::vector<array> results{argmax(model.model(ids, pass), -1)};
    pass.collect(results);
    eval_ahead(results);
  }
  time.host = since() / turns;
  synchronize();
  time.card = since() / turns;
  return time;
}

}  // namespace bench
