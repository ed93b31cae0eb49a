// The simplest model: each word is a token or unknown.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lm/tokenizer/model.h"

namespace tarn::lm::tokenizer {

struct WordLevelOptions {
  std::optional<int32_t> unk{};  // absent: unknown words give nothing
  bool fuse_unk = false;         // neighbouring unknown words give one unk
  bool byte_fallback = false;    // unknown words become "<0x..>" tokens, if the vocabulary has all
};

class WordLevel : public Model {
 public:
  WordLevel(Tokens tokens, WordLevelOptions options);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  Tokens tokens_;
  WordLevelOptions options_;
  std::vector<int32_t> fallback_ids_{};
};

}  // namespace tarn::lm::tokenizer
