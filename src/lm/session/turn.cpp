#include "lm/session/turn.h"

#include "base/require.h"

namespace tarn::lm {
namespace {

void add(const GenerationInfo& round, GenerationInfo& total) {
  int tokens = total.generated_tokens + round.generated_tokens;
  GenerationInfo sum = round;
  sum.generated_tokens = tokens;
  sum.prompt_seconds += total.prompt_seconds;
  sum.generate_seconds += total.generate_seconds;
  sum.proposed_draft_tokens += total.proposed_draft_tokens;
  sum.accepted_draft_tokens += total.accepted_draft_tokens;
  sum.model_calls += total.model_calls;
  sum.rejected_tool_calls += total.rejected_tool_calls;
  total = sum;
}

}  // namespace

Busy::Busy(std::shared_ptr<ChatSession::Impl> session) : session_(std::move(session)) {
  require(!session_->is_busy.exchange(true),
          "[ChatSession] an answer is still being made; a session makes one at a time. Use fork() "
          "or another session.");
}

TurnSource::TurnSource(std::shared_ptr<ChatSession::Impl> session, std::vector<Message> messages,
                       bool is_strict)
    : session_(std::move(session)),
      busy_(session_),
      dispatches_(session_->options.tool_dispatch != nullptr),
      is_strict_(is_strict || dispatches_),
      messages_before_(session_->messages.size()),
      dropped_before_(session_->dropped) {
  for (auto& message : messages) session_->messages.push_back(std::move(message));
  try {
    begin_round();
  } catch (...) {
    roll_back();
    throw;
  }
}

// The range was dropped: the answer is kept as far as it came.
TurnSource::~TurnSource() {
  round_.reset();
  if (!has_ended_ && !keep_round() && rounds_ == 1) roll_back();
}

void TurnSource::begin_round() {
  auto model = session_->current_model();
  LMInput input = session_->prompt(*model);
  ++rounds_;
  round_.emplace(
      generate(model, std::move(input), session_->parameters(*model), &session_->memory));
  at_.reset();
}

bool TurnSource::keep_round() {
  if (text_.empty() && calls_.empty()) return false;
  session_->messages.push_back({.role = "assistant",
                                .content = std::exchange(text_, {}),
                                .tool_calls = std::exchange(calls_, {})});
  return true;
}

void TurnSource::roll_back() {
  session_->messages.resize(messages_before_);
  session_->dropped = dropped_before_;
  has_ended_ = true;
}

bool TurnSource::next_of_round(Event& event) {
  if (!at_)
    at_ = round_->begin();
  else
    ++*at_;
  if (*at_ == round_->end()) return false;
  event = **at_;
  return true;
}

bool TurnSource::next(Event& event) {
  try {
    while (!has_ended_ && next_of_round(event)) {
      // What was thought is no part of the conversation, as chat templates have it.
      if (event.kind != Event::Kind::reasoning) text_ += event.text;
      if (event.kind == Event::Kind::tool_call) calls_.push_back(event.call);
      require(!is_strict_ || event.kind != Event::Kind::rejected_tool_call,
              "[ChatSession] the model's call could not be read ({}): {}",
              name_of(event.rejected.reason), event.rejected.detail);
      if (event.kind != Event::Kind::info) return true;
      add(event.info, total_);
      bool stopped = event.info.finish_reason == "cancelled";
      bool goes_on = dispatches_ && !calls_.empty() && !stopped;
      std::vector<ToolCall> calls = calls_;
      bool is_kept = keep_round();
      if (goes_on) {
        calls_ = std::move(calls);
        run_calls();
        begin_round();
        continue;
      }
      if (!is_kept && stopped && rounds_ == 1) roll_back();
      has_ended_ = true;
      event.info = total_;
      return true;
    }
  } catch (...) {
    roll_back();
    throw;
  }
  return false;
}

void TurnSource::run_calls() {
  require(rounds_ < session_->options.most_tool_rounds,
          "[ChatSession] the model called tools {} times in a row. Allow more with "
          "most_tool_rounds.",
          rounds_);
  for (const ToolCall& call : std::exchange(calls_, {})) {
    std::string result;
    try {
      result = session_->options.tool_dispatch(call);
    } catch (const std::exception& error) {
      result = std::string("error: ") + error.what();
    }
    session_->messages.push_back(
        {.role = "tool", .content = std::move(result), .tool_call_id = call.id, .name = call.name});
  }
}

}  // namespace tarn::lm
