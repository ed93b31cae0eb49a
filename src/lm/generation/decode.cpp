#include "lm/generation/decode.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/require.h"
#include "tarn/ops.h"
#include "tarn/stop.h"

namespace tarn::lm {
namespace {

// How many of `left` tokens to compute at a time.
size_t chunk_size(const PrefillParameters& p, size_t left) {
  auto step = static_cast<size_t>(p.step_size);
  if (p.chunking == PrefillParameters::Chunking::unchunked) return left;
  if (p.chunking == PrefillParameters::Chunking::remainder) return std::min(step, left);
  size_t chunks = (left + step - 1) / step;
  return (left + chunks - 1) / chunks;
}

}  // namespace

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end.first - a.begin());
}

std::span<const float> logits_at(const array& logits, size_t position) {
  auto width = static_cast<size_t>(logits.shape(-1));
  return {logits.data<float>() + position * width, width};
}

array compute(const LanguageModel& model, Precision precision, const array& ids, Pass& pass,
              OfLogits wanted, const Evaluate& evaluate) {
  PrecisionScope scope(precision);
  std::vector<array> results{wanted(model.model(ids, pass))};
  pass.collect(results);
  evaluate(results);
  return results[0];
}

// compute(), which adds positions; when that fails the session is as before.
template <class Compute>
auto Decoder::or_as_before(size_t positions, const Compute& compute) {
  StopScope stop(parameters_.stop);
  try {
    auto result = compute();
    session_.unfinished = 0;
    return result;
  } catch (...) {
    session_.unfinished += positions;
    keep(session_.tokens.size());
    throw;
  }
}

array Decoder::run(const array& ids, bool all_logits, OfLogits wanted, const Evaluate& evaluate) {
  session_.pass.last_only = !all_logits;
  session_.pass.adapters = {parameters_.adapter};
  return or_as_before(ids.size(), [&] {
    return compute(model_, parameters_.precision, ids, session_.pass, wanted, evaluate);
  });
}

array Decoder::forward(std::span<const int32_t> ids, bool all_logits) {
  turns_.forget();
  array on_host(ids.begin(), Shape{1, static_cast<int64_t>(ids.size())}, int32);
  array logits = run(on_host, all_logits, all_of, evaluate_now);
  session_.tokens.insert(session_.tokens.end(), ids.begin(), ids.end());
  return logits;
}

ArrivingNumber Decoder::likeliest(array token) {
  auto of_logits = [](const array& logits) {
    return argmax(where(isnan(logits), array(-INFINITY), logits), -1);
  };
  auto evaluate = [&](const std::vector<array>& results) {
    token = array();  // so that its memory may be taken over
    turns_.evaluate(results);
  };
  likeliest_ = run(token, false, of_logits, evaluate);
  model_version_ = model_.model.version();
  return ArrivingNumber(*likeliest_);
}
ArrivingNumber Decoder::likeliest_after(int32_t token) {
  turns_.forget();
  return likeliest(array({static_cast<uint32_t>(token)}, {1, 1}));
}
ArrivingNumber Decoder::likeliest_after_that() {
  if (or_as_before(1, [&] { return follows(); })) return ArrivingNumber(*likeliest_);
  return likeliest(*std::exchange(likeliest_, std::nullopt));
}
bool Decoder::follows() {
  Pass& pass = session_.pass;
  if (model_version_ != model_.model.version() || !pass.goes_on()) return false;
  std::vector<array> state{*likeliest_};
  pass.collect(state);
  if (!turns_.follow(state)) return false;
  pass.add_position();
  return true;
}

bool Decoder::can_forget() const {
  return session_.pass.can_truncate(static_cast<int64_t>(session_.tokens.size()) - 1);
}

void Decoder::begin_anew() {
  turns_.forget();
  session_ = Session{.pass = model_.model.new_pass(parameters_.caching())};
  session_.pass.rows[0].adapter = parameters_.adapter;
}

// What was recorded is computed along with the next step. Where less than that is to be kept,
// starting anew is cheaper.
void Decoder::keep(size_t length) {
  length < session_.unfinished ? begin_anew() : truncate(length);
}

void Decoder::truncate(size_t length) {
  turns_.forget();
  auto to = static_cast<int64_t>(length);
  if (!session_.pass.can_truncate(to)) return begin_anew();
  session_.pass.truncate(to);
  session_.tokens.resize(length);
}

void Decoder::go_back_for(std::span<const int32_t> prompt) {
  // Numbers kept in another way are of no use: exact answers stay exact. Those of another adapter
  // are others.
  const auto& rows = session_.pass.rows;
  if (rows.size() != 1 || rows[0].options != parameters_.caching() ||
      rows[0].adapter != parameters_.adapter)
    begin_anew();
  // At least the last token is computed again: its logits are needed.
  keep(std::min(common_prefix(session_.tokens, prompt), prompt.size() - 1));
}

array Decoder::prefill(std::span<const int32_t> prompt, int& cached_tokens) {
  Prefill prefill(*this, prompt, parameters_.prefill);
  cached_tokens = static_cast<int>(prefill.known());
  for (;;)
    if (auto logits = prefill.step()) return *logits;
}

Prefill::Prefill(Decoder& decoder, std::span<const int32_t> prompt,
                 const PrefillParameters& parameters)
    : decoder_(decoder), parameters_(parameters), prompt_(prompt) {
  decoder.go_back_for(prompt);
  known_ = decoder.length();
  chunk_ = chunk_size(parameters, prompt.size() - known_);
}

std::optional<array> Prefill::step() {
  size_t done = decoder_.length(), n = std::min(chunk_, prompt_.size() - done);
  array logits = decoder_.forward(prompt_.subspan(done, n));
  done += n;
  if (parameters_.progress)
    parameters_.progress(static_cast<int>(done - known_),
                         static_cast<int>(prompt_.size() - known_));
  if (done < prompt_.size()) return std::nullopt;
  return logits;
}

}  // namespace tarn::lm
