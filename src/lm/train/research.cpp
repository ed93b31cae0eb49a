#include "tarn/lm/research.h"

#include <algorithm>

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

Json json_of(const Trial& t) {
  return {{"name", t.name}, {"options", t.options}, {"losses", t.losses}, {"kept", t.is_kept}};
}
Trial trial_of(const Json& json) {
  Trial t;
  json.at("name").get_to(t.name);
  json.at("options").get_to(t.options);
  json.at("losses").get_to(t.losses);
  json.at("kept").get_to(t.is_kept);
  return t;
}

bool is_done(const Trial& t) { return t.losses.size() == Research::seeds; }

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

Research::Research(fs::path folder, std::vector<Variant> variants)
    : folder_(std::move(folder)), variants_(std::move(variants)) {
  fs::create_directories(folder_);
  fs::path file = folder_ / "research.json";
  if (!fs::exists(file)) return;
  try {
    Json all = load_json(file.string());
    for (const Json& t : all.at("trials")) trials_.push_back(trial_of(t));
  } catch (const Json::exception& error) {
    fail<FileError>("[research] {}: it cannot be read ({}). Take another folder.",
                    printable(file.string(), 4096), printable(error.what()));
  }
  for (size_t i = 1; i < trials_.size(); ++i)
    require<FileError>(i <= variants_.size() && variants_[i - 1].name == trials_[i].name,
                       "[research] {}: trial {} is \"{}\", which is not variant {} of the list. "
                       "Take another folder.",
                       printable(file.string(), 4096), i, printable(trials_[i].name), i);
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
  t.is_kept = before.mean() - t.mean() > std::max(before.spread(), t.spread());
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
    auto loss = run(t, t.losses.size());
    if (!loss) return;
    t.losses.push_back(*loss);
    if (is_done(t)) decide();
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
    text += fmt::format("{:>9.4f}  {:>8.4f}  {}{}\n", t->mean(), t->spread(), printable(t->name),
                        t->is_kept ? "  (kept)" : "");
  return text;
}

void Research::save() const {
  Json all = Json::array();
  for (const Trial& t : trials_) all.push_back(json_of(t));
  io::AtomicFile out((folder_ / "research.json").string());
  out.write(Json{{"trials", all}}.dump(1) + "\n");
  out.commit();
  io::AtomicFile page_out(page().string());
  page_out.write(leaderboard_page(trials_, leaderboard()));
  page_out.commit();
}

}  // namespace tarn::lm
