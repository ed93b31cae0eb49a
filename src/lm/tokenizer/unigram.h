// SentencePiece's unigram model: the cut of a word whose tokens' scores have the largest sum.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tokenizer/model.h"

namespace tarn::lm::tokenizer {

class Unigram : public Model {
 public:
  static constexpr size_t kLongestToken = 256;  // bytes; bounds the work on each character

  // `scores` has an entry for each id. Without `unk`, unknown characters give nothing.
  Unigram(Tokens tokens, std::vector<double> scores, std::optional<int32_t> unk,
          bool byte_fallback);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  // The best way to reach a place in the word: the token that ends there and where it begins.
  struct Step {
    double score = 0;
    size_t from = 0;
    int32_t id = kUnreached;
  };
  static constexpr int32_t kUnreached = -2, kUnknown = -1;

  std::vector<Step> best_steps(std::string_view word) const;
  void append_unknown(std::string_view text, std::vector<int32_t>& ids) const;

  Tokens tokens_;
  std::vector<double> scores_;
  std::optional<int32_t> unk_;
  std::vector<int32_t> fallback_ids_{};
  double unknown_score_ = 0;
  std::vector<int32_t> sorted_{};  // ids by text
  std::vector<uint32_t> first_{};  // first_[b]: where the texts that begin with byte b start
};

}  // namespace tarn::lm::tokenizer
