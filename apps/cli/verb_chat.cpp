#include <unistd.h>

#include <csignal>

#include "adapter_options.h"
#include "answer_output.h"
#include "base/text.h"
#include "chat_commands.h"
#include "conversation.h"
#include "line_editor.h"
#include "tarn/error.h"
#include "terminal.h"
#include "together.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

constexpr int interrupted = 130;

void say_statistics(const AnswerStatistics& statistics) {
  Terminal terminal(STDERR_FILENO);
  if (!terminal.is_terminal()) return;
  std::string line = cut_to_width(statistics.line(), terminal.columns() - 1);
  say(terminal.styled(Style::dim, line) + "\n");
}

// Why an answer ended before the model ended it; empty when it did.
std::string why_cut(const AnswerStatistics& statistics, int max_tokens) {
  const lm::GenerationInfo& info = statistics.info;
  if (statistics.is_context_full) {
    return fmt::format(
        "The answer ends here: the conversation has {} tokens and the model's context {}. /clear "
        "begins a new one.",
        info.prompt_tokens + info.generated_tokens, statistics.context);
  }
  if (info.finish_reason == "length") {
    return fmt::format("The answer ends here: it has the most tokens allowed, {} (max-tokens).",
                       max_tokens);
  }
  return "";
}

// Asks, streams the answer to standard output and says on standard error what there is to say.
AnswerStatistics answer(Conversation& conversation, const std::string& question) {
  InterruptScope interrupt;
  AnswerOutput output(STDOUT_FILENO);
  AnswerStatistics statistics = conversation.ask(
      question, interrupt.token(),
      [&](std::string_view piece, bool is_thought) { output.write(piece, is_thought); });
  output.finish();
  Terminal terminal(STDERR_FILENO);
  std::string note = statistics.info.finish_reason == "cancelled"
                         ? "Stopped."
                         : why_cut(statistics, conversation.options().max_tokens);
  if (!note.empty()) say(terminal.styled(Style::yellow, note) + "\n");
  say_statistics(statistics);
  return statistics;
}

int answer_once(Conversation& conversation, const std::string& prompt) {
  AnswerStatistics statistics = answer(conversation, prompt);
  return statistics.info.finish_reason == "cancelled" ? interrupted : 0;
}

// A conversation by lines: from a person at a terminal, or each line of a pipe a message.
class ChatLoop {
 public:
  ChatLoop(LineEditor& editor, Conversation& conversation, std::string model_name,
           distributed::Group group)
      : editor_(editor),
        conversation_(conversation),
        model_name_(std::move(model_name)),
        group_(std::move(group)) {}

  int run() {
    if (editor_.is_interactive()) {
      std::signal(SIGINT, SIG_IGN);  // between answers there is nothing to stop
      greet();
    }
    Terminal terminal(STDOUT_FILENO);
    std::string prompt = terminal.styled(Style::bold, "> ");
    while (!has_quit_) {
      std::optional<std::string> input = next(prompt);
      if (!input) break;
      if (input->find_first_not_of(" \t\n") == std::string::npos) continue;
      editor_.remember(*input);
      take(*input);
    }
    return status_;
  }

 private:
  // Every rank takes what the first reads.
  std::optional<std::string> next(const std::string& prompt) {
    auto input = group_.rank() == 0 ? editor_.read(prompt) : std::nullopt;
    if (group_.size() == 1) return input;
    std::string text = from_first(group_, input ? "+" + *input : "");
    return text.empty() ? std::nullopt : std::optional(text.substr(1));
  }
  void greet() {
    Terminal terminal(STDERR_FILENO);
    std::string line = safe_text(model_name_);
    int64_t context = conversation_.model()->model.shape().context;
    if (context > 0) line += fmt::format(" · context {}", context);
    line += " · /help lists commands, Ctrl-D leaves";
    say(terminal.styled(Style::dim, cut_to_width(line, terminal.columns() - 1)) + "\n");
  }

  void take(std::string input) {
    try {
      if (is_command(input)) {
        command(input);
      } else {
        if (input.starts_with("//")) input.erase(0, 1);
        last_ = answer(conversation_, input);
        has_last_ = true;
        // A pipe has nobody who could go on after Ctrl-C.
        if (!editor_.is_interactive() && last_.info.finish_reason == "cancelled") {
          has_quit_ = true;
          status_ = interrupted;
        }
      }
    } catch (const Error& e) {
      if (group_.size() > 1) throw;  // another rank may have gone on
      complain(e.message());
    }
  }

  void command(const std::string& input) {
    CommandResult result =
        run_command(conversation_, has_last_ ? &last_ : nullptr, input, group_.size());
    has_quit_ = result.quits;
    if (result.is_error) {
      complain(result.text);
    } else if (!result.text.empty()) {
      say(safe_text(result.text) + "\n");
    }
  }

  // The chat goes on; a script learns of it from the exit status.
  void complain(const std::string& text) {
    say(Terminal(STDERR_FILENO).styled(Style::red, safe_text(text)) + "\n");
    if (!editor_.is_interactive()) status_ = 1;
  }

  LineEditor& editor_;
  Conversation& conversation_;
  std::string model_name_;
  distributed::Group group_;
  AnswerStatistics last_{};
  bool has_last_ = false;
  bool has_quit_ = false;
  int status_ = 0;
};

constexpr const char* footer =
    "Without --prompt it reads messages from the terminal, or one a line from a pipe.\n"
    "Answers go to standard output, everything else to standard error.";

}  // namespace

int chat(const Words& words) {
  ModelOptions model;
  AnswerOptions options;
  AdapterOptions adapters;
  options.temperature = 0.6f;
  options.top_p = 0.9f;
  options.max_tokens = 1024;
  std::string system, prompt;
  Arguments arguments("tarn chat", "Talks with a language model.");
  model.add_to(arguments);
  adapters.add_to(arguments);
  arguments.text("-s,--system", system, "what the model is told before everything else");
  arguments.text("-p,--prompt", prompt, "answer this and end");
  options.add_to(arguments);
  arguments.footer(footer);
  if (!parse_or_help(arguments, words)) return 0;

  options.to_generate();  // a wrong number is better said before the model is loaded
  bool is_once = arguments.was_given("--prompt");
  std::optional<LineEditor> editor;  // made before the model's threads start
  if (!is_once) editor.emplace(LineEditorOptions{history_file(), complete_command});
  distributed::Group group = distributed::init();
  check_together(group, adapters);
  lm::LanguageModel loaded = load_model(model, &group);
  if (group.size() > 1 && !options.seed) options.seed = common_seed(group);
  if (group.rank() != 0) be_silent();
  nn::AdapterChoice choice = adapters.load_into(loaded);
  Conversation conversation(std::move(loaded), options);
  conversation.set_system(system);
  conversation.set_adapter(choice);
  if (is_once) return answer_once(conversation, prompt);
  return ChatLoop(*editor, conversation, model.name(), group).run();
}

}  // namespace tarn::cli
