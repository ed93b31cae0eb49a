#include "tarn/lm/sample.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_map>

#include "base/require.h"
#include "base/scalar.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

using Candidate = Sampler::Candidate;

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

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// How far below the likeliest. Equal infinities are equal, not apart by what is not a number.
float gap_below(float top, float logit) {
  float gap = top - logit;
  return gap > 0 ? gap : 0;
}
double weight_of(float gap) { return double{math::exp(-gap)}; }

// In eight lanes: one running maximum would wait for itself at each of 50,000 logits.
float largest(std::span<const float> logits) {
  constexpr size_t lanes = 8;
  float best[lanes];
  std::fill(best, best + lanes, -INFINITY);
  size_t i = 0;
  for (; i + lanes <= logits.size(); i += lanes)
    for (size_t l = 0; l < lanes; ++l) best[l] = logits[i + l] > best[l] ? logits[i + l] : best[l];
  for (; i < logits.size(); ++i) best[0] = logits[i] > best[0] ? logits[i] : best[0];
  return *std::max_element(best, best + lanes);
}

// The first of the likeliest. What is not a number is the least likely.
int32_t likeliest(std::span<const float> logits) {
  float top = largest(logits);
  auto at = std::find(logits.begin(), logits.end(), top);
  return at == logits.end() ? 0 : static_cast<int32_t>(at - logits.begin());
}

// The sum of all weights, by the kernel for it: 50,000 exponentials one by one take half as long as
// computing a token.
double total_weight(std::span<const float> logits, float top) {
  if (!std::isfinite(top)) {
    double total = 0;
    for (float l : logits) total += weight_of(gap_below(top, l));
    return total;
  }
  array all(logits.data(), Shape{static_cast<int64_t>(logits.size())}, float32);
  return std::exp(double{logsumexp(all).item<float>()} - double{top});
}

// The candidates at most `gap` below the likeliest.
void take_within(std::span<const float> logits, float top, float gap,
                 std::vector<Candidate>& into) {
  into.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    if (gap_below(top, logits[i]) <= gap) into.push_back({static_cast<int32_t>(i), logits[i]});
}

// The fewest candidates that are together as likely as `p`, likeliest first. Most of a vocabulary
// is far too unlikely to be among them, and sorting all of it takes longer than computing a token:
// so it is the candidates within a bound that are sorted, and a wider one when they do not suffice.
void take_top_p(std::span<const float> logits, float top, double p, std::vector<Candidate>& into) {
  double wanted = p * total_weight(logits, top);
  for (float gap = 4;; gap *= 2) {
    take_within(logits, top, gap, into);
    std::sort(into.begin(), into.end(), likelier);
    size_t keep = 0;
    double reached = 0;
    for (; keep < into.size() && (keep == 0 || reached < wanted); ++keep)
      reached += weight_of(gap_below(top, into[keep].logit));
    into.resize(keep);
    if (reached >= wanted || gap > 100) return;  // exp(-100) is nothing beside the rounding
  }
}

// The candidates that the filters let pass. Probabilities are those at temperature 1.
void take_filtered(std::span<const float> logits, float top, const SampleOptions& o,
                   std::vector<Candidate>& all) {
  if (o.top_p < 1)
    take_top_p(logits, top, double{o.top_p}, all);
  else
    take_within(logits, top, INFINITY, all);
  if (o.min_p > 0) {
    double bound = double{top} + std::log(double{o.min_p});
    std::erase_if(all, [&](const Candidate& c) { return c.logit < bound; });
  }
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < all.size()) {
    std::nth_element(all.begin(), all.begin() + o.top_k, all.end(), likelier);
    all.resize(static_cast<size_t>(o.top_k));
  }
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
  if (options_.temperature == 0) return likeliest(logits);
  for (float& l : logits)
    if (std::isnan(l)) l = -INFINITY;
  float top = largest(logits);
  take_filtered(logits, top, options_, candidates_);
  weights_.clear();
  double total = 0;
  for (const auto& c : candidates_) {
    weights_.push_back(weight_of(gap_below(top, c.logit) / options_.temperature));
    total += weights_.back();
  }
  double left = uniform() * total;
  for (size_t i = 0; i < candidates_.size(); ++i)
    if ((left -= weights_[i]) < 0) return candidates_[i].id;
  return candidates_.back().id;
}

double log_probability(std::span<const float> logits, int32_t id) {
  double top = -INFINITY, total = 0;
  for (float l : logits) top = std::max(top, double{l});
  for (float l : logits) total += std::exp(double{l} - top);
  return double{logits[static_cast<size_t>(id)]} - top - std::log(total);
}

}  // namespace tarn::lm
