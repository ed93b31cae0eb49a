#include "tarn/lm/sample.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_map>

#include "base/require.h"

namespace tarn::lm {
namespace {

struct Candidate {
  int32_t id;
  float logit;
};

void penalise(std::span<float> logits, std::span<const int32_t> recent, const SampleOptions& o) {
  if (o.repetition_penalty == 1 && o.presence_penalty == 0 && o.frequency_penalty == 0) return;
  auto n = std::min(recent.size(), static_cast<size_t>(o.penalty_context));
  std::unordered_map<int32_t, int> counts;
  for (int32_t id : recent.subspan(recent.size() - n)) ++counts[id];
  for (auto [id, count] : counts) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size()) continue;
    float& l = logits[static_cast<size_t>(id)];
    l = l > 0 ? l / o.repetition_penalty : l * o.repetition_penalty;
    l -= o.presence_penalty + o.frequency_penalty * static_cast<float>(count);
  }
}

// The candidates that the filters leave, likeliest first. Probabilities are those at temperature 1.
std::vector<Candidate> filtered(std::span<const float> logits, const SampleOptions& o) {
  std::vector<Candidate> all(logits.size());
  // What is not a number cannot be sorted: it is the least likely.
  for (size_t i = 0; i < logits.size(); ++i)
    all[i] = {static_cast<int32_t>(i), std::isnan(logits[i]) ? -INFINITY : logits[i]};
  auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  bool sorted = o.top_p < 1;
  if (sorted) std::sort(all.begin(), all.end(), likelier);
  float top = std::max_element(all.begin(), all.end(), [](auto& a, auto& b) {
                return a.logit < b.logit;
              })->logit;
  if (o.top_p < 1) {
    double total = 0, reached = 0;
    for (const auto& c : all) total += std::exp(double{c.logit} - top);
    size_t keep = 0;
    while (keep < all.size() && (keep == 0 || reached < o.top_p * total))
      reached += std::exp(double{all[keep++].logit} - top);
    all.resize(keep);
  }
  if (o.min_p > 0) {
    double bound = double{top} + std::log(double{o.min_p});
    std::erase_if(all, [&](const Candidate& c) { return c.logit < bound; });
  }
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < all.size()) {
    std::nth_element(all.begin(), all.begin() + o.top_k, all.end(), likelier);
    all.resize(static_cast<size_t>(o.top_k));
  }
  return all;
}

}  // namespace

void check(const SampleOptions& o) {
  require(o.temperature >= 0 && std::isfinite(o.temperature),
          "[sample] temperature is {}; it must be 0 or more.", o.temperature);
  require(o.top_p > 0 && o.top_p <= 1, "[sample] top_p is {}; it must be in (0, 1].", o.top_p);
  require(o.min_p >= 0 && o.min_p <= 1, "[sample] min_p is {}; it must be in [0, 1].", o.min_p);
  require(o.top_k >= 0, "[sample] top_k is {}; it must be 0 or more.", o.top_k);
  require(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty),
          "[sample] repetition_penalty is {}; it must be above 0.", o.repetition_penalty);
  require(std::isfinite(o.presence_penalty),
          "[sample] presence_penalty is {}; it must be a number.", o.presence_penalty);
  require(std::isfinite(o.frequency_penalty),
          "[sample] frequency_penalty is {}; it must be a number.", o.frequency_penalty);
  require(o.penalty_context >= 0, "[sample] penalty_context is {}; it must be 0 or more.",
          o.penalty_context);
}

Sampler::Sampler(const SampleOptions& options) : options_(options) {
  check(options);
  state_ = options.seed ? *options.seed : std::random_device{}() * uint64_t{0x9e3779b97f4a7c15};
}

// SplitMix64 (Steele, Lea and Flood 2014): 53 bits in [0, 1).
double Sampler::uniform() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

int32_t Sampler::pick(std::span<float> logits, std::span<const int32_t> recent) {
  require(!logits.empty(), "[sample] there are no logits.");
  penalise(logits, recent, options_);
  if (options_.temperature == 0)
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  auto candidates = filtered(logits, options_);
  double top = -INFINITY, total = 0;
  for (const auto& c : candidates) top = std::max(top, double{c.logit});
  std::vector<double> weights;
  for (const auto& c : candidates) {
    weights.push_back(std::exp((double{c.logit} - top) / double{options_.temperature}));
    total += weights.back();
  }
  double left = uniform() * total;
  for (size_t i = 0; i < candidates.size(); ++i)
    if ((left -= weights[i]) < 0) return candidates[i].id;
  return candidates.back().id;
}

double log_probability(std::span<const float> logits, int32_t id) {
  double top = -INFINITY, total = 0;
  for (float l : logits) top = std::max(top, double{l});
  for (float l : logits) total += std::exp(double{l} - top);
  return double{logits[static_cast<size_t>(id)]} - top - std::log(total);
}

}  // namespace tarn::lm
