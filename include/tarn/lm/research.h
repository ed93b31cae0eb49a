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
};

// The first trial is the run without variants. A trial is kept when its mean is lower than that of
// the last kept one by more than the larger of their spreads.
class Research {
 public:
  static constexpr int seeds = 3;

  // Takes up what a folder holds: research.json is written after each run, whole or not at all.
  // Throws FileError where it is of other variants.
  Research(std::filesystem::path folder, std::vector<Variant> variants);

  // `run` trains with options and a seed and returns the loss; nothing ends the research, and what
  // was done stays. `progress` is called after each run.
  using Run = std::function<std::optional<double>(const Trial& trial, uint64_t seed)>;
  void go(const Run& run, const std::function<void()>& progress = {});

  const std::vector<Trial>& trials() const { return trials_; }
  // The last kept trial so far.
  const Trial& best() const;
  // Trials by their means, the best first, as text.
  std::string leaderboard() const;
  std::filesystem::path page() const { return folder_ / "leaderboard.html"; }

 private:
  void save() const;
  void decide();

  std::filesystem::path folder_;
  std::vector<Variant> variants_;
  std::vector<Trial> trials_{};
};

}  // namespace tarn::lm
