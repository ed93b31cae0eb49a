#include "conversation.h"

#include <unistd.h>

#include <algorithm>

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
    : session_(lm::ModelContainer(std::move(model))), options_(std::move(options)) {}

void Conversation::set_system(std::string text) {
  session_.options().instructions = std::move(text);
}

std::string Conversation::load_adapter(const std::string& folder) {
  auto adapter = lm::LoRAContainer::from(folder);
  lm::ModelContainer container = session_.container();
  container.update([&](lm::LanguageModel& lm) { adapter.load(lm, {.on_request = true}); });
  return adapter.name();
}

AnswerStatistics Conversation::ask(const std::string& question, std::stop_token stop,
                                   const OnPiece& on_piece) {
  AnswerStatistics statistics;
  statistics.context = model()->model.shape().context;
  double start = now_seconds();
  bool has_begun = false;
  session_.options().parameters = options_.to_generate();
  session_.options().parameters.adapter = adapter_;
  session_.options().parameters.stop = std::move(stop);
  for (const lm::Event& event : session_.stream(question)) {
    if (event.kind == lm::Event::Kind::info) statistics.info = event.info;
    if (event.text.empty()) continue;
    if (!std::exchange(has_begun, true)) statistics.first_token_seconds = now_seconds() - start;
    on_piece(event.text);
  }
  const lm::GenerationInfo& info = statistics.info;
  int64_t used = int64_t{info.prompt_tokens} + info.generated_tokens;
  statistics.is_context_full =
      info.finish_reason == "length" && statistics.context > 0 && used >= statistics.context;
  return statistics;
}

int Conversation::questions() const {
  const auto& all = session_.messages();
  return static_cast<int>(
      std::count_if(all.begin(), all.end(), [](const lm::Message& m) { return m.role == "user"; }));
}

}  // namespace tarn::cli
