// From files to sets of examples: splitting, cutting, packing, and what there is to say about it.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "base/printable.h"
#include "base/require.h"
#include "lm/train/examples.h"
#include "lm/train/shuffle.h"
#include "tarn/lm/train_data.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;
using Notes = std::vector<std::string>;

struct Part {
  std::string file{};
  std::vector<Example> examples{};
};

std::string count(size_t n, const char* noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

// Cuts long examples, and leaves out those that have nothing to learn from.
void fit(TrainSet& set, int64_t most, Notes& notes) {
  size_t cut = 0, before = set.samples.size();
  int64_t lost = 0;
  for (TrainSample& s : set.samples) {
    auto size = static_cast<int64_t>(s.ids.size());
    if (size <= most) continue;
    ++cut, lost += size - most;
    s.ids.resize(static_cast<size_t>(most));
    s.counts.resize(static_cast<size_t>(most));
  }
  std::erase_if(set.samples, [](const TrainSample& s) { return s.counted() == 0; });
  std::string file = printable(set.file, 4096);
  if (cut > 0)
    notes.push_back(fmt::format("{}: {} longer than {} tokens cut, {} tokens lost.", file,
                                count(cut, "example"), most, lost));
  if (size_t left = before - set.samples.size(); left > 0)
    notes.push_back(
        fmt::format("{}: {} left out, of which no token counts.", file, count(left, "example")));
  require<FileError>(!set.samples.empty(), "[data] {}: no token of any example counts.", file);
}

// Rows of `size` tokens, one example after the other; what does not fit goes on in the next row.
void pack(TrainSet& set, int64_t size, Notes& notes) {
  std::vector<TrainSample> rows;
  auto room = static_cast<size_t>(size);
  for (const TrainSample& s : set.samples) {
    for (size_t at = 0; at < s.ids.size();) {
      if (rows.empty() || rows.back().ids.size() == room) rows.push_back({.line = s.line});
      TrainSample& row = rows.back();
      size_t n = std::min(room - row.ids.size(), s.ids.size() - at);
      bool first = row.ids.empty();
      auto from = static_cast<int64_t>(at), to = static_cast<int64_t>(at + n);
      row.ids.insert(row.ids.end(), s.ids.begin() + from, s.ids.begin() + to);
      row.counts.insert(row.counts.end(), s.counts.begin() + from, s.counts.begin() + to);
      if (first) row.counts[0] = 0;
      at += n;
    }
  }
  auto full = static_cast<double>(set.tokens()) / static_cast<double>(rows.size() * room);
  notes.push_back(fmt::format("{}: {} packed into {} of {} tokens, {:.0f} % full.",
                              printable(set.file, 4096), count(set.samples.size(), "example"),
                              count(rows.size(), "row"), size, full * 100));
  set.samples = std::move(rows);
}

TrainSet encoded(const Part& part, const LanguageModel& lm, const TrainDataOptions& options,
                 Notes& notes) {
  TrainSet set{part.file, {}};
  for (const Example& e : part.examples)
    set.samples.push_back(encode_example(e, lm, options.mask_prompt, part.file));
  int64_t most = options.max_tokens, context = lm.model.shape().context;
  if (context > 0) most = std::min(most, context);
  if (options.pack) pack(set, most, notes);
  fit(set, most, notes);
  return set;
}

// Moves about `share` of the examples to the result; those that are alike stay together.
Part divide(Part& all, const TrainDataOptions& options, Notes& notes) {
  std::map<uint64_t, std::vector<size_t>> alike;
  for (size_t i = 0; i < all.examples.size(); ++i) alike[all.examples[i].hash].push_back(i);
  require<FileError>(alike.size() >= 2,
                     "[data] {}: {} different examples; at least 2 are needed to train on some and "
                     "to judge by others.",
                     printable(all.file, 4096), alike.size());
  std::vector<std::vector<size_t>> groups;
  for (auto& [hash, places] : alike) groups.push_back(std::move(places));
  std::sort(groups.begin(), groups.end());
  Random64 random(options.seed);
  shuffle(groups, random);
  auto wanted = static_cast<double>(all.examples.size()) * options.valid_share;
  std::set<size_t> taken;
  for (size_t g = 0; g + 1 < groups.size() && static_cast<double>(taken.size()) < wanted; ++g)
    taken.insert(groups[g].begin(), groups[g].end());
  Part valid{all.file, {}}, train{all.file, {}};
  for (size_t i = 0; i < all.examples.size(); ++i)
    (taken.count(i) ? valid : train).examples.push_back(std::move(all.examples[i]));
  all = std::move(train);
  notes.push_back(fmt::format("{}: divided by seed {} into {} to train on and {} to judge by.",
                              printable(all.file, 4096), options.seed,
                              count(all.examples.size(), "example"), valid.examples.size()));
  return valid;
}

void note_repeats(const Part& train, const Part& other, Notes& notes) {
  std::set<uint64_t> known;
  for (const Example& e : train.examples) known.insert(e.hash);
  auto is_known = [&](const Example& e) { return known.count(e.hash) > 0; };
  const auto& all = other.examples;
  auto repeated = static_cast<size_t>(std::count_if(all.begin(), all.end(), is_known));
  if (repeated == 0) return;
  auto first = std::find_if(all.begin(), all.end(), is_known);
  notes.push_back(
      fmt::format("Warning: {} of {} (first: line {}) also in {}; the loss there will "
                  "look better than it is.",
                  count(repeated, "example"), printable(other.file, 4096), first->line,
                  printable(train.file, 4096)));
}

Part read_part(const fs::path& file) { return {file.string(), read_examples(file.string())}; }

// What cannot be looked at counts as there: opening it says what is wrong.
bool is_there(const fs::path& file) {
  std::error_code error;
  return fs::status(file, error).type() != fs::file_type::not_found;
}

void check(const TrainDataOptions& o) {
  require(o.max_tokens >= 2, "[data] max_tokens is {}; at least 2 are needed, one to predict.",
          o.max_tokens);
  require(o.valid_share > 0 && o.valid_share < 1,
          "[data] valid_share is {}; it lies between 0 and 1, such as 0.1.", o.valid_share);
}

}  // namespace

int64_t TrainSample::counted() const {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}
int64_t TrainSet::tokens() const {
  int64_t sum = 0;
  for (const TrainSample& s : samples) sum += static_cast<int64_t>(s.ids.size());
  return sum;
}
int64_t TrainSet::counted() const {
  int64_t sum = 0;
  for (const TrainSample& s : samples) sum += s.counted();
  return sum;
}
std::string TrainSet::place(size_t sample) const {
  return fmt::format("{}, line {}", printable(file, 4096), samples.at(sample).line);
}

TrainSet load_train_set(const fs::path& file, const LanguageModel& lm,
                        const TrainDataOptions& options, Notes& notes) {
  check(options);
  return encoded(read_part(file), lm, options, notes);
}

TrainData load_train_data(const fs::path& path, const LanguageModel& lm,
                          const TrainDataOptions& options) {
  check(options);
  TrainData data;
  Part train, valid, test;
  std::error_code error;
  bool is_folder = fs::is_directory(path, error);
  require<FileError>(!is_folder || is_there(path / "train.jsonl"),
                     "[data] {}: the folder has no train.jsonl.", printable(path.string(), 4096));
  train = read_part(is_folder ? path / "train.jsonl" : path);
  if (is_folder && is_there(path / "test.jsonl")) test = read_part(path / "test.jsonl");
  if (is_folder && is_there(path / "valid.jsonl"))
    valid = read_part(path / "valid.jsonl");
  else
    valid = divide(train, options, data.notes);
  note_repeats(train, valid, data.notes);
  note_repeats(train, test, data.notes);
  data.train = encoded(train, lm, options, data.notes);
  data.valid = encoded(valid, lm, options, data.notes);
  if (!test.examples.empty()) data.test = encoded(test, lm, options, data.notes);
  return data;
}

}  // namespace tarn::lm
