// Answers as a range of events: pieces of text as they come, then one with the statistics.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tarn/lm/load.h"
#include "tarn/lm/sample.h"
#include "tarn/ops/quantized.h"

namespace tarn::lm {

struct GenerateOptions {
  int max_tokens = 256;
  SampleOptions sample{};
  Precision precision = Precision::balanced;
  std::vector<std::string> stop_strings{};  // texts that end the answer; they are not part of it
  std::stop_token stop{};                   // ends the answer early, without an error
  bool log_probabilities = false;
  int prefill_step = 512;  // prompt tokens computed at a time
};

struct GenerationInfo {
  int prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  double prompt_seconds = 0, generate_seconds = 0;  // to the first token; from it on
  double prompt_tokens_per_second() const;
  double tokens_per_second() const;
  std::string finish_reason{};  // "stop", "length" or "cancelled"
};

struct Event {
  enum class Kind : uint8_t { piece, info } kind = Kind::piece;
  std::string text{};               // piece: what the tokens so far completed
  std::vector<int32_t> ids{};       // piece: the tokens behind it
  std::vector<double> log_probs{};  // piece: theirs, when asked for
  GenerationInfo info{};            // info: the last event
};

// What a model remembers between answers: the tokens it has seen and their keys and values.
// Continuing with a prompt that begins the same way computes only what is new.
struct Session {
  std::vector<int32_t> tokens{};
  Pass pass{};
};

// An input range: `for (auto& event : generate(model, prompt))`. Errors are thrown from it.
class Generation {
 public:
  struct State;
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    using pointer = const Event*;
    using reference = const Event&;
    explicit Iterator(State* state = nullptr) : state_(state) {}
    const Event& operator*() const;
    const Event* operator->() const { return &**this; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& a, std::default_sentinel_t) { return !a.state_; }

   private:
    State* state_;
  };

  explicit Generation(std::shared_ptr<State> state) : state_(std::move(state)) {}
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

 private:
  std::shared_ptr<State> state_;
};

// `session`, when given, must outlive the range and must not be used by another one meanwhile.
Generation generate(const LanguageModel& model, std::vector<int32_t> prompt,
                    const GenerateOptions& options = {}, Session* session = nullptr);
// One user message through the chat template, answered whole.
std::string respond(const LanguageModel& model, const std::string& message,
                    const GenerateOptions& options = {});

// Natural logarithms of the probability of each token after the first, given those before it.
std::vector<double> token_log_probabilities(const LanguageModel& model,
                                            const std::vector<int32_t>& tokens,
                                            Precision precision = Precision::balanced);

}  // namespace tarn::lm
