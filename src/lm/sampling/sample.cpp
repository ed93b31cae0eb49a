#include "tarn/lm/sample.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/require.h"
#include "base/scalar.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

using Candidate = Sampler::Candidate;

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

// log(sum(exp(logits))), in double.
double log_total(std::span<const float> logits) {
  double top = -INFINITY, total = 0;
  for (float l : logits) top = std::max(top, double{l});
  for (float l : logits) total += std::exp(double{l} - top);
  return top + std::log(total);
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

// What top-p and min-p let pass. Probabilities are those at temperature 1.
void take_likely(std::span<const float> logits, float top, const SampleOptions& o,
                 std::vector<Candidate>& all) {
  if (o.top_p < 1)
    take_top_p(logits, top, double{o.top_p}, all);
  else
    take_within(logits, top, INFINITY, all);
  if (o.min_p > 0) {
    double bound = double{top} + std::log(double{o.min_p});
    std::erase_if(all, [&](const Candidate& c) { return c.logit < bound; });
  }
}

void take_top_k(int k, std::vector<Candidate>& all) {
  if (k == 0 || static_cast<size_t>(k) >= all.size()) return;
  std::nth_element(all.begin(), all.begin() + k, all.end(), likelier);
  all.resize(static_cast<size_t>(k));
}

}  // namespace

void check(const SampleOptions& o) {
  require(o.temperature >= 0 && std::isfinite(o.temperature),
          "[sample] temperature is {}; it must be 0 or more.", o.temperature);
  require(o.top_p > 0 && o.top_p <= 1, "[sample] top_p is {}; it must be in (0, 1].", o.top_p);
  require(o.min_p >= 0 && o.min_p <= 1, "[sample] min_p is {}; it must be in [0, 1].", o.min_p);
  require(o.top_k >= 0, "[sample] top_k is {}; it must be 0 or more.", o.top_k);
  require(o.xtc_probability >= 0 && o.xtc_probability <= 1,
          "[sample] xtc_probability is {}; it must be in [0, 1].", o.xtc_probability);
  require(o.xtc_threshold >= 0 && o.xtc_threshold <= 0.5f,
          "[sample] xtc_threshold is {}; it must be in [0, 0.5].", o.xtc_threshold);
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

void Sampler::exclude_top_choices() {
  if (options_.xtc_probability == 0 || uniform() >= double{options_.xtc_probability}) return;
  auto highest = std::min_element(candidates_.begin(), candidates_.end(), likelier)->logit;
  double total = 0;
  for (const auto& c : candidates_) total += weight_of(gap_below(highest, c.logit));
  double bound = double{options_.xtc_threshold} * total;
  float least = INFINITY;
  for (const auto& c : candidates_)
    if (weight_of(gap_below(highest, c.logit)) > bound) least = std::min(least, c.logit);
  const auto& kept = options_.xtc_kept;
  std::erase_if(candidates_, [&](const Candidate& c) {
    return c.logit > least && std::find(kept.begin(), kept.end(), c.id) == kept.end();
  });
}

int32_t Sampler::pick(std::span<float> logits) {
  require(!logits.empty(), "[sample] there are no logits.");
  if (options_.temperature == 0) return likeliest(logits);
  for (float& l : logits)
    if (std::isnan(l)) l = -INFINITY;
  take_likely(logits, largest(logits), options_, candidates_);
  exclude_top_choices();
  take_top_k(options_.top_k, candidates_);
  float top = std::min_element(candidates_.begin(), candidates_.end(), likelier)->logit;
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
  return double{logits[static_cast<size_t>(id)]} - log_total(logits);
}

std::vector<TokenLogProbability> top_log_probabilities(std::span<const float> logits, int count) {
  std::vector<Candidate> all;
  take_within(logits, largest(logits), INFINITY, all);
  auto n = std::min(static_cast<size_t>(std::max(count, 0)), all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(), likelier);
  double total = log_total(logits);
  std::vector<TokenLogProbability> top;
  for (size_t i = 0; i < n; ++i) top.push_back({all[i].id, double{all[i].logit} - total});
  return top;
}

}  // namespace tarn::lm
