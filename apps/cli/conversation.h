// A conversation with a model: its messages, what the model remembers of them, and its answers.
#pragma once

#include <functional>
#include <map>
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

class Conversation {
 public:
  Conversation(lm::LanguageModel model, AnswerOptions options);

  std::shared_ptr<const lm::LanguageModel> model() const { return session_.container().model(); }
  const AnswerOptions& options() const { return options_; }
  void set_options(AnswerOptions options) { options_ = std::move(options); }
  // What the model is told before everything else; empty: what its template says by itself.
  const std::string& system() const { return session_.options().instructions; }
  void set_system(std::string text);
  // Which of the model's adapters answers use; none when the name is empty.
  const nn::AdapterChoice& adapter() const { return adapter_; }
  void set_adapter(nn::AdapterChoice choice) { adapter_ = std::move(choice); }
  // Puts the adapter of a folder into the model, to be chosen by the name that is returned. One of
  // the same folder takes the place of the one before.
  std::string load_adapter(const std::string& folder);
  void clear() { session_.clear(); }
  void save(const std::string& file) const { session_.save(file); }
  void restore(const std::string& file) { session_.restore(file); }

  using OnPiece = std::function<void(std::string_view piece, bool is_thought)>;
  // Asks and passes the answer on as it comes, and before it what a model that thinks has thought,
  // which is not kept. A stopped answer is kept as far as it came; when it
  // fails, the conversation is as it was before the question. Throws ValueError when the
  // conversation no longer fits the model's context.
  AnswerStatistics ask(const std::string& question, std::stop_token stop, const OnPiece& on_piece);

  int questions() const;
  // Tokens that the model remembers now.
  size_t remembered_tokens() const { return session_.remembered_tokens(); }

 private:
  lm::ChatSession session_;
  AnswerOptions options_;
  nn::AdapterChoice adapter_{};
  std::map<std::string, std::string> names_{};  // of adapters that were loaded, by their folders
};

}  // namespace tarn::cli
