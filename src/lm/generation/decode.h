// Running a model over sequences: what is known already is not computed again.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "runtime/ahead.h"
#include "runtime/turns.h"
#include "tarn/lm/generate.h"

namespace tarn::lm {

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b);
// The logits (vocabulary,) at one position of (…, positions, vocabulary).
std::span<const float> logits_at(const array& logits, size_t position);

// What is wanted of logits.
using OfLogits = array (*)(const array& logits);
inline array all_of(const array& logits) { return logits; }
using Evaluate = std::function<void(const std::vector<array>& results)>;
inline void evaluate_now(const std::vector<array>& results) { eval(results); }
// The logits of ids, or what is wanted of them, evaluated, and the caches of the pass with it.
array compute(const LanguageModel& model, Precision precision, const array& ids, Pass& pass,
              OfLogits wanted = all_of, const Evaluate& evaluate = evaluate_now);

// One sequence.
class Decoder {
 public:
  Decoder(const LanguageModel& model, const GenerateParameters& parameters, Session& session)
      : model_(model), parameters_(parameters), session_(session) {}

  // The logits (1, 1, vocabulary) after `ids`, or after each of them (1, n, vocabulary), computed
  // behind what the session holds. Throws Cancelled on request; the session is as before then.
  array forward(std::span<const int32_t> ids, bool all_logits = false);
  // Gives a device the token that follows what the session holds, to be computed and with it the
  // likeliest one after it, which is sent to the host. What is not a number is the least likely.
  // The session's caches hold the token's position at once, its tokens with add_known().
  ArrivingNumber likeliest_after(int32_t token);
  // The same for the token that the last one gives, of which the host need not know. Where the step
  // differs from the last ones in numbers only, nothing is recorded (runtime/turns.h).
  ArrivingNumber likeliest_after_that();
  // The next tokens are recorded.
  void forget_turns() { turns_.forget(); }
  void add_known(int32_t token) { session_.tokens.push_back(token); }
  // Whether a position could be forgotten again.
  bool can_forget() const;
  // Brings the session to a beginning of `prompt` that lacks at least its last token.
  void go_back_for(std::span<const int32_t> prompt);
  // Brings the session to all of `prompt` and gives the logits after its last token.
  array prefill(std::span<const int32_t> prompt, int& cached_tokens);
  // Forgets all positions from `length` on.
  void truncate(size_t length);
  size_t length() const { return session_.tokens.size(); }

 private:
  void begin_anew();
  void keep(size_t length);
  // What is wanted of the logits of ids (1, n); when that fails the session is as before.
  array run(const array& ids, bool all_logits, OfLogits wanted, const Evaluate& evaluate);
  ArrivingNumber likeliest(array token);
  bool follows();
  template <class Compute>
  auto or_as_before(size_t positions, const Compute& compute);

  const LanguageModel& model_;
  const GenerateParameters& parameters_;
  Session& session_;
  Turns turns_{};
  std::optional<array> likeliest_{};  // (1, 1), of the last turn
  uint64_t model_version_ = 0;        // then
};

// A prompt, a chunk at a time. `prompt` must stay where it is meanwhile.
class Prefill {
 public:
  Prefill(Decoder& decoder, std::span<const int32_t> prompt, const PrefillParameters& parameters);

  // Tokens of the prompt that were known already.
  size_t known() const { return known_; }
  // Computes one chunk. After the last one, the logits of the last token.
  std::optional<array> step();

 private:
  Decoder& decoder_;
  const PrefillParameters& parameters_;
  std::span<const int32_t> prompt_;
  size_t known_, chunk_;
};

}  // namespace tarn::lm
