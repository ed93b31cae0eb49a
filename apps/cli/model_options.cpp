#include "model_options.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/printable.h"
#include "base/require.h"
#include "hub_verbs.h"
#include "progress.h"
#include "terminal.h"

namespace tarn::cli {

void ModelOptions::add_to(Arguments& arguments) {
  arguments.text("-m,--model", path,
                 "a GGUF file, a folder with safetensors, or org/name on a hub\n(default: "
                 "$TARN_MODEL, or the one that `make chat` fetches)");
  arguments.flag("--offline", is_offline, "uses what is in the cache, asks no hub");
  arguments.flag("--force", is_forced, "loads it even if it seems not to fit into memory");
  arguments.number("--threads", threads, "threads to compute with; 0: all there are", {0, 1024});
}

lm::ModelConfiguration ModelOptions::configuration() const {
  if (path.empty()) return {.directory = lm::default_model_path()};
  std::error_code error;
  if (std::filesystem::exists(path, error)) return {.directory = path};
  lm::ModelRegistry pinned = registry_of("tarn.lock");  // of this folder
  if (!pinned.find(path) && !is_hub_name(path)) return {.directory = path};
  return pinned.configuration(path);
}

std::filesystem::path ModelOptions::fetch(const lm::ModelConfiguration& model) const {
  if (!model.directory.empty()) return model.directory;
  try {
    return fetch_with_bar(patient_client(is_offline), model, false);
  } catch (const lm::HubError& error) {
    bool mistyped =
        error.reason() == lm::HubReason::network || error.reason() == lm::HubReason::not_found;
    if (!mistyped || path.empty()) throw;
    throw lm::HubError(error.reason(), fmt::format("{} There is no file or folder {} here.",
                                                   error.what(), printable(path)));
  }
}

std::string ModelOptions::name() const {
  std::error_code error;
  if (!path.empty() && !std::filesystem::exists(path, error)) return path;  // a name, not a file
  return (path.empty() ? lm::default_model_path() : std::filesystem::path(path)).stem().string();
}

void AnswerOptions::add_to(Arguments& a) {
  a.number("--temp,--temperature", temperature, "0: always the likeliest token", {0, 100});
  a.number("--top-p", top_p, "the fewest tokens that are together this likely", {0, 1});
  a.number("--top-k", top_k, "the so many likeliest tokens; 0: all", {});
  a.number("--min-p", min_p, "tokens this likely relative to the likeliest", {0, 1});
  a.number("--repetition-penalty", repetition_penalty, "above 1: repeats become less likely",
           {0.01, 100});
  a.number("--max-tokens", max_tokens, "the longest answer", {0});
  a.number("--seed", seed, "makes the choice of tokens repeatable");
  a.choice("--precision", precision, {"balanced", "exact"}, "exact: activations stay in float32");
}

lm::GenerateParameters AnswerOptions::to_generate() const {
  lm::GenerateParameters options;
  options.max_tokens = max_tokens;
  options.temperature = temperature;
  options.top_p = top_p;
  options.top_k = top_k;
  options.min_p = min_p;
  if (repetition_penalty != 1) options.repetition_penalty = repetition_penalty;
  options.seed = seed;
  options.precision = precision == "exact" ? Precision::exact : Precision::balanced;
  lm::check(options);
  return options;
}

lm::LanguageModel load_model(const ModelOptions& options, const distributed::Group* divided) {
  if (options.threads > 0) {
    // Read when the first computation starts the threads.
    setenv("TARN_NUM_THREADS", std::to_string(options.threads).c_str(), 1);
  }
  lm::ModelConfiguration configuration = options.configuration();
  std::filesystem::path path = options.fetch(configuration);
  InterruptScope interrupt;
  std::optional<Progress> progress;
  lm::LoadOptions load;
  load.stop = interrupt.token();
  load.force = options.is_forced;
  load.progress = [&](uint64_t done, uint64_t total) {
    if (!progress) {
      ProgressOptions bar;
      bar.label = "Loading " + safe_text(path.filename().string());
      bar.total = total;
      progress.emplace(std::move(bar));
    }
    progress->update(done);
  };
  lm::LanguageModel model = divided ? lm::load_divided(path, *divided, load) : lm::load(path, load);
  if (configuration.directory.empty()) lm::apply(configuration, model);
  return model;
}

bool parse_or_help(Arguments& arguments, const std::vector<std::string>& words) {
  if (arguments.parse(words)) return true;
  write_all(STDOUT_FILENO, arguments.help(), "standard output");
  return false;
}

uint64_t anonymous_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  return 0;
}

std::string bytes_text(double bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(units)) bytes /= 1000, ++unit;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 || bytes >= 99.95 ? 0 : 1, units[unit]);
}

std::string read_standard_input(size_t limit) {
  std::string text;
  char block[1 << 16];
  for (;;) {
    ssize_t got = ::read(STDIN_FILENO, block, sizeof block);
    if (got == 0) return text;
    if (got < 0) {
      require<FileError>(errno == EINTR, "[input] standard input: {}.", std::strerror(errno));
      continue;
    }
    text.append(block, static_cast<size_t>(got));
    require(text.size() <= limit, "[input] standard input has more than {} MiB.", limit >> 20);
  }
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace tarn::cli
