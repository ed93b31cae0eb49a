// Trying variants of a training run one after the other, and keeping those that are better by more
// than chance.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tarn::lm {

// Options by their names, "learning-rate" to "0.004".
using VariantOptions = std::map<std::string, std::string>;
struct Variant {
  std::string name{};
  VariantOptions options{};
};

// Reads a JSON list of objects {"name": "…", option: value, …}; values are texts, numbers or true.
// Throws FileError that names file and variant.
std::vector<Variant> read_variants(const std::filesystem::path& file);

// One variant on top of what was kept before it.
struct Trial {
  std::string name{};
  VariantOptions options{};      // all of them
  std::vector<double> losses{};  // one a seed, in order; fewer while it runs
  bool is_kept = false;

  double mean() const;
  double spread() const;  // the largest less the smallest
  // A run of it ended in numbers that are not finite. It is not kept, and has no further runs.
  bool diverged() const;
};

struct RunResult {
  double loss = 0;     // infinite where the run diverged
  int64_t tokens = 0;  // that it learned from
};

// The first trial is the run without variants. A trial is kept when its mean is lower than that of
// the last kept one by more than the larger of their spreads. All runs learn from as many tokens.
class Research {
 public:
  static constexpr int seeds = 3;

  // Takes up what a folder holds: research.json is written after each run, whole or not at all.
  // Throws FileError where it is of other variants, or of runs with another text about them.
  Research(std::filesystem::path folder, std::vector<Variant> variants, std::string about = {});

  // `run` trains with options and a seed; nothing ends the research, and what was done stays.
  // `progress` is called after each run. Throws ValueError when a run learned from more or fewer
  // tokens than the first, and when the run without variants diverged.
  using Run = std::function<std::optional<RunResult>(const Trial& trial, uint64_t seed)>;
  void go(const Run& run, const std::function<void()>& progress = {});

  const std::vector<Trial>& trials() const { return trials_; }
  // The last kept trial so far.
  const Trial& best() const;
  // Trials by their means, the best first, as text.
  std::string leaderboard() const;
  std::filesystem::path page() const { return folder_ / "leaderboard.html"; }

 private:
  void read(const std::string& file);
  void save() const;
  void add(const RunResult& result);
  void decide();

  std::filesystem::path folder_;
  std::vector<Variant> variants_;
  std::string about_;
  std::vector<Trial> trials_{};
  int64_t tokens_ = 0;  // of each run
};

}  // namespace tarn::lm
