// BERT's model: the longest token that begins a word, then the longest that continues it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tokenizer/model.h"

namespace tarn::lm::tokenizer {

struct WordPieceOptions {
  std::optional<int32_t> unk{};          // what a word that does not come out evenly becomes
  std::string continuing_prefix = "##";  // before every token but a word's first
  size_t longest_word = 100;             // in characters; longer ones are unknown
};

class WordPiece : public Model {
 public:
  static constexpr size_t kLongestToken = 256;  // bytes; bounds the work on each character

  WordPiece(Tokens tokens, WordPieceOptions options)
      : tokens_(std::move(tokens)), options_(std::move(options)) {}
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  Tokens tokens_;
  WordPieceOptions options_;
};

}  // namespace tarn::lm::tokenizer
