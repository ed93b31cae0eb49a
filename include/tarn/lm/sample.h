// Choosing the next token from logits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tarn::lm {

struct SampleOptions {
  float temperature = 0.0f;  // 0: the most likely token
  float top_p = 1.0f;        // the fewest tokens whose probabilities reach this; 1: all
  float min_p = 0.0f;        // tokens at least this fraction as likely as the likeliest
  int top_k = 0;             // the k likeliest; 0: all
  // "Exclude top choices": with this probability, of the tokens more likely than the threshold
  // only the least likely one stays, and those in `xtc_kept`. The threshold is at most 0.5.
  float xtc_probability = 0.0f, xtc_threshold = 0.0f;
  std::vector<int32_t> xtc_kept{};
  std::optional<uint64_t> seed{};  // unset: different every time
};

// Throws ValueError for a number outside its range.
void check(const SampleOptions& options);

// Holds the random state of one answer. Filters run in mlx-lm's order: top-p, min-p, XTC, top-k,
// each on probabilities at temperature 1; then temperature in the draw.
class Sampler {
 public:
  struct Candidate {
    int32_t id = 0;
    float logit = 0;
  };
  explicit Sampler(const SampleOptions& options);
  // The chosen id. What is not a number in `logits` becomes -infinity.
  int32_t pick(std::span<float> logits);

 private:
  double uniform();
  void exclude_top_choices();
  SampleOptions options_;
  uint64_t state_;
  // Kept for their room: a vocabulary may have 250,000 tokens.
  std::vector<Candidate> candidates_{};
  std::vector<double> weights_{};
};

struct TokenLogProbability {
  int32_t id = 0;
  double log_prob = 0;
};
// log softmax(logits)[id], in double.
double log_probability(std::span<const float> logits, int32_t id);
// The `count` likeliest, the likeliest first; equal ones by their ids.
std::vector<TokenLogProbability> top_log_probabilities(std::span<const float> logits, int count);

}  // namespace tarn::lm
