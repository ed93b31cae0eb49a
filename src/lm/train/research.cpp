#include "tarn/lm/research.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "lm/train/report.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;

Variant read_variant(const Json& json, const std::string& file, size_t number) {
  require<FileError>(
      json.is_object() && json.contains("name") && json.at("name").is_string() && json.size() > 1,
      "[research] {}: variant {} is no object {{\"name\": ..., option: value}}.", file, number);
  Variant v{json.at("name").get<std::string>(), {}};
  for (const auto& [option, value] : json.items()) {
    if (option == "name") continue;
    bool sound = value.is_string() || value.is_number() || value == true;
    require<FileError>(sound,
                       "[research] {}: {} of variant \"{}\" is {}; a text, a number or true is "
                       "needed.",
                       file, printable(option), printable(v.name), printable(value.dump()));
    v.options[option] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return v;
}

// JSON has no infinity: a run that diverged is null.
Json json_of(const Trial& t) {
  Json losses = Json::array();
  for (double l : t.losses) losses.push_back(std::isfinite(l) ? Json(l) : Json());
  return {{"name", t.name}, {"options", t.options}, {"losses", losses}, {"kept", t.is_kept}};
}
Trial trial_of(const Json& json) {
  Trial t;
  json.at("name").get_to(t.name);
  json.at("options").get_to(t.options);
  for (const Json& l : json.at("losses"))
    t.losses.push_back(l.is_null() ? std::numeric_limits<double>::infinity() : l.get<double>());
  json.at("kept").get_to(t.is_kept);
  return t;
}

bool is_done(const Trial& t) { return t.diverged() || t.losses.size() == Research::seeds; }

VariantOptions together(VariantOptions options, const VariantOptions& more) {
  for (const auto& [name, value] : more) options[name] = value;
  return options;
}

}  // namespace

double Trial::mean() const {
  double sum = 0;
  for (double l : losses) sum += l;
  return losses.empty() ? 0 : sum / static_cast<double>(losses.size());
}
bool Trial::diverged() const {
  return std::any_of(losses.begin(), losses.end(), [](double l) { return !std::isfinite(l); });
}
double Trial::spread() const {
  if (losses.empty()) return 0;
  auto [low, high] = std::minmax_element(losses.begin(), losses.end());
  return *high - *low;
}

std::vector<Variant> read_variants(const fs::path& path) {
  std::string file = printable(path.string(), 4096);
  Json json = load_json(path.string());
  require<FileError>(json.is_array() && !json.empty(),
                     "[research] {}: a list of variants is needed, such as [{{\"name\": \"higher "
                     "rank\", \"rank\": 16}}].",
                     file);
  std::vector<Variant> all;
  for (size_t i = 0; i < json.size(); ++i) {
    all.push_back(read_variant(json[i], file, i + 1));
    for (size_t j = 0; j < i; ++j)
      require<FileError>(all[j].name != all[i].name,
                         "[research] {}: two variants are named \"{}\".", file,
                         printable(all[i].name));
  }
  return all;
}

Research::Research(fs::path folder, std::vector<Variant> variants, std::string about)
    : folder_(std::move(folder)),
      variants_(std::move(variants)),
      about_(printable(about, 1 << 20)) {
  make_folder(folder_.string(), "research");
  std::string path = (folder_ / "research.json").string(), file = printable(path, 4096);
  if (!fs::exists(path)) return;
  try {
    read(path);
  } catch (const Json::exception& error) {
    fail<FileError>("[research] {}: it cannot be read ({}). Take another folder.", file,
                    printable(error.what()));
  }
  for (size_t i = 1; i < trials_.size(); ++i) {
    require<FileError>(i <= variants_.size() && variants_[i - 1].name == trials_[i].name,
                       "[research] {}: trial {} is \"{}\", which is not variant {} of the list. "
                       "Take another folder.",
                       file, i, printable(trials_[i].name), i);
    for (const auto& [name, value] : variants_[i - 1].options)
      require<FileError>(trials_[i].options[name] == value,
                         "[research] {}: \"{}\" had {} = {}, and the list says {}. Take another "
                         "folder.",
                         file, printable(trials_[i].name), printable(name),
                         printable(trials_[i].options[name]), printable(value));
  }
}

void Research::read(const std::string& file) {
  Json all = load_json(file);
  auto about = all.at("about").get<std::string>();
  require<FileError>(about == about_,
                     "[research] {}: its runs were \"{}\", and now they are \"{}\". Take another "
                     "folder.",
                     printable(file, 4096), printable(about, 4096), printable(about_, 4096));
  all.at("tokens").get_to(tokens_);
  for (const Json& t : all.at("trials")) trials_.push_back(trial_of(t));
}

const Trial& Research::best() const {
  auto it =
      std::find_if(trials_.rbegin(), trials_.rend(), [](const Trial& t) { return t.is_kept; });
  require(it != trials_.rend(), "[research] no trial is done yet.");
  return *it;
}

void Research::decide() {
  Trial& t = trials_.back();
  if (trials_.size() == 1) {
    t.is_kept = true;
    return;
  }
  const Trial& before = best();
  t.is_kept = !t.diverged() && before.mean() - t.mean() > std::max(before.spread(), t.spread());
}

void Research::add(const RunResult& result) {
  Trial& t = trials_.back();
  bool is_first = trials_.size() == 1, is_finite = std::isfinite(result.loss);
  require(
      !is_first || is_finite,
      "[research] the run without variants diverged, and nothing can be compared with it. Lower "
      "its learning rate.");
  if (is_first && t.losses.empty()) tokens_ = result.tokens;
  require(result.tokens == tokens_ || !is_finite,
          "[research] a run of \"{}\" learned from {} tokens and the first one from {}; trials are "
          "compared at equal tokens. Take out what changes them.",
          printable(t.name), result.tokens, tokens_);
  t.losses.push_back(is_finite ? result.loss : std::numeric_limits<double>::infinity());
  if (is_done(t)) decide();
}

void Research::go(const Run& run, const std::function<void()>& progress) {
  if (trials_.empty()) trials_.push_back({.name = "as it is"});
  for (;;) {
    if (is_done(trials_.back())) {
      if (trials_.size() > variants_.size()) return;
      const Variant& v = variants_[trials_.size() - 1];
      trials_.push_back({.name = v.name, .options = together(best().options, v.options)});
    }
    Trial& t = trials_.back();
    auto result = run(t, t.losses.size());
    if (!result) return;
    add(*result);
    save();
    if (progress) progress();
  }
}

std::string Research::leaderboard() const {
  std::vector<const Trial*> order;
  for (const Trial& t : trials_)
    if (is_done(t)) order.push_back(&t);
  std::stable_sort(order.begin(), order.end(),
                   [](const Trial* a, const Trial* b) { return a->mean() < b->mean(); });
  std::string text = fmt::format("{:>9}  {:>8}  {}\n", "loss", "spread", "trial");
  for (const Trial* t : order)
    text += t->diverged() ? fmt::format("{:>9}  {:>8}  {}\n", "diverged", "-", printable(t->name))
                          : fmt::format("{:>9.4f}  {:>8.4f}  {}{}\n", t->mean(), t->spread(),
                                        printable(t->name), t->is_kept ? "  (kept)" : "");
  return text;
}

void Research::save() const {
  Json all = Json::array();
  for (const Trial& t : trials_) all.push_back(json_of(t));
  io::AtomicFile out((folder_ / "research.json").string());
  out.write(Json{{"about", about_}, {"tokens", tokens_}, {"trials", all}}.dump(1) + "\n");
  out.commit();
  io::AtomicFile page_out(page().string());
  page_out.write(leaderboard_page(trials_, leaderboard()));
  page_out.commit();
}

}  // namespace tarn::lm
