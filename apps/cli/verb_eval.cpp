#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "base/text.h"
#include "model_options.h"
#include "progress.h"
#include "tarn/lm/adapters.h"
#include "tarn/lm/evaluate.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct EvalArguments {
  ModelOptions model{};
  std::string data{};
  std::vector<std::string> adapters{};
  int max_tokens = 2048, new_tokens = 256, batch_size = 16;
  bool mask_prompt = false, exact = false, wants_json = false;
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
double exact_of(const Judged& j, const Places& places) {
  double sum = 0;
  for (size_t p : places) sum += j.exact[p];
  return sum / static_cast<double>(places.size());
}
double exact_share(const Judged& j) {
  double sum = 0;
  for (double e : j.exact) sum += e;
  return sum / static_cast<double>(j.exact.size());
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

struct Difference {
  double value = 0;
  lm::Interval interval{};
};
// How much `later` is above `first` on the same examples.
Difference difference(const Judged& first, const Judged& later,
                      double (*of)(const Judged&, const Places&)) {
  Places all(first.losses.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  auto statistic = [&](const Places& p) { return of(later, p) - of(first, p); };
  return {statistic(all), lm::bootstrap(all.size(), statistic)};
}

OrderedJson as_json(const Judged& j, const Judged& base) {
  double loss = lm::mean_loss(j.losses);
  OrderedJson out{{"name", j.name},
                  {"loss", loss},
                  {"perplexity", std::exp(loss)},
                  {"bits_per_byte", lm::bits_per_byte(j.losses)}};
  if (!j.exact.empty()) out["exact_match"] = exact_share(j);
  if (&j == &base) return out;
  auto put = [&](const char* name, const Difference& d) {
    out[name] = {{"value", d.value}, {"low", d.interval.low}, {"high", d.interval.high}};
  };
  put("loss_difference", difference(base, j, loss_of));
  if (!j.exact.empty()) put("exact_match_difference", difference(base, j, exact_of));
  return out;
}

std::string as_text(const std::vector<Judged>& all) {
  bool exact = !all[0].exact.empty();
  std::string text =
      fmt::format("{:<28} {:>8} {:>11} {:>9} {}  {}\n", "", "loss", "perplexity", "bits/byte",
                  exact ? "    exact" : "", all.size() > 1 ? "loss against the first, 95 %" : "");
  for (const Judged& j : all) {
    double loss = lm::mean_loss(j.losses);
    text += fmt::format("{:<28} {:>8.4f} {:>11.3f} {:>9.4f} ", safe_text(j.name), loss,
                        std::exp(loss), lm::bits_per_byte(j.losses));
    if (exact) text += fmt::format("{:>7.1f} %", 100 * exact_share(j));
    if (&j != &all[0]) {
      Difference d = difference(all[0], j, loss_of);
      text +=
          fmt::format("  {:+.4f} ({:+.4f} to {:+.4f})", d.value, d.interval.low, d.interval.high);
    }
    text += "\n";
  }
  return text;
}

std::vector<Judged> judge_all(const EvalArguments& given, const lm::LanguageModel& base,
                              const lm::TrainSet& set) {
  InterruptScope interrupt;
  std::vector<Judged> all{judge(base.name, base, set, given, interrupt.token())};
  for (const std::string& folder : given.adapters) {
    lm::LanguageModel with = base;
    lm::LoRAContainer::from(folder).load(with);
    all.push_back(judge(folder, with, set, given, interrupt.token()));
  }
  return all;
}

}  // namespace

int eval(const Words& words) {
  EvalArguments given;
  Arguments arguments("tarn eval", "How well a model does on examples, with and without adapters.");
  given.model.add_to(arguments);
  arguments.text("-d,--data", given.data, "a .jsonl file of examples, see `tarn train --help`");
  arguments.texts("-a,--adapter", given.adapters,
                  "an adapter's folder, to compare; may be given several times");
  arguments.flag("--mask-prompt", given.mask_prompt, "only the answers count");
  arguments.flag("--exact", given.exact,
                 "lets the model answer, too; counts answers that are the example's to the letter");
  arguments.number("--new-tokens", given.new_tokens, "length of such an answer", {1});
  arguments.number("--max-tokens", given.max_tokens, "longer examples are cut", {2});
  arguments.number("--batch-size", given.batch_size, "examples that are computed together",
                   {1, 65536});
  arguments.flag("--json", given.wants_json, "one object a model");
  arguments.footer("Example:\n  tarn eval --data test.jsonl --adapter adapters\n");
  if (!parse_or_help(arguments, words)) return 0;
  if (given.data.empty()) throw UsageError("tarn eval needs --data FILE.jsonl.");
  lm::LanguageModel base = load_model(given.model);
  std::vector<std::string> notes;
  lm::TrainSet set = lm::load_train_set(
      given.data, base,
      {.mask_prompt = given.mask_prompt || given.exact, .max_tokens = given.max_tokens}, notes);
  for (const std::string& note : notes)
    write_all(STDERR_FILENO, safe_text(note) + "\n", "standard error");
  std::vector<Judged> all = judge_all(given, base, set);
  if (!given.wants_json) {
    write_all(STDOUT_FILENO, as_text(all), "standard output");
    return 0;
  }
  for (const Judged& j : all)
    write_all(STDOUT_FILENO,
              as_json(j, all[0]).dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n",
              "standard output");
  return 0;
}

}  // namespace tarn::cli
