#include "tarn/lm/generate.h"

#include <algorithm>
#include <chrono>
#include <deque>

#include "base/require.h"
#include "tarn/ops.h"
#include "tarn/stop.h"

namespace tarn::lm {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

array row_of(std::span<const int32_t> ids) {
  return array(ids.begin(), Shape{1, static_cast<int64_t>(ids.size())}, int32);
}

size_t common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end.first - a.begin());
}

// Where a stop string begins in `text`, and how much of its end might still become one.
struct StopSearch {
  size_t found = std::string::npos;
  size_t held = 0;
};
StopSearch search_stops(const std::string& text, const std::vector<std::string>& stops) {
  StopSearch s;
  for (const auto& stop : stops) {
    if (stop.empty()) continue;
    s.found = std::min(s.found, text.find(stop));
    for (size_t n = std::min(stop.size() - 1, text.size()); n > s.held; --n)
      if (text.compare(text.size() - n, n, stop, 0, n) == 0) s.held = n;
  }
  return s;
}

}  // namespace

double GenerationInfo::prompt_tokens_per_second() const {
  int computed = prompt_tokens - cached_tokens;
  return prompt_seconds > 0 ? computed / prompt_seconds : 0;
}
double GenerationInfo::tokens_per_second() const {
  return generate_seconds > 0 ? (generated_tokens - 1) / generate_seconds : 0;
}

struct Generation::State {
  const LanguageModel& lm;
  std::vector<int32_t> prompt;
  GenerateOptions options;
  Session own{};
  Session* session;
  Sampler sampler;
  StreamingDetokenizer detokenizer;
  GenerationInfo info{};
  std::vector<int32_t> all{};  // prompt and answer, for penalties
  std::vector<float> row{};    // logits that the sampler may change
  std::string unsent{};
  Event event{};
  Clock::time_point started{}, first_token{};
  bool begun = false, finished = false, ended = false;

  State(const LanguageModel& m, std::vector<int32_t> p, const GenerateOptions& o, Session* s)
      : lm(m),
        prompt(std::move(p)),
        options(o),
        session(s ? s : &own),
        sampler(o.sample),
        detokenizer(m.tokenizer) {
    require(!prompt.empty(), "[generate] the prompt has no tokens.");
    require(o.max_tokens >= 0, "[generate] max_tokens is {}; it must be 0 or more.", o.max_tokens);
    auto most = lm.model.shape().context;
    require(most == 0 || static_cast<int64_t>(prompt.size()) <= most,
            "[generate] the prompt has {} tokens and the model's context {}. Shorten the prompt or "
            "clear the conversation.",
            prompt.size(), most);
    auto vocabulary = lm.model.shape().vocabulary;
    for (int32_t id : prompt)
      require(id >= 0 && id < vocabulary, "[generate] token {} is outside the vocabulary of {}.",
              id, vocabulary);
  }

  // Logits of the last of `ids`, computed after what the session holds.
  array forward(std::span<const int32_t> ids) {
    PrecisionScope precision(options.precision);
    StopScope stop(options.stop);
    array logits = lm.model(row_of(ids), session->pass);
    std::vector<array> wanted{logits};
    session->pass.collect(wanted);
    try {
      eval(wanted);
    } catch (...) {
      auto known = static_cast<int64_t>(session->tokens.size());
      if (!session->pass.can_truncate(known)) *session = Session{};
      session->pass.truncate(static_cast<int64_t>(session->tokens.size()));
      // What was recorded is computed along with the next step. After a long prompt that was to
      // follow little or nothing, starting anew is cheaper.
      if (session->tokens.size() < ids.size()) *session = Session{};
      throw;
    }
    session->tokens.insert(session->tokens.end(), ids.begin(), ids.end());
    return logits;
  }

  array prefill() {
    Dtype kept = options.precision == Precision::exact ? float32 : float16;
    const auto& rows = session->pass.rows;
    // At least the last token is computed again: its logits are needed.
    size_t known = std::min(common_prefix(session->tokens, prompt), prompt.size() - 1);
    // Numbers kept for the other precision are of no use: exact answers stay exact.
    bool fits = rows.size() == 1 && rows[0].options.dtype == kept &&
                rows[0].can_truncate(static_cast<int64_t>(known));
    if (!fits) *session = Session{.pass = lm.model.new_pass({.dtype = kept})}, known = 0;
    session->pass.truncate(static_cast<int64_t>(known));
    session->tokens.resize(known);
    info.cached_tokens = static_cast<int>(known);
    std::span<const int32_t> rest(prompt.begin() + static_cast<std::ptrdiff_t>(known),
                                  prompt.end());
    auto step = static_cast<size_t>(std::max(options.prefill_step, 1));
    while (rest.size() > step) {
      forward(rest.first(step));
      rest = rest.subspan(step);
    }
    return forward(rest);
  }

  int32_t choose(const array& logits, double* log_prob) {
    const float* data = logits.data<float>();
    row.assign(data, data + logits.shape(-1));
    int32_t id = sampler.pick(row, all);
    if (log_prob) *log_prob = log_probability({data, row.size()}, id);
    return id;
  }

  bool is_stop(int32_t id) const {
    return std::find(lm.stop_ids.begin(), lm.stop_ids.end(), id) != lm.stop_ids.end();
  }

  // Runs until there is a piece to show or the answer ends. False: `event` is the last.
  void advance() {
    event = Event{};
    try {
      while (!finished && event.text.empty()) one_token();
    } catch (const Cancelled&) {
      finish("cancelled");
    }
    if (finished && event.text.empty() && event.ids.empty()) emit_info();
  }

  void one_token() {
    if (options.stop.stop_requested()) return finish("cancelled");
    bool first = !begun;
    if (first) {
      begun = true;
      started = Clock::now();
      info.prompt_tokens = static_cast<int>(prompt.size());
      all = prompt;
      if (options.max_tokens == 0) return finish("length");
    }
    array logits = first ? prefill() : forward({&all.back(), 1});
    double log_prob = 0;
    int32_t id = choose(logits, options.log_probabilities ? &log_prob : nullptr);
    if (first) {
      first_token = Clock::now();
      info.prompt_seconds = std::chrono::duration<double>(first_token - started).count();
    }
    if (is_stop(id)) return finish("stop");
    all.push_back(id);
    event.ids.push_back(id);
    if (options.log_probabilities) event.log_probs.push_back(log_prob);
    ++info.generated_tokens;
    if (take_text(detokenizer.add(id))) return finish("stop");
    auto context = lm.model.shape().context;
    bool full = context > 0 && static_cast<int64_t>(all.size()) >= context;
    if (info.generated_tokens >= options.max_tokens || full) finish("length");
  }

  // Moves text to the event, all but what a stop string might begin with. True at a stop string.
  bool take_text(std::string piece) {
    unsent += piece;
    StopSearch s = search_stops(unsent, options.stop_strings);
    if (s.found != std::string::npos) {
      event.text += unsent.substr(0, s.found);
      unsent.clear();
      return true;
    }
    event.text += unsent.substr(0, unsent.size() - s.held);
    unsent.erase(0, unsent.size() - s.held);
    return false;
  }

  void finish(const char* reason) {
    if (finished) return;
    finished = true;
    info.finish_reason = reason;
    if (info.generated_tokens > 0) info.generate_seconds = seconds_since(first_token);
    event.text += unsent + detokenizer.finish();
    unsent.clear();
  }
  void emit_info() {
    event.kind = Event::Kind::info;
    event.info = info;
    ended = true;
  }
};

const Event& Generation::Iterator::operator*() const { return state_->event; }
Generation::Iterator& Generation::Iterator::operator++() {
  if (state_->ended)
    state_ = nullptr;
  else
    state_->advance();
  return *this;
}
Generation::Iterator Generation::begin() {
  state_->advance();
  return Iterator(state_.get());
}

Generation generate(const LanguageModel& model, std::vector<int32_t> prompt,
                    const GenerateOptions& options, Session* session) {
  return Generation(
      std::make_shared<Generation::State>(model, std::move(prompt), options, session));
}

std::string respond(const LanguageModel& model, const std::string& message,
                    const GenerateOptions& options) {
  std::string answer;
  for (const auto& event : generate(model, model.encode_chat({{"user", message}}), options))
    answer += event.text;
  return answer;
}

std::vector<double> token_log_probabilities(const LanguageModel& model,
                                            const std::vector<int32_t>& tokens,
                                            Precision precision) {
  require(tokens.size() >= 2, "[token_log_probabilities] {} tokens; at least 2 are needed.",
          tokens.size());
  constexpr size_t step = 256;
  PrecisionScope scope(precision);
  Pass pass = model.model.new_pass({.dtype = precision == Precision::exact ? float32 : float16});
  pass.last_only = false;
  std::vector<double> result;
  for (size_t at = 0; at + 1 < tokens.size(); at += step) {
    size_t n = std::min(step, tokens.size() - 1 - at);
    array logits = model.model(row_of({tokens.data() + at, n}), pass);
    std::vector<array> wanted{logits};
    pass.collect(wanted);
    eval(wanted);
    auto width = static_cast<size_t>(logits.shape(-1));
    for (size_t i = 0; i < n; ++i)
      result.push_back(
          log_probability({logits.data<float>() + i * width, width}, tokens[at + i + 1]));
  }
  return result;
}

}  // namespace tarn::lm
