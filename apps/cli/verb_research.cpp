#include <unistd.h>

#include <filesystem>

#include "base/text.h"
#include "tarn/lm/research.h"
#include "terminal.h"
#include "train_arguments.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

// What a variant may not change: trials are compared at equal tokens, on the same examples.
constexpr const char* fixed[] = {"model",      "data",    "out",        "resume", "steps",
                                 "epochs",     "seed",    "batch-size", "pack",   "accumulate",
                                 "max-tokens", "threads", "mask-prompt"};

Words words_of(const Words& common, const lm::VariantOptions& options) {
  Words words = common;
  for (const auto& [name, value] : options) {
    for (const char* other : fixed)
      if (name == other)
        throw UsageError("A variant changes " + name +
                         ", by which trials would not see the same tokens. Give it to all: --" +
                         name + " VALUE.");
    words.push_back("--" + name);
    if (value != "true") words.push_back(value);
  }
  return words;
}

TrainArguments arguments_of(const Words& words) {
  TrainArguments given;
  Arguments arguments("tarn research", "");
  given.add_to(arguments);
  arguments.parse(words);
  return given;
}

// The best validation loss of one run, which goes on where it was killed; nothing after Ctrl-C.
std::optional<double> loss_of(const TrainArguments& given, const lm::LanguageModel& base,
                              const lm::TrainData& data, std::stop_token stop) {
  Prepared p = prepared(given, base);
  lm::TrainOptions options = given.options();
  options.stop = stop;
  lm::Trainer trainer(p.lm, data, options, p.where);
  trainer.resume();
  lm::TrainResult result = trainer.run();
  if (result.end == lm::TrainResult::End::stopped) return std::nullopt;
  return result.best_valid_loss;
}

void say(const std::string& text) { write_all(STDERR_FILENO, safe_text(text), "standard error"); }

}  // namespace

int research(const Words& words) {
  TrainArguments given;
  std::string variants_file;
  given.folder = "research";
  Arguments arguments("tarn research", "Tries variants of a training run, keeps what is better.");
  arguments.text("--variants", variants_file,
                 "a JSON list of {\"name\": …, option: value}; the options are those below");
  given.add_to(arguments);
  arguments.footer(
      "Each variant is tried with 3 seeds on top of what was kept before it, and kept when its\n"
      "validation loss is lower by more than the seeds differ. Started again, it goes on.\n");
  if (!parse_or_help(arguments, words)) return 0;
  if (variants_file.empty() || given.data.empty())
    throw UsageError("tarn research needs --variants FILE.json and --data FILE.jsonl.");
  std::vector<lm::Variant> variants = lm::read_variants(variants_file);
  Words common;
  for (size_t i = 0; i < words.size(); ++i)
    if (words[i] == "--variants")
      ++i;
    else if (!words[i].starts_with("--variants="))
      common.push_back(words[i]);
  // Every mistake of a variant is found before the first run.
  for (const lm::Variant& v : variants)
    lm::check(arguments_of(words_of(common, v.options)).options());

  lm::LanguageModel base = load_model(given.model);
  lm::TrainData data = lm::load_train_data(given.data, base, given.data_options());
  for (const std::string& note : data.notes) say(note + "\n");
  lm::Research research(given.folder, variants);
  InterruptScope interrupt;
  research.go([&](const lm::Trial& trial, uint64_t seed) {
    TrainArguments one = arguments_of(words_of(common, trial.options));
    one.seed = seed;
    one.folder = (std::filesystem::path(given.folder) /
                  fmt::format("{}-{}", research.trials().size() - 1, seed))
                     .string();
    auto loss = loss_of(one, base, data, interrupt.token());
    if (loss) say(fmt::format("{}, seed {}: {:.4f}\n", trial.name, seed, *loss));
    return loss;
  });
  write_all(STDOUT_FILENO, research.leaderboard(), "standard output");
  say(fmt::format("Page: {}\n", research.page().string()));
  return interrupt.fired() ? 130 : 0;
}

}  // namespace tarn::cli
