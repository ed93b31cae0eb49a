// How well a model does on examples: losses, exact answers, and how sure a difference is.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/train_data.h"

namespace tarn::lm {

// What an example's counted tokens cost in nats: sums, so that means can be taken over any of them.
struct SampleLoss {
  double loss = 0;
  int64_t tokens = 0, correct = 0;  // correct: the likeliest token was the right one
  int64_t bytes = 0;                // that the tokens stand for; control tokens stand for none
};

struct EvaluateOptions {
  int batch_size = 16;
  int max_tokens = 256;                                     // of an answer
  std::function<void(size_t done, size_t all)> progress{};  // examples
  std::stop_token stop{};                                   // Cancelled is thrown after a request
};

// One for each example, in the set's order, in float32.
std::vector<SampleLoss> evaluate(const LanguageModel& lm, const TrainSet& set,
                                 const EvaluateOptions& options = {});
double mean_loss(const std::vector<SampleLoss>& losses);      // nats a token
double bits_per_byte(const std::vector<SampleLoss>& losses);  // 0 where there are no bytes

// 1 for each example whose last run of counted tokens the model writes itself, without temperature
// and up to spaces around it, when it is given what comes before; else 0. The set is one that was
// read with mask_prompt.
std::vector<double> exact_matches(const LanguageModel& lm, const TrainSet& set,
                                  const EvaluateOptions& options = {});

struct Interval {
  double low = 0, high = 0;
};
// The middle 95 % of what `statistic` gives for `rounds` draws of n examples with replacement; it
// gets the examples' places. Efron's percentile bootstrap. Throws ValueError for n or rounds of 0.
Interval bootstrap(size_t n, const std::function<double(const std::vector<size_t>&)>& statistic,
                   int rounds = 2000, uint64_t seed = 0);

}  // namespace tarn::lm
