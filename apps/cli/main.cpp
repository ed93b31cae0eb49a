// The tarn program: a table of verbs.
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "arguments.h"
#include "base/text.h"
#include "model_options.h"
#include "tarn/error.h"
#include "tarn/io.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct Verb {
  const char* name;
  const char* summary;
  int (*run)(const Words& arguments);
};

constexpr Verb verbs[] = {
    {"chat", "talk with a language model", chat},
    {"generate", "answer one prompt; --json gives ids and probabilities", generate},
    {"train", "teach a model your examples", train},
    {"eval", "how well a model does on examples, with and without adapters", eval},
    {"research", "tries variants of a training run, keeps what is better", research},
    {"tokenize", "text to token ids and back", tokenize},
    {"pull", "bring a model from a hub into the cache", pull},
    {"ls", "the models in the cache", ls},
    {"show", "a model's files, sizes and hashes", show},
    {"rm", "remove models from the cache", rm},
    {"verify", "compare the models in the cache with their hashes", verify},
    {"du", "the space that models take", du},
    {"convert", "a model's files quantised, dequantised or as GGUF", convert},
    {"plan", "how much memory a model takes, before it is loaded", plan},
    {"fuse", "a model's files with adapters folded in", fuse},
    {"merge", "another name of fuse", merge},
    {"launch", "run a program as several processes that exchange arrays", launch},
    {"bench", "how fast this machine runs a model", bench},
    {"ops", "the array operations and their kernels", ops},
    {"doctor", "what the program found on this machine, and what is wrong with it", doctor},
};

std::string help() {
  std::string text = "Usage: tarn VERB [OPTIONS]\n\n";
  for (const Verb& v : verbs) text += fmt::format("  {:<9} {}\n", v.name, v.summary);
  return text + "\n`tarn VERB --help` tells a verb's options, `tarn --version` the version.\n";
}

const Verb& find_verb(const std::string& name) {
  Words names;
  for (const Verb& v : verbs) {
    if (name == v.name) return v;
    names.emplace_back(v.name);
  }
  std::string near = nearest_name(name, names);
  throw UsageError(fmt::format(
      "`{}` is not a verb. {}", name,
      near.empty() ? "`tarn --help` lists them." : fmt::format("Did you mean `tarn {}`?", near)));
}

int run(Words words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" ||
      (words[0] == "help" && words.size() == 1)) {
    write_all(STDOUT_FILENO, help(), "standard output");
    return 0;
  }
  if (words[0] == "--version" || words[0] == "-V" || words[0] == "version") {
    write_all(STDOUT_FILENO, "tarn " TARN_VERSION "\n", "standard output");
    return 0;
  }
  if (words[0] == "help") words = {words[1], "--help"};
  const Verb& verb = find_verb(words[0]);
  words.erase(words.begin());
  return verb.run(words);
}

// A mapped file that somebody cut off is found out when its missing part is read.
void on_bus_error(int, siginfo_t* info, void*) {
  const char* name = name_of_mapped_file(info->si_addr);
  for (const char* part :
       {"tarn: [load] ", name ? name : "a mapped file", " became shorter while it was in use.\n"}) {
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, part, std::strlen(part));
  }
  _exit(1);
}

void catch_bus_errors() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

int complain(const std::string& text, int status) {
  try {
    say("tarn: " + safe_text(text) + "\n");
  } catch (...) {  // nobody is left to tell; the status says it
  }
  return status;
}

constexpr int interrupted = 130;

int guarded_run(const Words& words) {
  try {
    return run(words);
  } catch (const OutputClosed&) {
    return OutputClosed::status;
  } catch (const UsageError& e) {
    return complain(e.what(), UsageError::status);
  } catch (const Cancelled&) {
    return interrupted;
  } catch (const std::bad_alloc&) {
    return complain("[memory] there is not enough memory for this.", 1);
  } catch (const std::exception& e) {
    return complain(e.what(), 1);
  }
}

}  // namespace
}  // namespace tarn::cli

int main(int argc, char** argv) {
  tarn::cli::open_standard_descriptors();
  tarn::cli::ignore_sigpipe();
  tarn::cli::catch_bus_errors();
  return tarn::cli::guarded_run(tarn::cli::Words(argv + 1, argv + argc));
}
