#include "conversation.h"

#include <unistd.h>

#include "base/require.h"
#include "terminal.h"
#include "word_wrap.h"

namespace tarn::cli {

std::string AnswerStatistics::line() const {
  std::string text =
      fmt::format("{} token{}", info.generated_tokens, info.generated_tokens == 1 ? "" : "s");
  if (info.generated_tokens > 1) text += fmt::format(" at {:.1f}/s", info.tokens_per_second());
  text += fmt::format(" · first after {:.2f} s · prompt {}", first_token_seconds,
                      info.prompt_tokens - info.cached_tokens);
  if (info.cached_tokens > 0) text += fmt::format(" (+{} kept)", info.cached_tokens);
  text += fmt::format(" at {:.0f}/s", info.prompt_tokens_per_second());
  if (uint64_t memory = anonymous_memory()) {
    text += " · " + bytes_text(static_cast<double>(memory));
  }
  return text;
}

struct AnswerOutput::Screen {
  Terminal terminal{STDOUT_FILENO};
  SafeText safe{};
  WordWrap wrap{};

  std::string shown(std::string_view piece) {
    std::string text = safe.feed(piece);
    return terminal.has_controls() ? wrap.feed(text, terminal.columns()) : text;
  }
};

AnswerOutput::AnswerOutput() : screen_(std::make_unique<Screen>()) {
  if (!screen_->terminal.is_terminal()) screen_.reset();
}
AnswerOutput::~AnswerOutput() = default;

void AnswerOutput::write(std::string_view piece) {
  write_all(STDOUT_FILENO, screen_ ? screen_->shown(piece) : std::string(piece), "standard output");
}

void AnswerOutput::finish() {
  std::string rest = screen_ ? screen_->safe.finish() : "";
  write_all(STDOUT_FILENO, rest + "\n", "standard output");
}

Conversation::Conversation(lm::LanguageModel model, AnswerOptions options)
    : model_(std::move(model)), options_(std::move(options)) {}

void Conversation::set_options(AnswerOptions options) {
  // What is remembered is stored in the precision's own type.
  if (options.precision != options_.precision) session_ = {};
  options_ = std::move(options);
}

void Conversation::set_system(std::string text) { system_ = std::move(text); }

void Conversation::clear() {
  messages_.clear();
  session_ = {};
}

std::vector<int32_t> Conversation::prompt_ids() const {
  std::vector<lm::Message> all;
  if (!system_.empty()) all.push_back({"system", system_});
  all.insert(all.end(), messages_.begin(), messages_.end());
  std::vector<int32_t> ids = model_.encode_chat(all);
  int64_t context = model_.model.shape().context;
  require(context == 0 || static_cast<int64_t>(ids.size()) < context,
          "[chat] with this message the conversation has {} tokens and the model's context {}: {}",
          ids.size(), context,
          messages_.size() > 1 ? "/clear begins a new one." : "the message must be shorter.");
  return ids;
}

AnswerStatistics Conversation::ask(const std::string& question, std::stop_token stop,
                                   const OnPiece& on_piece) {
  AnswerStatistics statistics;
  statistics.context = model_.model.shape().context;
  double start = now_seconds();
  std::string answer;
  messages_.push_back({"user", question});
  try {
    lm::GenerateOptions options = options_.to_generate();
    options.stop = std::move(stop);
    for (const lm::Event& event : lm::generate(model_, prompt_ids(), options, &session_)) {
      if (event.kind == lm::Event::Kind::info) {
        statistics.info = event.info;
        continue;
      }
      if (answer.empty()) statistics.first_token_seconds = now_seconds() - start;
      answer += event.text;
      on_piece(event.text);
    }
  } catch (...) {
    messages_.pop_back();
    throw;
  }
  const lm::GenerationInfo& info = statistics.info;
  int64_t used = int64_t{info.prompt_tokens} + info.generated_tokens;
  statistics.is_context_full =
      info.finish_reason == "length" && statistics.context > 0 && used >= statistics.context;
  if (answer.empty() && info.finish_reason == "cancelled") {
    messages_.pop_back();  // stopped before it began: as if it had not been asked
  } else {
    messages_.push_back({"assistant", std::move(answer)});
  }
  return statistics;
}

}  // namespace tarn::cli
