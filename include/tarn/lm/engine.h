// Many answers at a time: their next tokens are computed together, in one reading of the weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tarn/lm/container.h"

namespace tarn::lm {

struct EngineOptions {
  // Answers that are made at a time, 1 to 15; others wait. Up to 15 rows, a row's numbers do not
  // depend on the others, on a GPU but for the last bits: in exact mode each answer is the one it
  // would be alone.
  int most_answers = 8;
  int most_waiting = 1024;                  // more are refused with a ValueError
  size_t prefix_bytes = size_t{256} << 20;  // for what was computed of former prompts and answers
};

struct EngineStatistics {
  int active = 0, waiting = 0;
  uint64_t answers = 0;            // ended, cancelled ones as well
  uint64_t steps = 0, tokens = 0;  // calls of a model for next tokens, and the tokens they gave
  uint64_t prompt_tokens = 0, shared_tokens = 0;  // computed; taken from what was computed before
  size_t prefix_bytes = 0;
  int prefixes = 0;
};

// Requests come and go while others are answered. The prompts' chunks take turns with the steps of
// the answers, so that a long prompt holds nobody up for longer than a chunk takes. A beginning
// that prompts have in common is computed once. Copies are the same engine; any thread may use it.
class Engine {
 public:
  explicit Engine(ModelContainer container, EngineOptions options = {});

  // Begins as soon as there is room. Events are kept until the range is read. A stop, or dropping
  // the range, takes effect within one step and frees what the answer held. The answer keeps the
  // model that is published now. Speculative decoding and a session's memory are for one answer at
  // a time and not offered here. Throws ValueError for what cannot be answered.
  Generation generate(LMInput input, const GenerateParameters& parameters = {}) const;
  Generation generate(const UserInput& input, const GenerateParameters& parameters = {}) const;

  EngineStatistics statistics() const;
  // Forgets what was computed of former prompts.
  void clear_prefixes();

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace tarn::lm
