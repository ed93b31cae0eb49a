// How a piece of text is cut into the words that the model sees.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lm/tokenizer/normalizer.h"
#include "lm/tokenizer/regex.h"
#include "lm/tokenizer/scanners.h"

namespace tarn::lm::tokenizer {

// A text and the words in it, left to right; what lies between words is dropped.
struct Words {
  struct Range {
    uint32_t begin = 0, end = 0;
  };
  std::string text{};
  std::vector<Range> ranges{};  // none of them empty
  Place place{};

  std::string_view of(Range r) const {
    return std::string_view(text).substr(r.begin, r.end - r.begin);
  }
};

// Cuts the words further.
using Splitter = std::function<void(Words&)>;

// What happens to the text that a pattern matches.
enum class Behavior : uint8_t {
  isolated,              // each match is a word
  removed,               // no match is part of a word
  contiguous,            // neighbouring matches are one word
  merged_with_previous,  // a match belongs to the word before it
  merged_with_next,      // … to the word behind it
};

using CharacterTest = bool (*)(uint32_t code);
using Pattern = std::variant<Regex, std::string, CharacterTest>;

// With `invert`, what lies between the matches counts as the match.
Splitter split_by(Pattern pattern, Behavior behavior, bool invert);
Splitter split_by(Scanner scanner);
// Words and runs of symbols, `\w+|[^\w\s]+`; white space is dropped.
Splitter split_words_and_symbols();

// Where the writing system changes.
Splitter split_scripts();
// After every `length` characters.
Splitter split_fixed_length(size_t length);
// Before each run of spaces as SentencePiece writes them.
Splitter split_before_spaces();
// The bytes of the words as characters of the byte-level alphabet.
Splitter spell_bytes();

enum class Prepend : uint8_t { always, first, never };
// Puts `with` for each space, and before the first word.
Splitter split_metaspace(std::string with, Prepend prepend, bool split);
// A space before each word that begins with none.
Splitter prepend_space();

}  // namespace tarn::lm::tokenizer
