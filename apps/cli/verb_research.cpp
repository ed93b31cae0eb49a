#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>

#include "base/text.h"
#include "program_run.h"
#include "run_folder.h"
#include "tarn/lm/research.h"
#include "terminal.h"
#include "train_arguments.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

// What a variant may not change: trials are compared at equal tokens, on the same examples.
constexpr const char* fixed[] = {"model",      "data",    "out",         "resume",  "steps",
                                 "epochs",     "seed",    "batch-size",  "pack",    "accumulate",
                                 "max-tokens", "threads", "mask-prompt", "patience"};

void add_options(Words& words, const lm::VariantOptions& options) {
  for (const auto& [name, value] : options) {
    words.push_back("--" + name);
    if (value != "true") words.push_back(value);
  }
}

struct ResearchArguments {
  TrainArguments train{};
  std::string variants{};
  Words program{};  // empty: trials are runs of `tarn train`

  void add_to(Arguments& a) {
    train.folder = "research";
    a.text("--variants", variants,
           "a JSON list of {\"name\": …, option: value}; the options are those below");
    train.add_to(a);
    a.texts(
        "program", program,
        "after --: a training program and what it is given, to be tried instead of `tarn train`");
  }
};

// One run each; nothing after Ctrl-C.
class Runs {
 public:
  virtual ~Runs() = default;
  // Finds every mistake of a variant that can be found before the first run.
  virtual void check(const lm::Variant& variant) const = 0;
  // Reads what all runs share.
  virtual void prepare() {}
  virtual std::optional<lm::RunResult> run(const lm::Trial& trial, uint64_t seed,
                                           const std::string& folder, std::stop_token stop) = 0;
  virtual std::string about() const = 0;
};

// Runs of `tarn train`, each of which goes on where it was killed.
class TrainRuns : public Runs {
 public:
  TrainRuns(const ResearchArguments& given, const Words& words) : given_(given) {
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] == "--variants" || words[i] == "--out" || words[i] == "-o")
        ++i;
      else if (!words[i].starts_with("--variants=") && !words[i].starts_with("--out="))
        common_.push_back(words[i]);
  }
  void check(const lm::Variant& variant) const override {
    for (const char* other : fixed)
      if (variant.options.count(other))
        throw UsageError(fmt::format(
            "a variant cannot change {0}, by which trials would not see the same tokens. Give it "
            "to all: --{0} VALUE.",
            other));
    arguments_of(variant.options).check();
  }
  void prepare() override {
    base_ = load_model(given_.train.model);
    data_ = lm::load_train_data(given_.train.data, base_, given_.train.data_options());
    for (const std::string& note : data_.notes) say_line(note);
  }
  std::optional<lm::RunResult> run(const lm::Trial& trial, uint64_t seed, const std::string& folder,
                                   std::stop_token stop) override {
    TrainArguments one = arguments_of(trial.options);
    one.seed = seed;
    one.folder = folder;
    Prepared p = prepared(one, base_);
    lm::TrainOptions options = one.options();
    options.stop = std::move(stop);
    lm::Trainer trainer(p.lm, data_, options, p.where);
    trainer.resume();
    try {
      lm::TrainResult result = trainer.run();
      if (result.end == lm::TrainResult::End::stopped) return std::nullopt;
      return lm::RunResult{result.best_valid_loss};  // check() sees to the tokens
    } catch (const lm::DivergedError& error) {
      say_line(error.what());
      return lm::RunResult{std::numeric_limits<double>::infinity()};
    }
  }
  std::string about() const override { return fmt::format("{}", joined(common_, " ")); }

 private:
  // The variant's are read last, for an option may be given once only.
  TrainArguments arguments_of(const lm::VariantOptions& options) const {
    TrainArguments given;
    Words own;
    add_options(own, options);
    for (const Words& words : {common_, own}) {
      Arguments arguments("tarn research", "");
      given.add_to(arguments);
      arguments.parse(words);
    }
    return given;
  }

  const ResearchArguments& given_;
  Words common_{};
  lm::LanguageModel base_{};
  lm::TrainData data_{};
};

// Runs of someone's program: options become --NAME VALUE, and --seed N stands at the end.
class ProgramRuns : public Runs {
 public:
  explicit ProgramRuns(const Words& program) : program_(program) {}

  void check(const lm::Variant& variant) const override {
    if (variant.options.count("seed"))
      throw UsageError("a variant cannot change seed, which research does by itself.");
  }
  std::optional<lm::RunResult> run(const lm::Trial& trial, uint64_t seed, const std::string& folder,
                                   std::stop_token stop) override {
    ProgramRun one{program_, folder + ".out", folder + ".log"};
    add_options(one.words, trial.options);
    one.words.insert(one.words.end(), {"--seed", std::to_string(seed)});
    return run_program(one, std::move(stop));
  }
  std::string about() const override { return fmt::format("{}", joined(program_, " ")); }

 private:
  const Words& program_;
};

std::unique_ptr<Runs> runs_of(const ResearchArguments& given, const Words& words,
                              const Arguments& arguments) {
  if (given.program.empty()) return std::make_unique<TrainRuns>(given, words);
  for (const auto& [name, value] : arguments.defaults())
    if (name != "variants" && name != "out" && name != "program" &&
        arguments.was_given("--" + name))
      throw UsageError(fmt::format(
          "--{0} is an option of `tarn train`, and a program is tried. Give it what it needs after "
          "its name.",
          name));
  return std::make_unique<ProgramRuns>(given.program);
}

// With the place of the mistake, which is not on the command line.
void check(const Runs& runs, const lm::Variant& variant, const std::string& file) {
  auto placed = [&](const std::exception& error) {
    return fmt::format("{}, variant \"{}\": {}", file, variant.name, error.what());
  };
  try {
    runs.check(variant);
  } catch (const UsageError& error) {
    throw UsageError(placed(error));
  } catch (const ValueError& error) {
    throw ValueError(placed(error));
  }
}

std::string loss_text(const lm::RunResult& result) {
  return std::isfinite(result.loss) ? fmt::format("{:.4f}", result.loss) : "diverged";
}

int go(lm::Research& research, Runs& runs, const std::string& folder) {
  InterruptScope interrupt;
  research.go([&](const lm::Trial& trial, uint64_t seed) {
    auto place = fmt::format("{}-{}", research.trials().size() - 1, seed);
    auto result =
        runs.run(trial, seed, (std::filesystem::path(folder) / place).string(), interrupt.token());
    if (result) say_line(fmt::format("{}, seed {}: {}", trial.name, seed, loss_text(*result)));
    return result;
  });
  write_all(STDOUT_FILENO, research.leaderboard(), "standard output");
  std::error_code error;
  if (std::filesystem::exists(research.page(), error))  // not before the first run has ended
    say_line(fmt::format("Page: {}", research.page().string()));
  return interrupt.fired() ? 130 : 0;
}

}  // namespace

int research(const Words& words) {
  ResearchArguments given;
  Arguments arguments("tarn research", "Tries variants of a training run, keeps what is better.");
  given.add_to(arguments);
  arguments.footer(
      "Each variant is tried with 3 seeds on top of what was kept before it, and kept when its\n"
      "validation loss is lower by more than the seeds differ. Started again, it goes on.\n\n"
      "A program gets a variant's options as --NAME VALUE and --seed N. Its last line is a JSON\n"
      "object with \"loss\", null where the run diverged, and \"tokens\", which must not vary.\n\n"
      "Examples:\n  tarn research --variants v.json --data my.jsonl --steps 100\n"
      "  tarn research --variants v.json -- example_pretrain build/texts --steps 300\n");
  if (!parse_or_help(arguments, words)) return 0;
  if (given.variants.empty() || (given.train.data.empty() && given.program.empty()))
    throw UsageError(
        "tarn research needs --variants FILE.json, and --data FILE.jsonl or, after --, a program.");
  std::vector<lm::Variant> variants = lm::read_variants(given.variants);
  std::unique_ptr<Runs> runs = runs_of(given, words, arguments);
  for (const lm::Variant& v : variants) check(*runs, v, given.variants);
  RunFolder folder(given.train.folder, "research");
  lm::Research research(given.train.folder, std::move(variants), runs->about());
  runs->prepare();
  return go(research, *runs, given.train.folder);
}

}  // namespace tarn::cli
