// Logit processors: functions that change the logits before a token is chosen from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace tarn::lm {

// The tokens before the one that is to be chosen.
struct TokensSoFar {
  std::span<const int32_t> all{};  // the prompt, then the answer
  size_t prompt = 0;               // how many of them are the prompt

  std::span<const int32_t> answer() const { return all.subspan(prompt); }
  std::span<const int32_t> last(int count) const;
};

// Writes to `logits` (vocabulary,). It must be a function of the tokens alone: a speculative step
// asks it again for tokens that it has seen, and a batch asks it for several answers in turn.
using LogitProcessor = std::function<void(const TokensSoFar& tokens, std::span<float> logits)>;

// One after the other, the first one first.
LogitProcessor composed(std::vector<LogitProcessor> processors);

// Adds to the logits of these tokens. Ids outside the vocabulary do not matter, here and below.
LogitProcessor logit_bias(std::unordered_map<int32_t, float> bias);
// Divides positive logits and multiplies negative ones of each token among the last `context`
// (CTRL, arXiv 1909.05858).
LogitProcessor repetition_penalty(float penalty, int context = 20);
// Taken once from each token among the last `context`.
LogitProcessor presence_penalty(float penalty, int context = 20);
// Taken from a token as often as it is among the last `context`.
LogitProcessor frequency_penalty(float penalty, int context = 20);
// None of `stop_ids` can be chosen before the answer has `count` tokens.
LogitProcessor min_tokens(int count, std::vector<int32_t> stop_ids);

// How long a model may think before it must answer.
struct ThinkingBudget {
  int max_tokens = 0;                // between the delimiters
  std::vector<int32_t> begin_ids{};  // what begins thinking, "<think>"; empty: it is on from the
                                     // start, because the prompt's end began it
  std::vector<int32_t> end_ids{};    // what ends it, "</think>"
  int min_answer_tokens = 0;         // thinking also ends when only so many tokens are left
  std::optional<int> max_answer{};   // of all tokens that the answer may have
};
// Once the budget is spent, only the next of `end_ids` can be chosen.
LogitProcessor thinking_budget(ThinkingBudget budget);

}  // namespace tarn::lm
