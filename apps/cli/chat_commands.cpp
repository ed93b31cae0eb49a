#include "chat_commands.h"
#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tarn/error.h"
#include "tarn/memory.h"
#include "terminal.h"

namespace tarn::cli {
namespace {

struct Context {
  Conversation& conversation;
  const AnswerStatistics* last;
};
using Run = CommandResult (*)(Context context, const std::string& rest);

struct Command {
  const char* name;
  const char* argument;
  const char* summary;
  Run run;
  bool is_for_one = false;  // every rank of a group would read or write the same file
};

std::string trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n") + 1 - begin));
}

CommandResult complaint(std::string text) { return {std::move(text), true, false}; }

CommandResult clear(Context c, const std::string&) {
  c.conversation.clear();
  return {"A new conversation."};
}

CommandResult save(Context c, const std::string& rest) {
  if (rest.empty()) return complaint("/save needs the name of a file.");
  c.conversation.save(rest);
  return {"The conversation is in " + rest + "."};
}

CommandResult load(Context c, const std::string& rest) {
  if (rest.empty()) return complaint("/load needs the name of a file.");
  c.conversation.restore(rest);
  int questions = c.conversation.questions();
  return {fmt::format("The conversation of {} question{} goes on.", questions,
                      questions == 1 ? "" : "s")};
}

CommandResult system(Context c, const std::string& rest) {
  if (rest.empty()) {
    const std::string& now = c.conversation.system();
    return {now.empty()
                ? "No system text but what the model's template says. /system TEXT sets one."
                : now};
  }
  c.conversation.set_system(rest == "off" ? "" : rest);
  return {rest == "off" ? "The system text is gone." : "The system text is set."};
}

std::string known_adapters(const Conversation& chat) {
  std::string text;
  for (const auto& a : chat.model()->adapters)
    if (a.on_request) text += fmt::format("{}{}", text.empty() ? "" : ", ", a.name);
  return text.empty() ? "none; /adapter FOLDER loads one" : text;
}
std::string adapter_text(const Conversation& chat) {
  const auto& now = chat.adapter();
  if (now.name.empty()) return fmt::format("No adapter. There are: {}.", known_adapters(chat));
  return fmt::format("Answers use the adapter {}, scale {:g}. There are: {}.", now.name, now.weight,
                     known_adapters(chat));
}

CommandResult scale_adapter(Context c, const std::string& value) {
  nn::AdapterChoice choice = c.conversation.adapter();
  if (choice.name.empty()) return complaint("No adapter is used: /adapter NAME chooses one.");
  size_t end = 0;
  try {
    choice.weight = std::stof(value, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == 0 || end != value.size() || !std::isfinite(choice.weight))
    return complaint(fmt::format("/adapter scale needs a number, `{}` is none.", value));
  c.conversation.set_adapter(choice);
  return {adapter_text(c.conversation)};
}

CommandResult adapter(Context c, const std::string& rest) {
  Conversation& chat = c.conversation;
  if (rest.empty()) return {adapter_text(chat)};
  if (rest == "scale" || rest.starts_with("scale "))
    return scale_adapter(c, trimmed(rest.substr(5)));
  std::string name = rest == "off" ? "" : rest;
  auto model = chat.model();
  bool known =
      name.empty() || std::any_of(model->adapters.begin(), model->adapters.end(),
                                  [&](const auto& a) { return a.on_request && a.name == name; });
  std::error_code error;
  if (!known && !std::filesystem::is_directory(name, error))
    return complaint(fmt::format("`{}` is no adapter and no folder. There are: {}.", name,
                                 known_adapters(chat)));
  if (!known) name = chat.load_adapter(name);
  chat.set_adapter({name, 1});
  return {adapter_text(chat)};
}

// Names and values of all settings.
std::vector<std::pair<std::string, std::string>> settings(AnswerOptions options) {
  Arguments table("/set", "");
  options.add_to(table);
  auto all = table.defaults();
  for (auto& setting : all)
    if (setting.second.empty()) setting.second = "not set";
  return all;
}

CommandResult show_settings(const AnswerOptions& now) {
  std::string text;
  for (const auto& setting : settings(now))
    text += fmt::format("  {:<20} {}\n", setting.first, setting.second);
  return {text + "/set NAME VALUE changes one."};
}

// The options with one changed. Throws what says that the name or the value is wrong.
AnswerOptions changed(AnswerOptions options, const std::string& name, const std::string& value) {
  if (name == "seed" && (value == "off" || value == "-")) {
    options.seed.reset();
    return options;
  }
  Arguments table("/set", "");
  options.add_to(table);
  table.parse({"--" + name, value});
  options.to_generate();
  return options;
}

CommandResult set(Context c, const std::string& rest) {
  const AnswerOptions& now = c.conversation.options();
  if (rest.empty()) return show_settings(now);
  size_t gap = rest.find_first_of(" \t=");
  std::string name = rest.substr(0, gap);
  std::string value = gap == std::string::npos ? "" : trimmed(rest.substr(gap + 1));
  std::vector<std::string> known;
  for (const auto& setting : settings(now)) {
    known.push_back(setting.first);
    if (setting.first == name && value.empty()) {
      return {fmt::format("{} is {}.", name, setting.second)};
    }
  }
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    std::string near = nearest_name(name, known);
    return complaint(fmt::format(
        "`{}` is not a setting.{}", name,
        near.empty() ? " /set shows what there is." : fmt::format(" Did you mean {}?", near)));
  }
  try {
    c.conversation.set_options(changed(now, name, value));
  } catch (const UsageError& e) {
    return complaint(std::string(e.what()).substr(2));  // "temp: …" of "--temp: …"
  }
  return {fmt::format("{} is {}.", name, value)};
}

CommandResult stats(Context c, const std::string&) {
  const Conversation& chat = c.conversation;
  auto context = chat.model()->model.shape().context;
  std::string text =
      fmt::format("{} question{}, {} of {} tokens of context in use", chat.questions(),
                  chat.questions() == 1 ? "" : "s", chat.remembered_tokens(), context);
  if (c.last) text += "\nThe last answer: " + c.last->line();
  return {text + fmt::format("\nMemory: {} of the process, {} in arrays",
                             bytes_text(static_cast<double>(anonymous_memory())),
                             bytes_text(static_cast<double>(get_active_memory())))};
}

CommandResult quit(Context, const std::string&) { return {"", false, true}; }
CommandResult help(Context c, const std::string& rest);

constexpr Command commands[] = {
    {"/help", "", "this list", help},
    {"/clear", "", "begin a new conversation", clear},
    {"/save", " FILE", "keep the conversation in a file", save, true},
    {"/load", " FILE", "go on with the conversation of a file", load, true},
    {"/system", " TEXT", "what the model is told first; `off` removes it", system},
    {"/adapter", " NAME", "a name, a folder, `off`, or `scale` and a number", adapter, true},
    {"/set", " NAME VALUE", "temp, top-p, max-tokens …; /set alone shows all", set},
    {"/stats", "", "tokens, speed and memory", stats},
    {"/quit", "", "leave, as Ctrl-D does", quit},
};

CommandResult help(Context, const std::string&) {
  std::string text;
  for (const Command& c : commands)
    text += fmt::format("  {:<18} {}\n", std::string(c.name) + c.argument, c.summary);
  return {
      text +
      "Ctrl-C stops an answer. A line that ends in \\ goes on with the next; so does what stands\n"
      "between lines of \"\"\". Alt-Enter begins a new line. A message that begins with / is\n"
      "written with two."};
}

}  // namespace

bool is_command(std::string_view input) {
  return input.starts_with('/') && !input.starts_with("//");
}

CommandResult run_command(Conversation& conversation, const AnswerStatistics* last,
                          std::string_view input, int ranks) {
  size_t end = std::min(input.find_first_of(" \t\n"), input.size());
  std::string name(input.substr(0, end));
  if (name == "/exit" || name == "/bye" || name == "/q") name = "/quit";
  if (name == "/?") name = "/help";
  std::vector<std::string> known;
  for (const Command& c : commands) {
    if (name == c.name) {
      if (c.is_for_one && ranks > 1)
        return complaint(
            fmt::format("{} is for a chat of one process; this one has {}.", name, ranks));
      try {
        return c.run({conversation, last}, trimmed(input.substr(end)));
      } catch (const std::exception& e) {
        return complaint(e.what());
      }
    }
    known.emplace_back(c.name);
  }
  std::string near = nearest_name(name, known);
  return complaint(fmt::format("{} is not a command. {}", safe_text(name),
                               near.empty() ? "/help lists them; // begins a message with a slash."
                                            : fmt::format("Did you mean {}?", near)));
}

std::vector<std::string> complete_command(std::string_view start) {
  std::vector<std::string> found;
  for (const Command& c : commands) {
    if (std::string_view(c.name).starts_with(start)) found.emplace_back(c.name);
  }
  constexpr std::string_view set_start = "/set ";
  if (start.starts_with(set_start)) {
    for (const auto& setting : settings({})) {
      std::string text = std::string(set_start) + setting.first + " ";
      if (text.starts_with(start)) found.push_back(text);
    }
  }
  return found;
}

}  // namespace tarn::cli
