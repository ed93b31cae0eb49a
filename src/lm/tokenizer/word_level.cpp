#include "lm/tokenizer/word_level.h"

namespace tarn::lm::tokenizer {

WordLevel::WordLevel(Tokens tokens, WordLevelOptions options)
    : tokens_(std::move(tokens)), options_(options) {
  if (options_.byte_fallback) fallback_ids_ = byte_token_ids(*tokens_);
}

void WordLevel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (auto id = tokens_->find(word)) {
    ids.push_back(*id);
  } else if (!fallback_ids_.empty()) {
    for (char byte : word) ids.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
  } else if (options_.unk) {
    bool repeats = options_.fuse_unk && !ids.empty() && ids.back() == *options_.unk;
    if (!repeats) ids.push_back(*options_.unk);
  }
}

}  // namespace tarn::lm::tokenizer
