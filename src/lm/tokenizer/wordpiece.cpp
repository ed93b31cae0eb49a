#include "lm/tokenizer/wordpiece.h"

#include <algorithm>

#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {

void WordPiece::encode(std::string_view word, std::vector<int32_t>& ids) const {
  auto give_up = [&](size_t begin) {
    ids.resize(begin);
    if (options_.unk) ids.push_back(*options_.unk);
  };
  size_t begin = ids.size();
  auto starts_character = [](char c) { return (c & 0xC0) != 0x80; };
  auto characters = std::count_if(word.begin(), word.end(), starts_character);
  if (static_cast<size_t>(characters) > options_.longest_word) return give_up(begin);

  std::string candidate;
  for (size_t at = 0; at < word.size();) {
    size_t end = std::min(word.size(), at + tokens_->longest());
    std::optional<int32_t> id;
    for (; end > at; --end) {
      if (end < word.size() && !starts_character(word[end])) continue;
      candidate.assign(at > 0 ? options_.continuing_prefix : std::string());
      candidate.append(word.substr(at, end - at));
      id = tokens_->find(candidate);
      if (id) break;
    }
    if (!id) return give_up(begin);
    ids.push_back(*id);
    at = end;
  }
}

}  // namespace tarn::lm::tokenizer
