// Processors of logits, each on a few numbers.
#include "tarn/lm/logits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "error_of.h"
#include "tarn/error.h"
#include "tarn/lm/parameters.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using testing::ElementsAre;
using Logits = std::vector<float>;
using Ids = std::vector<int32_t>;
constexpr float infinity = std::numeric_limits<float>::infinity();

Logits after(const LogitProcessor& processor, Logits logits, const Ids& tokens, size_t prompt = 0) {
  processor({tokens, prompt}, logits);
  return logits;
}

TEST(LogitProcessors, PenaltiesOfTokensSeenLately) {
  // Repetition: positive logits are divided, negative ones multiplied, once for each token.
  EXPECT_THAT(after(repetition_penalty(2), {4, -4, 4, 0}, {0, 1, 0}), ElementsAre(2, -8, 4, 0));
  EXPECT_THAT(after(presence_penalty(0.5f), {4, -4, 4}, {0, 1, 0}), ElementsAre(3.5f, -4.5f, 4));
  EXPECT_THAT(after(frequency_penalty(0.5f), {4, -4, 4}, {0, 1, 0}), ElementsAre(3, -4.5f, 4));
  // Only the last `context` tokens count; ids outside the vocabulary do not matter.
  EXPECT_THAT(after(repetition_penalty(2, 1), {4, 4}, {0, 1}), ElementsAre(4, 2));
  EXPECT_THAT(after(repetition_penalty(2, 0), {4, 4}, {0, 1}), ElementsAre(4, 4));
  EXPECT_THAT(after(presence_penalty(2, 1), {4, 4}, {0, 1}), ElementsAre(4, 2));
  EXPECT_THAT(after(frequency_penalty(2, 2), {4, 4}, {0, 1, 1}), ElementsAre(4, 0));
  EXPECT_THAT(after(repetition_penalty(2), {4, 4}, {7, -1}), ElementsAre(4, 4));
}

TEST(LogitProcessors, BiasAndMinTokens) {
  EXPECT_THAT(after(logit_bias({{1, 2.5f}, {9, 1.0f}, {-1, 1.0f}}), {1, 1}, {}),
              ElementsAre(1, 3.5f));
  auto least = min_tokens(2, {1, 7});
  EXPECT_THAT(after(least, {1, 1}, {5, 5, 0}, 2), ElementsAre(1, -infinity));
  EXPECT_THAT(after(least, {1, 1}, {5, 5, 0, 0}, 2), ElementsAre(1, 1));
}

TEST(LogitProcessors, ComposedInOrder) {
  auto doubled = [](const TokensSoFar&, std::span<float> l) { l[0] *= 2; };
  auto raised = [](const TokensSoFar&, std::span<float> l) { l[0] += 1; };
  EXPECT_THAT(after(composed({doubled, raised}), {3}, {}), ElementsAre(7));
  EXPECT_THAT(after(composed({raised, {}, doubled}), {3}, {}), ElementsAre(8));
  EXPECT_FALSE(composed({}));
}

// Tokens: 1 begins thinking, 2 3 end it.
TEST(LogitProcessors, ThinkingEndsWhenItsBudgetIsSpent) {
  auto budget = thinking_budget({.max_tokens = 2, .begin_ids = {1}, .end_ids = {2, 3}});
  const Logits any{1, 1, 1, 1};
  const auto only = [](size_t id) {
    Logits l(4, -infinity);
    l[id] = 0;
    return l;
  };
  EXPECT_EQ(after(budget, any, {0, 0, 0}, 0), any);              // it has not begun
  EXPECT_EQ(after(budget, any, {1, 0}, 0), any);                 // one token of two
  EXPECT_EQ(after(budget, any, {1, 0, 0}, 0), only(2));          // spent
  EXPECT_EQ(after(budget, any, {1, 0, 0, 2}, 0), only(3));       // and the end goes on
  EXPECT_EQ(after(budget, any, {1, 0, 0, 2, 3}, 0), any);        // it has ended
  EXPECT_EQ(after(budget, any, {1, 0, 0, 2, 3, 0, 0}, 0), any);  // the answer is free
  EXPECT_EQ(after(budget, any, {1, 2, 0, 0}, 2), any);           // the prompt does not count
  auto primed = thinking_budget({.max_tokens = 1, .end_ids = {2}});
  EXPECT_EQ(after(primed, any, {1}, 1), any);
  EXPECT_EQ(after(primed, any, {1, 0}, 1), only(2));
  // Two tokens are to be left for the answer: of 6, 3 may be thought before the end of one.
  auto answering =
      thinking_budget({.max_tokens = 100, .end_ids = {2}, .min_answer_tokens = 2, .max_answer = 6});
  EXPECT_EQ(after(answering, any, {0, 0}, 0), any);
  EXPECT_EQ(after(answering, any, {0, 0, 0}, 0), only(2));
}

TEST(LogitProcessors, ParametersComposeThemInOrder) {
  GenerateParameters p{.repetition_penalty = 2.0f,
                       .presence_penalty = 1.0f,
                       .frequency_penalty = 1.0f,
                       .logit_bias = {{1, 4.0f}},
                       .min_tokens = 1};
  p.processors = {[](const TokensSoFar&, std::span<float> l) { l[2] *= 10; }};
  // (4 + 4) / 2 - 1 - 2; the stop token cannot come yet.
  EXPECT_THAT(after(p.processor({3}), {4, 4, 1, 4}, {1, 1}, 2), ElementsAre(4, 1, 10, -infinity));
  EXPECT_FALSE(GenerateParameters{}.processor({3}));
}

TEST(LogitProcessors, NumbersOutsideTheirRange) {
  EXPECT_EQ(error_of<tarn::ValueError>([] { repetition_penalty(0); }),
            "[repetition_penalty] the penalty is 0; it must be above 0.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { repetition_penalty(infinity); }),
            "[repetition_penalty] the penalty is inf; it must be above 0.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { presence_penalty(infinity); }),
            "[presence_penalty] the penalty is inf; it must be a number.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { frequency_penalty(NAN); }),
            "[frequency_penalty] the penalty is nan; it must be a number.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { repetition_penalty(2, -1); }),
            "[repetition_penalty] the context is -1; it must be 0 or more.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { min_tokens(-1, {}); }),
            "[min_tokens] the count is -1; it must be 0 or more.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { thinking_budget({}); }),
            "[thinking_budget] there are no end_ids to end thinking with.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { check(GenerateParameters{.max_tokens = -1}); }),
            "[generate] max_tokens is -1; it must be 0 or more.");
  EXPECT_EQ(
      error_of<tarn::ValueError>([] { check(GenerateParameters{.prefill = {.step_size = 0}}); }),
      "[generate] the prefill's step_size is 0; it must be above 0.");
  EXPECT_EQ(error_of<tarn::ValueError>([] { check(GenerateParameters{.top_p = 2}); }),
            "[sample] top_p is 2; it must be in (0, 1].");
}

}  // namespace
}  // namespace tarn_test
