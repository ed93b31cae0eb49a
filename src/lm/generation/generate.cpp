#include "tarn/lm/generate.h"

#include <algorithm>

#include "base/require.h"
#include "lm/generation/answer.h"
#include "lm/generation/decode.h"
#include "lm/generation/draft.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

// One sequence, a token or a judged guess at a time.
class SequenceSource final : public Generation::Source {
 public:
  SequenceSource(std::shared_ptr<const LanguageModel> model, LMInput input,
                 const GenerateParameters& parameters, Session* session)
      : answer_(std::move(model), std::move(input), parameters),
        session_(session ? *session : own_),
        decoder_(answer_.model(), answer_.parameters(), session_) {
    if (parameters.speculative) draft_ = make_draft(answer_.model(), answer_.parameters());
  }
  SequenceSource(const SequenceSource&) = delete;
  SequenceSource& operator=(const SequenceSource&) = delete;
  ~SequenceSource() override { forget_ahead(); }

  bool next(Event& event) override {
    while (!answer_.next(event)) {
      if (answer_.finished()) return false;
      try {
        advance();
      } catch (const Cancelled&) {
        answer_.finish("cancelled");
      }
      if (answer_.finished()) forget_ahead();
    }
    return true;
  }

 private:
  void advance() {
    bool first = !std::exchange(begun_, true);
    if (first) answer_.begin();
    if (answer_.cancel_requested()) answer_.finish("cancelled");
    if (answer_.finished()) return;
    const auto& tokens = answer_.tokens();
    if (first) {
      answer_.step(logits_at(decoder_.prefill(tokens, answer_.info.cached_tokens), 0));
      return;
    }
    ++answer_.info.model_calls;
    std::vector<int32_t> guess = guessed();
    if (guess.empty() && default_device() == Device::gpu && answer_.takes_likeliest())
      answer_.step(next_likeliest());
    else if (guess.empty())
      answer_.step(logits_at(decoder_.forward({&tokens.back(), 1}), 0));
    else
      judge(guess);
  }

  // The next token, which the device has been computing. It goes on with the one behind it before
  // this one is read, so that it never waits for the host.
  int32_t next_likeliest() {
    const int32_t last = answer_.tokens().back();
    if (!ahead_) ahead_ = decoder_.likeliest_after(last);
    decoder_.add_known(last);
    ArrivingNumber now = *std::exchange(ahead_, std::nullopt);
    // Whoever goes on with the session finds no position in it that is not of the answer.
    if (!draft_ && can_follow() > 0 && (&session_ == &own_ || decoder_.can_forget()))
      ahead_ = decoder_.likeliest_after_that();
    return static_cast<int32_t>(now.wait());
  }
  void forget_ahead() {
    if (!std::exchange(ahead_, std::nullopt) || &session_ == &own_) return;
    decoder_.truncate(decoder_.length());
  }

  // The most tokens that can still be said behind the next one.
  int64_t can_follow() const {
    const auto& p = answer_.parameters();
    int64_t most = INT64_MAX;
    if (p.max_tokens) most = *p.max_tokens - answer_.info.generated_tokens - 1;
    if (auto context = answer_.model().model.shape().context)
      most = std::min(most, context - static_cast<int64_t>(answer_.tokens().size()) - 1);
    return most;
  }
  std::vector<int32_t> guessed() {
    if (!draft_) return {};
    int64_t most = std::min<int64_t>(answer_.parameters().speculative->draft_tokens, can_follow());
    if (most < 1) return {};
    return draft_->guess(answer_.tokens(), static_cast<size_t>(most));
  }

  // The model's choice behind the last token and behind each guessed one, until it differs.
  void judge(const std::vector<int32_t>& guess) {
    std::vector<int32_t> ids{answer_.tokens().back()};
    ids.insert(ids.end(), guess.begin(), guess.end());
    array logits = decoder_.forward(ids, true);
    answer_.info.proposed_draft_tokens += static_cast<int>(guess.size());
    for (size_t i = 0; i < ids.size() && !answer_.finished(); ++i) {
      int32_t id = answer_.step(logits_at(logits, i));
      if (i == guess.size() || id != guess[i]) break;
      ++answer_.info.accepted_draft_tokens;
    }
    decoder_.truncate(answer_.tokens().size() - 1);
  }

  Answer answer_;
  Session own_{};
  Session& session_;
  Decoder decoder_;
  std::unique_ptr<Draft> draft_{};
  std::optional<ArrivingNumber> ahead_{};  // likeliest token behind all that the session holds
  bool begun_ = false;
};

}  // namespace

Generation generate(std::shared_ptr<const LanguageModel> model, LMInput input,
                    const GenerateParameters& parameters, Session* session) {
  return Generation(
      std::make_shared<SequenceSource>(std::move(model), std::move(input), parameters, session));
}

Generation generate(const LanguageModel& model, std::vector<int32_t> prompt,
                    const GenerateParameters& parameters, Session* session) {
  std::shared_ptr<const LanguageModel> not_owned(std::shared_ptr<void>(), &model);
  return generate(std::move(not_owned), {.tokens = std::move(prompt)}, parameters, session);
}

GenerationInfo for_each_event(Generation generation,
                              const std::function<bool(const Event&)>& on_event) {
  GenerationInfo info;
  for (const Event& event : generation) {
    if (event.kind == Event::Kind::info) info = event.info;
    if (!on_event(event)) {
      info.finish_reason = "cancelled";
      break;
    }
  }
  return info;
}

std::string text_of(Generation generation) {
  std::string text;
  for (const Event& event : generation)
    if (event.kind == Event::Kind::chunk) text += event.text;
  return text;
}

std::string respond(const LanguageModel& model, const std::string& message,
                    const GenerateParameters& parameters) {
  return text_of(generate(model, model.encode_chat({{"user", message}}), parameters));
}

std::vector<double> token_log_probabilities(const LanguageModel& model,
                                            const std::vector<int32_t>& tokens,
                                            Precision precision) {
  require(tokens.size() >= 2, "[token_log_probabilities] {} tokens; at least 2 are needed.",
          tokens.size());
  constexpr size_t step = 256;
  GenerateParameters parameters{.precision = precision};
  Session session{.pass = model.model.new_pass(parameters.caching())};
  Decoder decoder(model, parameters, session);
  std::vector<double> result;
  for (size_t at = 0; at + 1 < tokens.size(); at += step) {
    size_t n = std::min(step, tokens.size() - 1 - at);
    array logits = decoder.forward({tokens.data() + at, n}, true);
    for (size_t i = 0; i < n; ++i)
      result.push_back(log_probability(logits_at(logits, i), tokens[at + i + 1]));
  }
  return result;
}

}  // namespace tarn::lm
