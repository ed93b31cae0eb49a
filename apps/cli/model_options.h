// What the verbs that run a model share: its options, loading it, the statistics of an answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "arguments.h"
#include "tarn/distributed.h"
#include "tarn/lm.h"

namespace tarn::cli {

struct ModelOptions {
  std::string path{};       // or a name on a hub; empty: lm::default_model_path()
  int threads = 0;          // 0: all there are
  bool is_offline = false;  // no hub is asked
  bool is_forced = false;   // also a model that does not fit into memory is loaded

  void add_to(Arguments& arguments);
  // Which model that is; a path is its directory.
  lm::ModelConfiguration configuration() const;
  // What load() takes; downloads it first when it is not in the cache.
  std::filesystem::path fetch(const lm::ModelConfiguration& model) const;
  // What to call it.
  std::string name() const;
};

// How answers are made. The same table serves the command line and /set.
struct AnswerOptions {
  float temperature = 0, top_p = 1, min_p = 0, repetition_penalty = 1;
  int top_k = 0, max_tokens = 256;
  std::optional<uint64_t> seed{};
  std::string precision = "balanced";

  void add_to(Arguments& arguments);
  lm::GenerateParameters to_generate() const;
};

// Loads with a progress bar on standard error. Ctrl-C meanwhile throws Cancelled.
lm::LanguageModel load_model(const ModelOptions& options,
                             const distributed::Group* divided = nullptr);

// Parses for a verb: prints help on request and returns false.
bool parse_or_help(Arguments& arguments, const std::vector<std::string>& words);

// Memory of this process that no file backs, in bytes; 0 where the system does not tell.
uint64_t anonymous_memory();
// "98.4 MB", with decimal units.
std::string bytes_text(double bytes);
// All of standard input. Throws ValueError above `limit` bytes.
std::string read_standard_input(size_t limit = size_t{64} << 20);
// Seconds on a steady clock.
double now_seconds();

}  // namespace tarn::cli
