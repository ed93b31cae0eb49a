// What a token means inside a text: steps from the vocabulary's spelling to bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm::tokenizer {

// Rewrites one token; `first` says that it begins the text.
using DecodeStep = std::function<void(std::string& token, bool first)>;

struct Decoder {
  std::vector<DecodeStep> steps{};
  bool joined_by_spaces = false;  // a vocabulary without a decoder: " " between tokens
  char strip = ' ';               // at the start of the whole text, up to `strip_at_start` of these
  size_t strip_at_start = 0;      // are dropped

  std::string operator()(std::string_view token, bool first) const;
};

DecodeStep decode_byte_level();
DecodeStep decode_byte_fallback();
DecodeStep decode_replace(std::string from, std::string to);
// `with` stands for a space; at the start of a text for nothing, if `drop_first`.
DecodeStep decode_metaspace(std::string with, bool drop_first);
DecodeStep decode_strip(char strip, size_t left, size_t right);
// Tokens that do not begin with `prefix` begin a word. `cleanup` takes back the space before marks.
DecodeStep decode_word_piece(std::string prefix, bool cleanup);

}  // namespace tarn::lm::tokenizer
