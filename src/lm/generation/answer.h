// One answer in the making: logits go in, events come out. Whoever runs the model (one sequence,
// a draft and its judge, a batch) feeds it.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tarn/lm/generate.h"

namespace tarn::lm {

// Text without what ends an answer. Only an end that may still become a stop string is held back.
class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  std::string feed(const std::string& piece);
  std::string finish() { return std::exchange(held_, {}); }
  // One was found: nothing comes after it.
  bool found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_{};
  bool found_ = false;
};

class Answer {
 public:
  // Throws ValueError when the parameters or the prompt cannot be used.
  Answer(std::shared_ptr<const LanguageModel> model, LMInput input,
         const GenerateParameters& parameters);

  const LanguageModel& model() const { return *model_; }
  const std::shared_ptr<const LanguageModel>& shared_model() const { return model_; }
  const GenerateParameters& parameters() const { return parameters_; }
  // The prompt, and behind it the answer so far.
  const std::vector<int32_t>& tokens() const { return tokens_; }
  std::span<const int32_t> prompt() const { return {tokens_.data(), prompt_size_}; }

  // The clock starts. It may finish at once.
  void begin();
  // Chooses the token that follows tokens(), from the logits (vocabulary,) after them, and takes
  // it.
  int32_t step(std::span<const float> logits);
  // Whether that is the likeliest, whatever came before, and nothing else is asked of the logits:
  // who finds it where they were computed calls step with it.
  bool takes_likeliest() const;
  void step(int32_t likeliest);
  void finish(const char* reason);
  bool finished() const { return finished_; }
  bool cancel_requested() const { return parameters_.stop.stop_requested(); }
  // The oldest event that was not given out yet. False: there is none now.
  bool next(Event& event);

  GenerationInfo info{};

 private:
  void note_first_token();
  void take(int32_t id);
  bool is_mark(int32_t id) const;
  void take_text(const std::string& text);
  void take_parts(std::vector<ReasoningReader::Part> parts);
  void take_answer(const std::string& text);
  void add_parts(std::vector<ToolCallParser::Part> parts);
  void flush();
  bool is_stop(int32_t id) const;
  bool is_full() const;

  std::shared_ptr<const LanguageModel> model_;
  GenerateParameters parameters_;
  std::vector<int32_t> tokens_;
  size_t prompt_size_;
  LogitProcessor processor_;
  Sampler sampler_;
  StreamingDetokenizer detokenizer_;
  StopStrings stops_;
  std::optional<ReasoningReader> thoughts_{};
  std::optional<ToolCallParser> tools_{};
  std::vector<float> row_{};  // logits that processors may change
  Event pending_{};           // what no event shows yet
  std::deque<Event> ready_{};
  std::chrono::steady_clock::time_point started_{}, first_token_{};
  bool finished_ = false;
};

}  // namespace tarn::lm
