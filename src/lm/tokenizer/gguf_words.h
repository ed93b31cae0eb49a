// How `tokenizer.ggml.pre` of a GGUF file cuts a text into words.
#pragma once

#include <string_view>
#include <vector>

#include "lm/tokenizer/words.h"
#include "tarn/lm/tokenizer.h"

namespace tarn::lm::tokenizer {

struct WordRule {
  std::vector<Splitter> splitters{};
  bool ignore_merges = false;  // a word that is a token is not built from merges
};

// The same as patterns, each of which cuts what the ones before it left.
struct WordPatterns {
  std::vector<std::string_view> patterns{};
  bool ignore_merges = false;
};

// Both throw FileError for a name that is not known.
WordRule word_rule(const Vocabulary& v);
WordPatterns word_patterns(const Vocabulary& v);

// A splitter whose words are the matches of a pattern and what lies between them.
Splitter split_by_pattern(std::string_view pattern, const std::string& where);

extern const std::string_view kGpt4Pattern;

}  // namespace tarn::lm::tokenizer
