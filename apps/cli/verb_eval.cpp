#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <numeric>
#include <span>

#include "base/json.h"
#include "base/json_text.h"
#include "base/text.h"
#include "model_options.h"
#include "progress.h"
#include "tarn/lm/adapters.h"
#include "tarn/lm/evaluate.h"
#include "terminal.h"
#include "train_arguments.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct EvalArguments {
  ModelOptions model{};
  std::string data{};
  std::vector<std::string> adapters{};
  int max_tokens = 2048, new_tokens = 256, batch_size = 16;
  bool mask_prompt = false, exact = false, wants_json = false, any_base = false;
};

// A model, or it with an adapter, on all examples.
struct Judged {
  std::string name{};
  std::vector<lm::SampleLoss> losses{};
  std::vector<double> exact{};  // empty unless asked for
};

using Places = std::vector<size_t>;

double loss_of(const Judged& j, const Places& places) {
  std::vector<lm::SampleLoss> drawn;
  for (size_t p : places) drawn.push_back(j.losses[p]);
  return lm::mean_loss(drawn);
}
double perplexity_of(const Judged& j, const Places& places) { return std::exp(loss_of(j, places)); }
double bits_of(const Judged& j, const Places& places) {
  std::vector<lm::SampleLoss> drawn;
  for (size_t p : places) drawn.push_back(j.losses[p]);
  return lm::bits_per_byte(drawn);
}
double exact_of(const Judged& j, const Places& places) {
  double sum = 0;
  for (size_t p : places) sum += j.exact[p];
  return sum / static_cast<double>(places.size());
}

struct Measure {
  const char* key;
  const char* title;
  double (*of)(const Judged&, const Places&);
  int digits;
};
constexpr Measure measures[] = {{"loss", "loss", loss_of, 4},
                                {"perplexity", "perplexity", perplexity_of, 3},
                                {"bits_per_byte", "bits/byte", bits_of, 4},
                                {"exact_match", "exact", exact_of, 4}};

// Those that were asked for.
std::span<const Measure> measures_of(const Judged& j) {
  return std::span(measures).first(std::size(measures) - (j.exact.empty() ? 1 : 0));
}

// A measure of all examples, and where it lies in 95 of 100 draws of them.
struct Estimate {
  double value = 0;
  lm::Interval interval{};
};
template <class F>
Estimate estimate(size_t examples, const F& statistic) {
  Places all(examples);
  std::iota(all.begin(), all.end(), size_t{0});
  return {statistic(all), lm::bootstrap(examples, statistic)};
}
Estimate estimate_of(const Measure& m, const Judged& j) {
  return estimate(j.losses.size(), [&](const Places& p) { return m.of(j, p); });
}
// How much `later` is above `first`; each draw takes the same examples for both.
Estimate difference(const Measure& m, const Judged& first, const Judged& later) {
  return estimate(first.losses.size(),
                  [&](const Places& p) { return m.of(later, p) - m.of(first, p); });
}

Judged judge(const std::string& name, const lm::LanguageModel& lm, const lm::TrainSet& set,
             const EvalArguments& given, std::stop_token stop) {
  ProgressOptions bar;
  bar.label = safe_text(name);
  bar.total = set.samples.size() * (given.exact ? 2 : 1);
  bar.in_bytes = false;
  Progress progress(bar);
  lm::EvaluateOptions options{.batch_size = given.batch_size, .max_tokens = given.new_tokens};
  options.stop = stop;
  options.progress = [&](size_t done, size_t) { progress.update(done); };
  Judged judged{name, lm::evaluate(lm, set, options), {}};
  options.progress = [&](size_t done, size_t all) { progress.update(all + done); };
  if (given.exact) judged.exact = lm::exact_matches(lm, set, options);
  return judged;
}

OrderedJson as_json(const Estimate& e) {
  return {{"value", e.value}, {"low", e.interval.low}, {"high", e.interval.high}};
}

OrderedJson as_json(const Judged& j, const Judged& base) {
  OrderedJson out{{"name", j.name}, {"examples", j.losses.size()}};
  for (const Measure& m : measures_of(j)) {
    Estimate e = estimate_of(m, j);
    out[m.key] = e.value;
    out[std::string(m.key) + "_interval"] = {{"low", e.interval.low}, {"high", e.interval.high}};
    if (&j != &base) out[std::string(m.key) + "_difference"] = as_json(difference(m, base, j));
  }
  return out;
}

std::string row(const std::string& name, const Measure& m, const Estimate& e, bool is_difference) {
  auto number = [&](double v) {
    return is_difference ? fmt::format("{:+.{}f}", v, m.digits)
                         : fmt::format("{:.{}f}", v, m.digits);
  };
  return fmt::format("{:<32} {:<10} {:>10}  {:>10} to {}\n", name, m.title, number(e.value),
                     number(e.interval.low), number(e.interval.high));
}

// Each measure of each model, and how far it is from the first one's.
std::string as_text(const std::vector<Judged>& all) {
  std::string text = fmt::format("{:<32} {:<10} {:>10}  95 of 100 draws of {} examples\n", "", "",
                                 "", all[0].losses.size());
  for (const Judged& j : all) {
    std::string name = cut_to_width(safe_text(j.name), 32);
    for (const Measure& m : measures_of(j)) {
      text += row(std::exchange(name, ""), m, estimate_of(m, j), false);
      if (&j != &all[0]) text += row("  against the first", m, difference(m, all[0], j), true);
    }
  }
  return text;
}

std::string file_of(const std::string& data) {
  std::error_code error;
  if (!std::filesystem::is_directory(data, error)) return data;
  auto file = file_to_judge_by(data);
  if (!file)
    throw UsageError(data +
                     ": the folder has no test.jsonl and no valid.jsonl to judge by. --data takes "
                     "a file as well.");
  say_line(fmt::format("Judges by {}.", *file));
  return *file;
}

// All before anything is computed: a mistake in the last one is found at once.
std::vector<lm::LanguageModel> with_adapters(const lm::LanguageModel& base,
                                             const EvalArguments& given) {
  std::vector<lm::LanguageModel> all;
  for (const std::string& folder : given.adapters)
    lm::LoRAContainer::from(folder).load(all.emplace_back(base), {.any_base = given.any_base});
  return all;
}

std::vector<Judged> judge_all(const EvalArguments& given, const lm::LanguageModel& base,
                              const std::vector<lm::LanguageModel>& with, const lm::TrainSet& set) {
  InterruptScope interrupt;
  std::vector<Judged> all{judge(base.name, base, set, given, interrupt.token())};
  for (size_t i = 0; i < with.size(); ++i)
    all.push_back(judge(given.adapters[i], with[i], set, given, interrupt.token()));
  return all;
}

}  // namespace

int eval(const Words& words) {
  EvalArguments given;
  Arguments arguments("tarn eval", "How well a model does on examples, with and without adapters.");
  given.model.add_to(arguments);
  arguments.text("-d,--data", given.data,
                 "a .jsonl file of examples, see `tarn train --help`; of a folder its\ntest.jsonl, "
                 "else its valid.jsonl");
  arguments.texts("-a,--adapter", given.adapters,
                  "an adapter's folder, to compare; may be given several times");
  arguments.flag("--mask-prompt", given.mask_prompt, "only the answers count");
  arguments.flag("--exact", given.exact,
                 "lets the model answer, too; counts answers that are the example's to the letter");
  arguments.number("--new-tokens", given.new_tokens, "length of such an answer", {1});
  arguments.number("--max-tokens", given.max_tokens, "longer examples are cut", {2});
  arguments.number("--batch-size", given.batch_size, "examples that are computed together",
                   {1, 65536});
  arguments.flag("--any-base", given.any_base, "adapters may be made for another model");
  arguments.flag("--json", given.wants_json, "one object a model");
  arguments.footer("Example:\n  tarn eval --data test.jsonl --adapter adapters\n");
  if (!parse_or_help(arguments, words)) return 0;
  if (given.data.empty()) throw UsageError("tarn eval needs --data FILE.jsonl.");
  std::string file = file_of(given.data);
  lm::LanguageModel base = load_model(given.model);
  std::vector<lm::LanguageModel> with = with_adapters(base, given);
  std::vector<std::string> notes;
  lm::TrainSet set = lm::load_train_set(
      file, base, {.mask_prompt = given.mask_prompt || given.exact, .max_tokens = given.max_tokens},
      notes);
  for (const std::string& note : notes) say_line(note);
  std::vector<Judged> all = judge_all(given, base, with, set);
  if (!given.wants_json) {
    write_all(STDOUT_FILENO, as_text(all), "standard output");
    return 0;
  }
  for (const Judged& j : all)
    write_all(STDOUT_FILENO, json_text(as_json(j, all[0])) + "\n", "standard output");
  return 0;
}

}  // namespace tarn::cli
