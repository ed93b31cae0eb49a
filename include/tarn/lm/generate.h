// Answers as a range of events: chunks of text as they come, then one with the statistics.
#pragma once

#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/load.h"
#include "tarn/lm/parameters.h"
#include "tarn/lm/tools.h"

namespace tarn::lm {

struct GenerationInfo {
  int prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  double prompt_seconds = 0, generate_seconds = 0;           // to the first token; from it on
  std::string finish_reason{};                               // "stop", "length" or "cancelled"
  int proposed_draft_tokens = 0, accepted_draft_tokens = 0;  // of speculative decoding
  int model_calls = 0;                                       // after the prompt
  int rejected_tool_calls = 0;

  double prompt_tokens_per_second() const;
  double tokens_per_second() const;
};

struct Event {
  enum class Kind : uint8_t {
    chunk,
    reasoning,  // a chunk of a thought, where GenerateParameters::reasoning asks for it
    tool_call,
    rejected_tool_call,
    info
  } kind = Kind::chunk;
  std::string text{};               // chunk, reasoning: what the tokens so far completed
  std::vector<int32_t> ids{};       // the tokens behind a chunk or a call
  std::vector<double> log_probs{};  // theirs, when asked for
  std::vector<std::vector<TokenLogProbability>> top_log_probs{};  // beside each, when asked for
  ToolCall call{};                                                // tool_call
  RejectedToolCall rejected{};                                    // rejected_tool_call
  GenerationInfo info{};                                          // info: the last event
};

// What a model remembers between answers: the tokens it has seen and their keys and values.
// Continuing with a prompt that begins the same way computes only what is new.
struct Session {
  std::vector<int32_t> tokens{};
  Pass pass{};
  // Positions behind them that were recorded and, since an answer was stopped, not computed: what
  // goes on from here computes them along with its own.
  size_t unfinished = 0;
};

// An input range: `for (auto& event : generate(model, prompt))`. Errors are thrown from it; an
// answer that is cancelled ends with an info event. Copies are the same range. Whoever drops it
// before its end cancels the answer.
class Generation {
 public:
  // Where events come from.
  struct Source {
    virtual ~Source() = default;
    // False: there are no more.
    virtual bool next(Event& event) = 0;
  };
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    using pointer = const Event*;
    using reference = const Event&;
    explicit Iterator(Generation* range = nullptr) : range_(range) {}
    const Event& operator*() const { return range_->event_; }
    const Event* operator->() const { return &**this; }
    Iterator& operator++() {
      if (!range_->source_->next(range_->event_)) range_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& a, std::default_sentinel_t) { return !a.range_; }

   private:
    Generation* range_;
  };

  explicit Generation(std::shared_ptr<Source> source) : source_(std::move(source)) {}
  Iterator begin() { return ++Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::shared_ptr<Source> source_;
  Event event_{};
};

// A prompt as the model reads it, and the tools that it was told of.
struct LMInput {
  std::vector<int32_t> tokens{};
  std::vector<ToolSpec> tools{};
};

// `model` and `session`, when given, must outlive the range; `session` must not be used by another
// range meanwhile.
Generation generate(const LanguageModel& model, std::vector<int32_t> prompt,
                    const GenerateParameters& parameters = {}, Session* session = nullptr);
// The range keeps the model. Tools' calls come as events of their own.
Generation generate(std::shared_ptr<const LanguageModel> model, LMInput input,
                    const GenerateParameters& parameters = {}, Session* session = nullptr);
// Each event goes to `on_event` until the answer ends or it returns false, which cancels the rest.
GenerationInfo for_each_event(Generation generation,
                              const std::function<bool(const Event&)>& on_event);
// The text of an answer, without thoughts that come as events of their own.
std::string text_of(Generation generation);
// One user message through the chat template, answered whole.
std::string respond(const LanguageModel& model, const std::string& message,
                    const GenerateParameters& parameters = {});

// Natural logarithms of the probability of each token after the first, given those before it.
std::vector<double> token_log_probabilities(const LanguageModel& model,
                                            const std::vector<int32_t>& tokens,
                                            Precision precision = Precision::balanced);

}  // namespace tarn::lm
