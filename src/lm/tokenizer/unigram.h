// SentencePiece's unigram model: the cut of a word whose tokens' scores have the largest sum.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tokenizer/model.h"

namespace tarn::lm::tokenizer {

struct UnigramOptions {
  std::optional<int32_t> unk{};          // absent: unknown characters give nothing
  bool byte_fallback = false;            // unknown characters become "<0x..>" tokens
  bool single_precision = false;         // add up scores as SentencePiece does
  std::vector<bool> left_out{};          // by id: tokens that no text becomes; may be empty
  std::optional<double> lowest_score{};  // what unknown characters are worse than; else the lowest
};

class Unigram : public Model {
 public:
  static constexpr size_t kLongestToken = 256;  // bytes; bounds the work on each character

  // `scores` has an entry for each id.
  Unigram(Tokens tokens, std::vector<double> scores, UnigramOptions options);
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
  UnigramOptions options_;
  std::vector<int32_t> fallback_ids_{};
  double unknown_score_ = 0;
  std::vector<int32_t> sorted_{};  // ids by text
  std::vector<uint32_t> first_{};  // first_[b]: where the texts that begin with byte b start
};

}  // namespace tarn::lm::tokenizer
