#include "conversation.h"

#include <algorithm>
#include <filesystem>

#include "adapter_options.h"
#include "base/require.h"
#include "terminal.h"

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

Conversation::Conversation(lm::LanguageModel model, AnswerOptions options)
    : session_(lm::ModelContainer(std::move(model))), options_(std::move(options)) {}

void Conversation::set_system(std::string text) {
  session_.options().instructions = std::move(text);
}

std::string Conversation::load_adapter(const std::string& folder) {
  auto adapter = lm::LoRAContainer::from(folder);
  std::string& name = names_[std::filesystem::weakly_canonical(folder).string()];
  bool is_new = name.empty();
  std::string as = is_new ? name_for(adapter, folder, *model()) : name;
  lm::ModelContainer container = session_.container();
  container.update([&](lm::LanguageModel& lm) {
    if (!is_new) lm::unload_adapter(lm, as);
    adapter.load(lm, {.name = as, .on_request = true});
  });
  return name = as;
}

AnswerStatistics Conversation::ask(const std::string& question, std::stop_token stop,
                                   const OnPiece& on_piece) {
  AnswerStatistics statistics;
  statistics.context = model()->model.shape().context;
  double start = now_seconds();
  bool has_begun = false;
  session_.options().parameters = options_.to_generate();
  session_.options().parameters.adapter = adapter_;
  session_.options().parameters.reasoning = lm::reasoning_of(*model());
  session_.options().parameters.stop = std::move(stop);
  for (const lm::Event& event : session_.stream(question)) {
    if (event.kind == lm::Event::Kind::info) statistics.info = event.info;
    if (event.text.empty()) continue;
    if (!std::exchange(has_begun, true)) statistics.first_token_seconds = now_seconds() - start;
    on_piece(event.text, event.kind == lm::Event::Kind::reasoning);
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
