// Everything that can be asked of a generation. Names and defaults are those of MLX Swift's
// GenerateParameters; what stands below `prefill` is Tarn's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "tarn/lm/cache.h"
#include "tarn/lm/logits.h"
#include "tarn/lm/sample.h"
#include "tarn/nn/low_rank.h"
#include "tarn/ops/quantized.h"

namespace tarn::lm {

// How the prompt is computed.
struct PrefillParameters {
  // balanced: equal chunks of at most step_size tokens; remainder: all but the last have
  // step_size; unchunked: one.
  enum class Chunking : uint8_t { balanced, remainder, unchunked };
  int step_size = 512;
  Chunking chunking = Chunking::balanced;
  // Called after each chunk with the tokens computed and to compute, by the thread that computes.
  std::function<void(int processed, int total)> progress{};
};

struct LanguageModel;

// Several tokens at a time: a cheap guess, judged in one call of the model. What is chosen is what
// would be chosen without it, with or without temperature; in exact mode to the last token.
struct SpeculativeDecoding {
  // A small model with the same vocabulary that guesses. Unset: the guess is what followed when the
  // last tokens stood earlier in prompt and answer ("prompt look-up").
  std::shared_ptr<const LanguageModel> draft{};
  int draft_tokens = 5;    // guessed at a time, 1 to 14
  int look_up_tokens = 3;  // prompt look-up: as many last tokens are looked for, then fewer
};

struct GenerateParameters {
  std::optional<int> max_tokens{};  // unset: until the model ends or its context is full
  // Positions that the model remembers at most: the first kv_sinks and the latest of the others.
  std::optional<int> max_kv_size{};
  // Keys and values in affine groups, from the quantized_kv_start-th position on.
  std::optional<int> kv_bits{};
  int kv_group_size = 64;
  int quantized_kv_start = 0;
  float temperature = 0.6f;  // 0: always the likeliest token
  float top_p = 1.0f;
  int top_k = 0;
  float min_p = 0.0f;
  std::optional<uint64_t> seed{};
  std::optional<float> repetition_penalty{};
  int repetition_context_size = 20;
  std::optional<float> presence_penalty{};
  int presence_context_size = 20;
  std::optional<float> frequency_penalty{};
  int frequency_context_size = 20;
  PrefillParameters prefill{};

  // One of the model's adapters that are there on request; without a name none of them.
  nn::AdapterChoice adapter{};
  int kv_sinks = 4;
  float xtc_probability = 0.0f, xtc_threshold = 0.0f;  // see SampleOptions
  std::unordered_map<int32_t, float> logit_bias{};
  int min_tokens = 0;                        // the answer does not end before it has so many
  std::optional<ThinkingBudget> thinking{};  // its max_answer is max_tokens where unset
  std::vector<LogitProcessor> processors{};  // after all others
  std::optional<SpeculativeDecoding> speculative{};
  std::function<int32_t(std::span<float>)> pick{};  // instead of the sampler, when given
  std::vector<std::string> stop_strings{};  // texts that end the answer; they are not part of it
  std::stop_token stop{};                   // ends the answer early, without an error
  bool log_probabilities = false;           // of the tokens, after the processors, with each chunk
  int top_log_probabilities = 0;            // and so many of the likeliest tokens beside each
  Precision precision = Precision::balanced;

  // What the fields above amount to. They throw ValueError for a number outside its range.
  SampleOptions sampling() const;
  CacheOptions caching() const;  // float16, or float32 in exact mode
  // In mlx-lm's order: bias, repetition, presence, frequency; then min_tokens, thinking and
  // `processors`. `stop_ids` are the tokens that end an answer. Empty when there is nothing to do.
  LogitProcessor processor(const std::vector<int32_t>& stop_ids) const;
};

// Throws ValueError for a number outside its range.
void check(const GenerateParameters& parameters);

}  // namespace tarn::lm
