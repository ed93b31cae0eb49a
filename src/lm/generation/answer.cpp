#include "lm/generation/answer.h"

#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "base/require.h"
#include "lm/marks.h"

namespace tarn::lm {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

std::vector<std::string> joined_stops(std::vector<std::string> a,
                                      const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::erase(a, "");
  return a;
}

// The positions that there are; 0: any number.
int64_t most_tokens(const LanguageModel& lm, const GenerateParameters& p) {
  return p.max_kv_size ? 0 : lm.model.shape().context;
}

void check_prompt(const LanguageModel& lm, const std::vector<int32_t>& prompt, int64_t most) {
  require(!prompt.empty(), "[generate] the prompt has no tokens.");
  require(most == 0 || static_cast<int64_t>(prompt.size()) <= most,
          "[generate] the prompt has {} tokens and the model's context {}. Shorten the prompt or "
          "clear the conversation.",
          prompt.size(), most);
  auto vocabulary = lm.model.shape().vocabulary;
  for (int32_t id : prompt)
    require(id >= 0 && id < vocabulary, "[generate] token {} is outside the vocabulary of {}.", id,
            vocabulary);
}

// Whether the prompt has begun a thought, as some templates do.
bool begins_inside(const LanguageModel& lm, std::span<const int32_t> prompt, const Reasoning& r) {
  // The mark and the space behind it have at most so many tokens.
  size_t most = r.begin.size() + 4;
  std::string end = lm.tokenizer.decode(prompt.last(std::min(most, prompt.size())));
  end.resize(end.find_last_not_of(" \t\r\n") + 1);
  return end.ends_with(r.begin);
}

void check_adapter(const LanguageModel& lm, const nn::AdapterChoice& choice) {
  if (choice.name.empty()) return;
  std::vector<std::string> known;
  for (const LoadedAdapter& a : lm.adapters)
    if (a.on_request) known.push_back(printable(a.name));
  bool found = std::any_of(lm.adapters.begin(), lm.adapters.end(),
                           [&](const auto& a) { return a.on_request && a.name == choice.name; });
  require(found, "[generate] the model has no adapter \"{}\" on request; {}.",
          printable(choice.name),
          known.empty() ? "it has none" : fmt::format("it has {}", joined(known)));
  require(std::isfinite(choice.weight),
          "[generate] the weight of adapter \"{}\" is {}; a number "
          "is needed.",
          printable(choice.name), choice.weight);
}

}  // namespace

double GenerationInfo::prompt_tokens_per_second() const {
  int computed = prompt_tokens - cached_tokens;
  return prompt_seconds > 0 ? computed / prompt_seconds : 0;
}
double GenerationInfo::tokens_per_second() const {
  return generate_seconds > 0 ? (generated_tokens - 1) / generate_seconds : 0;
}

std::string StopStrings::feed(const std::string& piece) {
  if (found_) return "";
  held_ += piece;
  FoundMark stop = first_mark(held_, stops_);
  found_ = stop.is_there();
  size_t kept = held_back(held_, stops_);
  std::string text = held_.substr(0, found_ ? stop.at : held_.size() - kept);
  held_ = found_ ? "" : held_.substr(held_.size() - kept);
  return text;
}

Answer::Answer(std::shared_ptr<const LanguageModel> model, LMInput input,
               const GenerateParameters& parameters)
    : model_(std::move(model)),
      parameters_(parameters),
      tokens_(std::move(input.tokens)),
      prompt_size_(tokens_.size()),
      processor_(parameters.processor(model_->stop_ids)),
      sampler_(parameters.sampling()),
      detokenizer_(model_->tokenizer),
      stops_(joined_stops(parameters.stop_strings, model_->stop_strings)) {
  check(parameters);
  check_prompt(*model_, tokens_, most_tokens(*model_, parameters_));
  check_adapter(*model_, parameters_.adapter);
  if (!input.tools.empty() && model_->tool_call_format != ToolCallFormat::none)
    tools_.emplace(model_->tool_call_format, input.tools);
  if (parameters.reasoning)
    thoughts_.emplace(*parameters.reasoning,
                      begins_inside(*model_, prompt(), *parameters.reasoning));
}

void Answer::begin() {
  started_ = Clock::now();
  info.prompt_tokens = static_cast<int>(prompt_size_);
  if (cancel_requested())
    finish("cancelled");
  else if (parameters_.max_tokens == 0)
    finish("length");
}

int32_t Answer::step(std::span<const float> logits) {
  row_.assign(logits.begin(), logits.end());
  if (processor_) processor_({tokens_, prompt_size_}, row_);
  const auto& p = parameters_;
  bool wants_row = p.log_probabilities || p.top_log_probabilities > 0;
  std::vector<float> before;
  if (wants_row && p.pick) before = row_;  // a sampler of the user's may write to it
  int32_t id = p.pick ? p.pick(row_) : sampler_.pick(row_);
  require(id >= 0 && static_cast<size_t>(id) < logits.size(),
          "[generate] the sampler chose token {} of a vocabulary of {}.", id, logits.size());
  note_first_token();
  if (is_stop(id)) {
    finish("stop");
    return id;
  }
  std::span<const float> row = before.empty() ? row_ : before;
  if (p.log_probabilities) pending_.log_probs.push_back(log_probability(row, id));
  if (p.top_log_probabilities > 0)
    pending_.top_log_probs.push_back(lm::top_log_probabilities(row, p.top_log_probabilities));
  take(id);
  return id;
}

bool Answer::takes_likeliest() const {
  const auto& p = parameters_;
  return p.temperature == 0 && !processor_ && !p.pick && !p.log_probabilities &&
         p.top_log_probabilities == 0;
}

void Answer::step(int32_t likeliest) {
  note_first_token();
  if (is_stop(likeliest)) return finish("stop");
  take(likeliest);
}

void Answer::note_first_token() {
  if (info.generated_tokens > 0) return;
  first_token_ = Clock::now();
  info.prompt_seconds = seconds_between(started_, first_token_);
}

void Answer::take(int32_t id) {
  tokens_.push_back(id);
  pending_.ids.push_back(id);
  ++info.generated_tokens;
  std::string text = detokenizer_.add(id);
  if (is_mark(id)) text += model_->tokenizer.token_text(id);
  take_text(stops_.feed(text));
  if (stops_.found()) return finish("stop");
  if (info.generated_tokens == parameters_.max_tokens || is_full()) return finish("length");
  if (!pending_.text.empty()) flush();
}

// Of a thought or a call: control tokens that are read as text.
bool Answer::is_mark(int32_t id) const {
  const auto& tokenizer = model_->tokenizer;
  if (!tokenizer.is_special(id)) return false;
  std::string_view text = tokenizer.token_text(id);
  return (thoughts_ && thoughts_->is_mark(text)) || (tools_ && tools_->is_mark(text));
}

void Answer::take_text(const std::string& text) {
  if (thoughts_)
    take_parts(thoughts_->feed(text));
  else
    take_answer(text);
}

void Answer::take_parts(std::vector<ReasoningReader::Part> parts) {
  for (auto& part : parts) {
    auto kind = part.is_thought ? Event::Kind::reasoning : Event::Kind::chunk;
    // The tokens of a piece in which a thought ends go with what follows it.
    if (kind != pending_.kind && !pending_.text.empty())
      ready_.push_back({.kind = pending_.kind, .text = std::exchange(pending_.text, {})});
    pending_.kind = kind;
    if (part.is_thought)
      pending_.text += part.text;
    else
      take_answer(part.text);
  }
}

void Answer::take_answer(const std::string& text) {
  if (tools_)
    add_parts(tools_->feed(text));
  else
    pending_.text += text;
}

void Answer::add_parts(std::vector<ToolCallParser::Part> parts) {
  for (auto& part : parts) {
    pending_.text += part.text;
    if (!part.call && !part.rejected) continue;
    // The tokens behind text that stands before the call in the same piece go with the call.
    if (!pending_.text.empty()) ready_.push_back({.text = std::exchange(pending_.text, {})});
    if (part.rejected) ++info.rejected_tool_calls;
    pending_.kind = part.call ? Event::Kind::tool_call : Event::Kind::rejected_tool_call;
    if (part.call) pending_.call = std::move(*part.call);
    if (part.rejected) pending_.rejected = std::move(*part.rejected);
    flush();
  }
}

void Answer::flush() { ready_.push_back(std::exchange(pending_, {})); }

void Answer::finish(const char* reason) {
  if (finished_) return;
  finished_ = true;
  info.finish_reason = reason;
  if (info.generated_tokens > 0)
    info.generate_seconds = seconds_between(first_token_, Clock::now());
  if (!stops_.found()) take_text(stops_.finish() + detokenizer_.finish());
  if (thoughts_) take_parts(thoughts_->finish());
  if (tools_) add_parts(tools_->finish());
  if (!pending_.text.empty() || !pending_.ids.empty()) flush();
  ready_.push_back({.kind = Event::Kind::info, .info = info});
}

bool Answer::next(Event& event) {
  if (ready_.empty()) return false;
  event = std::move(ready_.front());
  ready_.pop_front();
  return true;
}

bool Answer::is_stop(int32_t id) const {
  const auto& stops = model_->stop_ids;
  return std::find(stops.begin(), stops.end(), id) != stops.end();
}

bool Answer::is_full() const {
  auto context = most_tokens(*model_, parameters_);
  return context > 0 && static_cast<int64_t>(tokens_.size()) >= context;
}

}  // namespace tarn::lm
