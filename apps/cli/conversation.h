// A conversation with a model: its messages, what the model remembers of them, and its answers.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "model_options.h"
#include "tarn/lm.h"

namespace tarn::cli {

// What one answer took.
struct AnswerStatistics {
  lm::GenerationInfo info{};
  double first_token_seconds = 0;  // from the question on, with template and tokenizer
  int64_t context = 0;             // of the model; 0: not limited
  bool is_context_full = false;    // the answer ended because nothing more fits

  // "24 tokens at 45.2/s · first after 0.21 s · prompt 12 (+98 kept) at 210/s · 180 MB".
  std::string line() const;
};

// Writes an answer: on a terminal safe and broken between words, elsewhere as it is.
class AnswerOutput {
 public:
  AnswerOutput();
  ~AnswerOutput();
  AnswerOutput(const AnswerOutput&) = delete;
  AnswerOutput& operator=(const AnswerOutput&) = delete;

  void write(std::string_view piece);
  // What was held back, and the end of the line.
  void finish();

 private:
  struct Screen;
  std::unique_ptr<Screen> screen_;  // none when standard output is not a terminal
};

class Conversation {
 public:
  Conversation(lm::LanguageModel model, AnswerOptions options);

  const lm::LanguageModel& model() const { return model_; }
  const AnswerOptions& options() const { return options_; }
  void set_options(AnswerOptions options);
  // What the model is told before everything else; empty: what its template says by itself.
  const std::string& system() const { return system_; }
  void set_system(std::string text);
  void clear();

  using OnPiece = std::function<void(std::string_view)>;
  // Asks and passes the answer on as it comes. A stopped answer is kept as far as it came; when it
  // fails, the conversation is as it was before the question. Throws ValueError when the
  // conversation no longer fits the model's context.
  AnswerStatistics ask(const std::string& question, std::stop_token stop, const OnPiece& on_piece);

  int questions() const { return static_cast<int>(messages_.size()) / 2; }
  // Tokens that the model remembers now.
  size_t remembered_tokens() const { return session_.tokens.size(); }

 private:
  std::vector<int32_t> prompt_ids() const;

  lm::LanguageModel model_;
  AnswerOptions options_;
  std::string system_{};
  std::vector<lm::Message> messages_{};  // question, answer, question …
  lm::Session session_{};
};

}  // namespace tarn::cli
