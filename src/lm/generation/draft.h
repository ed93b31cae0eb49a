// Guesses of the tokens to come.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "lm/generation/decode.h"

namespace tarn::lm {

class Draft {
 public:
  virtual ~Draft() = default;
  // What may follow `tokens`, at most `count` of them; none where there is no guess.
  virtual std::vector<int32_t> guess(std::span<const int32_t> tokens, size_t count) = 0;
};

// Throws ValueError for a draft model that does not fit the other one.
std::unique_ptr<Draft> make_draft(const LanguageModel& model, const GenerateParameters& parameters);

// What followed where the last tokens stood before: the longest end of at most `longest` tokens, at
// its latest place that has `count` tokens behind it, or else at its latest.
std::vector<int32_t> look_up(std::span<const int32_t> tokens, size_t longest, size_t count);

}  // namespace tarn::lm
