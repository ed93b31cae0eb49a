// SentencePiece's table of characters and what they become ("precompiled_charsmap"): a double-array
// trie over UTF-8, in the layout of darts-clone, and the replacements it points to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm::tokenizer {

class CharsMap {
 public:
  // An empty blob changes nothing. `where` names file and place in errors.
  CharsMap(std::string_view blob, const std::string& where);
  bool empty() const { return units_.empty(); }

  // What some bytes at the front of a text become.
  struct Hit {
    size_t length = 0;
    std::string_view to{};
  };
  std::optional<Hit> longest(std::string_view text) const;
  std::optional<Hit> shortest(std::string_view text) const;

  // `text` as the normalizer `Precompiled` of a tokenizer.json leaves it. That one goes by grapheme
  // clusters: a short one whose beginning is in the table is replaced as a whole.
  std::string by_graphemes(std::string_view text) const;

 private:
  std::optional<Hit> find(std::string_view text, bool first) const;

  std::vector<uint32_t> units_{};
  std::string replacements_{};  // each ends with a NUL
};

}  // namespace tarn::lm::tokenizer
