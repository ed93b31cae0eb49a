// From examples to tokens, and which of them count.
#include <algorithm>

#include "base/printable.h"
#include "base/require.h"
#include "lm/train/examples.h"

namespace tarn::lm {
namespace {

using Ids = std::vector<int32_t>;

std::optional<int32_t> end_of(const LanguageModel& lm) {
  if (auto eos = lm.tokenizer.eos()) return eos;
  if (!lm.stop_ids.empty()) return lm.stop_ids.front();
  return std::nullopt;
}

void add_end(const LanguageModel& lm, Ids& ids) {
  auto end = end_of(lm);
  if (end && (ids.empty() || ids.back() != *end)) ids.push_back(*end);
}

TrainSample counting_from(Ids ids, size_t from) {
  TrainSample sample;
  sample.counts.assign(ids.size(), 0);
  for (size_t i = std::max<size_t>(from, 1); i < ids.size(); ++i) sample.counts[i] = 1;
  sample.ids = std::move(ids);
  return sample;
}

size_t common_prefix(const Ids& a, const Ids& b) {
  size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<int64_t>(n), b.begin()).first - a.begin());
}

// What stands between the prompt of each answer and its end counts. Templates may write an earlier
// answer differently once others follow (without its thoughts); such an answer does not count.
void count_answers(const Example& example, const LanguageModel& lm, TrainSample& sample) {
  std::fill(sample.counts.begin(), sample.counts.end(), 0);
  for (size_t turn = 0; turn < example.messages.size(); ++turn) {
    if (example.messages[turn].role != "assistant") continue;
    require(turn > 0,
            "an answer stands first, and only answers count: what comes before it is "
            "needed");
    auto until = [&](size_t n, bool asks) {
      std::vector<Message> messages(example.messages.begin(),
                                    example.messages.begin() + static_cast<int64_t>(n));
      return lm.encode_chat(messages, {.add_generation_prompt = asks, .tools = example.tools});
    };
    bool last = turn + 1 == example.messages.size();
    Ids asked = until(turn, true), answered = last ? sample.ids : until(turn + 1, false);
    size_t begin = common_prefix(asked, sample.ids);
    if (!last && (begin < asked.size() || common_prefix(answered, sample.ids) < answered.size()))
      continue;
    for (size_t i = std::max<size_t>(begin, 1); i < answered.size(); ++i) sample.counts[i] = 1;
  }
}

TrainSample encode_chat_example(const Example& example, const LanguageModel& lm, bool mask_prompt) {
  TrainSample sample = counting_from(
      lm.encode_chat(example.messages, {.add_generation_prompt = false, .tools = example.tools}),
      1);
  if (mask_prompt) count_answers(example, lm, sample);
  return sample;
}

// For models without a template: one after the other.
TrainSample encode_completion(const Example& example, const LanguageModel& lm, bool mask_prompt) {
  Ids ids = lm.tokenizer.encode(example.messages[0].content,
                                {.add_special_tokens = false, .parse_special = false});
  if (auto bos = lm.tokenizer.bos()) ids.insert(ids.begin(), *bos);
  size_t prompt = ids.size();
  Ids answer = lm.tokenizer.encode(example.messages[1].content,
                                   {.add_special_tokens = false, .parse_special = false});
  ids.insert(ids.end(), answer.begin(), answer.end());
  add_end(lm, ids);
  return counting_from(std::move(ids), mask_prompt ? prompt : 1);
}

TrainSample encoded(const Example& example, const LanguageModel& lm, bool mask_prompt) {
  if (example.messages.empty()) {
    Ids ids = lm.tokenizer.encode(example.text, {.add_special_tokens = true});
    add_end(lm, ids);
    return counting_from(std::move(ids), 1);
  }
  if (lm.chat_template) return encode_chat_example(example, lm, mask_prompt);
  if (example.is_completion) return encode_completion(example, lm, mask_prompt);
  fail(
      "{} has no chat template for \"messages\"; use {{\"prompt\": ..., \"completion\": ...}} or "
      "{{\"text\": ...}}",
      lm.name);
}

}  // namespace

TrainSample encode_example(const Example& example, const LanguageModel& lm, bool mask_prompt,
                           const std::string& file) {
  try {
    TrainSample sample = encoded(example, lm, mask_prompt);
    sample.line = example.line;
    return sample;
  } catch (const ValueError& error) {
    fail<FileError>("[data] {}, line {}, column 1: {}.", printable(file, 4096), example.line,
                    error.what());
  }
}

}  // namespace tarn::lm
