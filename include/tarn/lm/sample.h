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
  float repetition_penalty =
      1.0f;  // divides the logits of tokens seen lately (CTRL, arXiv 1909.05858)
  float presence_penalty = 0.0f;   // taken once from tokens seen lately
  float frequency_penalty = 0.0f;  // taken as often as they were seen
  int penalty_context = 64;        // how many tokens "lately" means
  std::optional<uint64_t> seed{};  // unset: different every time
};

// Throws ValueError for a number outside its range.
void check(const SampleOptions& options);

// Holds the random state of one answer. Filters run in mlx-lm's order: penalties, top-p, min-p,
// top-k, then temperature in the draw.
class Sampler {
 public:
  struct Candidate {
    int32_t id = 0;
    float logit = 0;
  };
  explicit Sampler(const SampleOptions& options);
  // The chosen id; `recent` are the tokens before it. `logits` is overwritten: penalties
  // are taken, and what is not a number becomes -infinity.
  int32_t pick(std::span<float> logits, std::span<const int32_t> recent);

 private:
  double uniform();
  SampleOptions options_;
  uint64_t state_;
  // Kept for their room: a vocabulary may have 250,000 tokens.
  std::vector<Candidate> candidates_{};
  std::vector<double> weights_{};
};

// log softmax(logits)[id], in double.
double log_probability(std::span<const float> logits, int32_t id);

}  // namespace tarn::lm
