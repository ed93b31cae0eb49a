#include "tarn/lm/logits.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/require.h"

namespace tarn::lm {
namespace {

// Calls f(id, its logit) for those in the vocabulary.
template <class Ids, class F>
void each_logit(const Ids& ids, std::span<float> logits, F f) {
  for (int32_t id : ids)
    if (id >= 0 && static_cast<size_t>(id) < logits.size()) f(logits[static_cast<size_t>(id)]);
}

void check_context(const char* name, int context) {
  require(context >= 0, "[{}] the context is {}; it must be 0 or more.", name, context);
}

std::unordered_set<int32_t> once_each(std::span<const int32_t> ids) {
  return {ids.begin(), ids.end()};
}

// How many of `ids` the end of `tokens` already has.
size_t begun(std::span<const int32_t> tokens, const std::vector<int32_t>& ids) {
  for (size_t n = std::min(ids.size(), tokens.size()); n > 0; --n)
    if (std::equal(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n),
                   tokens.end() - static_cast<std::ptrdiff_t>(n)))
      return n;
  return 0;
}

// One past the last place of `ids` in `tokens`; nothing where they are not.
std::optional<size_t> after_last(std::span<const int32_t> tokens, const std::vector<int32_t>& ids) {
  auto at = std::find_end(tokens.begin(), tokens.end(), ids.begin(), ids.end());
  if (ids.empty() || at == tokens.end()) return std::nullopt;
  return static_cast<size_t>(at - tokens.begin()) + ids.size();
}

void allow_only(int32_t id, std::span<float> logits) {
  if (id < 0 || static_cast<size_t>(id) >= logits.size()) return;
  std::fill(logits.begin(), logits.end(), -INFINITY);
  logits[static_cast<size_t>(id)] = 0;
}

}  // namespace

std::span<const int32_t> TokensSoFar::last(int count) const {
  return all.last(std::min(all.size(), static_cast<size_t>(std::max(count, 0))));
}

LogitProcessor composed(std::vector<LogitProcessor> processors) {
  std::erase_if(processors, [](const LogitProcessor& p) { return !p; });
  if (processors.empty()) return {};
  return [all = std::move(processors)](const TokensSoFar& tokens, std::span<float> logits) {
    for (const auto& processor : all) processor(tokens, logits);
  };
}

LogitProcessor logit_bias(std::unordered_map<int32_t, float> bias) {
  return [bias = std::move(bias)](const TokensSoFar&, std::span<float> logits) {
    for (auto [id, added] : bias)
      if (id >= 0 && static_cast<size_t>(id) < logits.size())
        logits[static_cast<size_t>(id)] += added;
  };
}

LogitProcessor repetition_penalty(float penalty, int context) {
  require(penalty > 0 && std::isfinite(penalty),
          "[repetition_penalty] the penalty is {}; it must be above 0.", penalty);
  check_context("repetition_penalty", context);
  return [=](const TokensSoFar& tokens, std::span<float> logits) {
    each_logit(once_each(tokens.last(context)), logits,
               [&](float& l) { l = l > 0 ? l / penalty : l * penalty; });
  };
}

LogitProcessor presence_penalty(float penalty, int context) {
  require(std::isfinite(penalty), "[presence_penalty] the penalty is {}; it must be a number.",
          penalty);
  check_context("presence_penalty", context);
  return [=](const TokensSoFar& tokens, std::span<float> logits) {
    each_logit(once_each(tokens.last(context)), logits, [&](float& l) { l -= penalty; });
  };
}

LogitProcessor frequency_penalty(float penalty, int context) {
  require(std::isfinite(penalty), "[frequency_penalty] the penalty is {}; it must be a number.",
          penalty);
  check_context("frequency_penalty", context);
  return [=](const TokensSoFar& tokens, std::span<float> logits) {
    each_logit(tokens.last(context), logits, [&](float& l) { l -= penalty; });
  };
}

LogitProcessor min_tokens(int count, std::vector<int32_t> stop_ids) {
  require(count >= 0, "[min_tokens] the count is {}; it must be 0 or more.", count);
  return [count, stops = std::move(stop_ids)](const TokensSoFar& tokens, std::span<float> logits) {
    if (tokens.answer().size() < static_cast<size_t>(count))
      each_logit(stops, logits, [](float& l) { l = -INFINITY; });
  };
}

LogitProcessor thinking_budget(ThinkingBudget budget) {
  require(!budget.end_ids.empty(), "[thinking_budget] there are no end_ids to end thinking with.");
  require(budget.max_tokens >= 0, "[thinking_budget] max_tokens is {}; it must be 0 or more.",
          budget.max_tokens);
  return [b = std::move(budget)](const TokensSoFar& tokens, std::span<float> logits) {
    auto answer = tokens.answer();
    size_t from = 0;  // where thinking began
    if (!b.begin_ids.empty()) {
      auto begin = after_last(answer, b.begin_ids);
      if (!begin) return;
      from = *begin;
    }
    auto thought = answer.subspan(from);
    if (after_last(thought, b.end_ids)) return;
    size_t ending = begun(thought, b.end_ids);
    bool spent = thought.size() - ending >= static_cast<size_t>(b.max_tokens);
    if (b.max_answer) {
      auto left = *b.max_answer - static_cast<int64_t>(answer.size());
      spent |= left <= b.min_answer_tokens + static_cast<int64_t>(b.end_ids.size() - ending);
    }
    if (spent) allow_only(b.end_ids[ending], logits);
  };
}

}  // namespace tarn::lm
