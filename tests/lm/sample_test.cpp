#include "tarn/lm/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "error_of.h"
#include "tarn/error.h"

namespace tarn_test {
namespace {

using tarn::lm::SampleOptions;
using tarn::lm::Sampler;
using testing::ElementsAre;
using testing::UnorderedElementsAre;
using Logits = std::vector<float>;

// Probabilities at temperature 1: 0.5, 0.25, 0.125, 0.0625, 0.0625.
const Logits halves{std::log(8.0f), std::log(4.0f), std::log(2.0f), 0.0f, 0.0f};

std::vector<int32_t> draws(const SampleOptions& options, const Logits& logits, int count) {
  Sampler sampler(options);
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) {
    Logits copy = logits;
    ids.push_back(sampler.pick(copy));
  }
  return ids;
}

std::set<int32_t> kinds(const SampleOptions& options, const Logits& logits = halves) {
  auto ids = draws(options, logits, 2000);
  return {ids.begin(), ids.end()};
}

TEST(Sample, GreedyTakesTheLikeliestAndTheFirstOfEqualOnes) {
  EXPECT_THAT(draws({}, halves, 3), ElementsAre(0, 0, 0));
  EXPECT_THAT(draws({}, {1, 3, 2, 3}, 1), ElementsAre(1));
  EXPECT_THAT(draws({}, {-5}, 1), ElementsAre(0));
}

TEST(Sample, DrawsFollowTheProbabilities) {
  constexpr int count = 40'000;
  auto ids = draws({.temperature = 1, .seed = 5}, halves, count);
  for (auto [id, p] : {std::pair{0, 0.5}, {1, 0.25}, {2, 0.125}, {3, 0.0625}, {4, 0.0625}}) {
    auto seen = static_cast<double>(std::count(ids.begin(), ids.end(), id));
    EXPECT_NEAR(seen / count, p, 5 * std::sqrt(p * (1 - p) / count)) << id;
  }
}

TEST(Sample, TemperatureSharpensAndFlattens) {
  auto share_of_first = [](float temperature) {
    auto ids = draws({.temperature = temperature, .seed = 6}, halves, 20'000);
    return static_cast<double>(std::count(ids.begin(), ids.end(), 0)) / 20'000;
  };
  // Probabilities to the power 1 / temperature, normalised.
  EXPECT_NEAR(share_of_first(0.5f), 64.0 / (64 + 16 + 4 + 1 + 1), 0.02);
  EXPECT_NEAR(share_of_first(1000), 0.2, 0.02);
  EXPECT_NEAR(share_of_first(0.01f), 1, 1e-9);
}

TEST(Sample, TopKKeepsTheLikeliest) {
  EXPECT_THAT(kinds({.temperature = 1, .top_k = 1, .seed = 1}), UnorderedElementsAre(0));
  EXPECT_THAT(kinds({.temperature = 1, .top_k = 3, .seed = 1}), UnorderedElementsAre(0, 1, 2));
  EXPECT_THAT(kinds({.temperature = 1, .top_k = 4, .seed = 1}), UnorderedElementsAre(0, 1, 2, 3));
  EXPECT_EQ(kinds({.temperature = 1, .top_k = 99, .seed = 1}).size(), 5u);
}

TEST(Sample, TopPKeepsTheFewestThatReachIt) {
  EXPECT_THAT(kinds({.temperature = 1, .top_p = 0.1f, .seed = 1}), UnorderedElementsAre(0));
  EXPECT_THAT(kinds({.temperature = 1, .top_p = 0.49f, .seed = 1}), UnorderedElementsAre(0));
  EXPECT_THAT(kinds({.temperature = 1, .top_p = 0.6f, .seed = 1}), UnorderedElementsAre(0, 1));
  EXPECT_THAT(kinds({.temperature = 1, .top_p = 0.8f, .seed = 1}), UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(kinds({.temperature = 1, .top_p = 1, .seed = 1}).size(), 5u);
  // Measured at temperature 1, whatever the draw is made at.
  EXPECT_THAT(kinds({.temperature = 100, .top_p = 0.6f, .seed = 1}), UnorderedElementsAre(0, 1));
}

// Against sorting everything, with logits as a model gives them: a few high ones, many far below.
TEST(Sample, TopPOfALargeVocabularyIsThatOfSortingIt) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 3);
  Logits logits(50'000);
  for (float& l : logits) l = normal(random);
  Logits sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double total = 0;
  for (float l : sorted) total += std::exp(double{l});
  for (float top_p : {0.05f, 0.5f, 0.9f, 0.999f}) {
    size_t keep = 0;
    for (double reached = 0; reached < double{top_p} * total; ++keep)
      reached += std::exp(double{sorted[keep]});
    // At so high a temperature all that are left are drawn alike.
    constexpr int count = 400;
    int among_the_last_half = 0;
    for (int32_t id : draws({.temperature = 1e6f, .top_p = top_p, .seed = 3}, logits, count)) {
      float l = logits[static_cast<size_t>(id)];
      EXPECT_GE(l, sorted[keep - 1] - 1e-5f) << top_p;
      among_the_last_half += l <= sorted[keep / 2];
    }
    double share = static_cast<double>(keep - keep / 2) / static_cast<double>(keep);
    EXPECT_NEAR(among_the_last_half, share * count, 0.1 * count) << top_p;
  }
}

TEST(Sample, MinPKeepsWhatIsLikelyBesideTheLikeliest) {
  EXPECT_THAT(kinds({.temperature = 1, .min_p = 0.9f, .seed = 1}), UnorderedElementsAre(0));
  EXPECT_THAT(kinds({.temperature = 1, .min_p = 0.4f, .seed = 1}), UnorderedElementsAre(0, 1));
  EXPECT_THAT(kinds({.temperature = 1, .min_p = 0.2f, .seed = 1}), UnorderedElementsAre(0, 1, 2));
  EXPECT_EQ(kinds({.temperature = 1, .min_p = 0.1f, .seed = 1}).size(), 5u);
}

TEST(Sample, FiltersWorkTogether) {
  EXPECT_THAT(kinds({.temperature = 1, .top_p = 0.95f, .min_p = 0.2f, .top_k = 2, .seed = 1}),
              UnorderedElementsAre(0, 1));
}

// The tokens above the threshold, all but the least likely of them, are left out.
TEST(Sample, XtcExcludesTheTopChoices) {
  auto xtc = [](float probability, float threshold) {
    return SampleOptions{
        .temperature = 1, .xtc_probability = probability, .xtc_threshold = threshold, .seed = 1};
  };
  EXPECT_EQ(kinds(xtc(0, 0.1f)).size(), 5u);
  EXPECT_THAT(kinds(xtc(1, 0.1f)), UnorderedElementsAre(2, 3, 4));
  EXPECT_THAT(kinds(xtc(1, 0.2f)), UnorderedElementsAre(1, 2, 3, 4));
  // Only one token is above it: it stays.
  EXPECT_EQ(kinds(xtc(1, 0.4f)).size(), 5u);
  EXPECT_EQ(kinds(xtc(1, 0.5f)).size(), 5u);
  SampleOptions kept = xtc(1, 0.1f);
  kept.xtc_kept = {0};
  EXPECT_THAT(kinds(kept), UnorderedElementsAre(0, 2, 3, 4));
  // Before top-k: two of those that XTC leaves.
  SampleOptions with_top_k = xtc(1, 0.2f);
  with_top_k.top_k = 2;
  EXPECT_THAT(kinds(with_top_k), UnorderedElementsAre(1, 2));
  // After min-p, on what it leaves: 0.5, 0.25 and 0.125 of 0.875.
  SampleOptions with_min_p = xtc(1, 0.14f);
  with_min_p.min_p = 0.2f;
  EXPECT_THAT(kinds(with_min_p), UnorderedElementsAre(2));
  auto ids = draws(xtc(0.5f, 0.1f), halves, 20'000);
  EXPECT_NEAR(static_cast<double>(std::count(ids.begin(), ids.end(), 0)) / 20'000, 0.25, 0.02);
}

TEST(Sample, SeedDecidesTheDraws) {
  SampleOptions options{.temperature = 1, .seed = 42};
  auto first = draws(options, halves, 64);
  EXPECT_EQ(draws(options, halves, 64), first);
  options.seed = 43;
  EXPECT_NE(draws(options, halves, 64), first);
  options.seed.reset();
  EXPECT_NE(draws(options, halves, 64), draws(options, halves, 64));
}

TEST(Sample, LargeAndInfiniteLogits) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(kinds({.temperature = 1, .seed = 1}, {3e38f, -3e38f, 0}), UnorderedElementsAre(0));
  EXPECT_THAT(kinds({.temperature = 1, .top_p = 0.9f, .min_p = 0.1f, .seed = 1},
                    {-infinity, 1, 1, -infinity}),
              UnorderedElementsAre(1, 2));
}

// Whatever the logits are, an id of the vocabulary comes back.
TEST(Sample, NotNumbersStillGiveAnId) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const Logits& logits : {Logits{nan, nan, nan}, Logits{1, nan, 2}, Logits{nan, 1, 2},
                               Logits(3, -infinity), Logits(3, infinity)})
    for (SampleOptions options :
         {SampleOptions{}, SampleOptions{.temperature = 1, .seed = 1},
          SampleOptions{.temperature = 1, .top_p = 0.5f, .min_p = 0.5f, .top_k = 2, .seed = 1}}) {
      Logits copy = logits;
      int32_t id = Sampler(options).pick(copy);
      EXPECT_GE(id, 0);
      EXPECT_LT(id, 3);
    }
}

TEST(Sample, LogProbability) {
  EXPECT_NEAR(tarn::lm::log_probability(halves, 0), std::log(0.5), 1e-6);
  EXPECT_NEAR(tarn::lm::log_probability(halves, 4), std::log(0.0625), 1e-6);
  EXPECT_NEAR(tarn::lm::log_probability(Logits{1000, 0}, 1), -1000, 1e-6);
}

TEST(Sample, TopLogProbabilities) {
  auto top = tarn::lm::top_log_probabilities(halves, 4);
  ASSERT_EQ(top.size(), 4u);
  for (auto [place, p] : {std::pair{0, 0.5}, {1, 0.25}, {2, 0.125}, {3, 0.0625}}) {
    EXPECT_EQ(top[static_cast<size_t>(place)].id, place);
    EXPECT_NEAR(top[static_cast<size_t>(place)].log_prob, std::log(p), 1e-6);
  }
  EXPECT_EQ(tarn::lm::top_log_probabilities(Logits{1, 2}, 9).size(), 2u);
  EXPECT_EQ(tarn::lm::top_log_probabilities(Logits{1, 2}, 0).size(), 0u);
}

std::string refusal_of(const SampleOptions& options) {
  return error_of<tarn::ValueError>([&] { Sampler sampler(options); });
}

TEST(Sample, NumbersOutsideTheirRange) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(refusal_of({.temperature = -1}), "[sample] temperature is -1; it must be 0 or more.");
  EXPECT_EQ(refusal_of({.temperature = nan}), "[sample] temperature is nan; it must be 0 or more.");
  EXPECT_EQ(refusal_of({.temperature = infinity}),
            "[sample] temperature is inf; it must be 0 or more.");
  EXPECT_EQ(refusal_of({.top_p = 0}), "[sample] top_p is 0; it must be in (0, 1].");
  EXPECT_EQ(refusal_of({.top_p = 1.5f}), "[sample] top_p is 1.5; it must be in (0, 1].");
  EXPECT_EQ(refusal_of({.min_p = -0.5f}), "[sample] min_p is -0.5; it must be in [0, 1].");
  EXPECT_EQ(refusal_of({.min_p = 2}), "[sample] min_p is 2; it must be in [0, 1].");
  EXPECT_EQ(refusal_of({.top_k = -1}), "[sample] top_k is -1; it must be 0 or more.");
  EXPECT_EQ(refusal_of({.xtc_probability = 2}),
            "[sample] xtc_probability is 2; it must be in [0, 1].");
  EXPECT_EQ(refusal_of({.xtc_threshold = 0.75f}),
            "[sample] xtc_threshold is 0.75; it must be in [0, 0.5].");
  EXPECT_EQ(refusal_of({}), "no error");
  Sampler sampler({});
  Logits none;
  EXPECT_THROW(sampler.pick(none), tarn::ValueError);
}

}  // namespace
}  // namespace tarn_test
