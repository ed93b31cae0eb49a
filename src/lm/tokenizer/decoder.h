// What a token means inside a text: steps from the vocabulary's spelling to bytes, then steps on
// the text that the bytes make.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lm/tokenizer/regex.h"
#include "tarn/lm/tokenizer.h"

namespace tarn::lm::tokenizer {

// Where a token stands among those that are decoded together.
struct Standing {
  bool first = false, last = false;
};

// Rewrites one token.
using DecodeStep = std::function<void(std::string& token, Standing)>;

// Rewrites the text that all tokens make, whole characters at a time as they come.
class TextStep {
 public:
  virtual ~TextStep() = default;
  // Appends to `out` what is certain, whatever comes; the state keeps the rest.
  virtual void add(std::string_view text, TextState& state, std::string& out) const = 0;
  virtual void finish(TextState& state, std::string& out) const = 0;
};

struct Decoder {
  std::vector<DecodeStep> steps{};
  std::vector<std::unique_ptr<const TextStep>> text_steps{};
  bool joined_by_spaces = false;  // a vocabulary without a decoder: " " between tokens
  bool drops_repeats = false;     // a token right behind the same token counts for nothing
  bool last_differs = false;      // some step looks at Standing::last

  std::string operator()(std::string_view token, Standing standing) const;
};

DecodeStep decode_byte_level();
DecodeStep decode_byte_fallback();
DecodeStep decode_replace(std::string from, std::string to);
DecodeStep decode_replace(Regex from, std::string to);
// `with` stands for a space; at the start of a text for nothing, if `drop_first`.
DecodeStep decode_metaspace(std::string with, bool drop_first);
// Up to so many of the character `strip` at either end.
DecodeStep decode_strip(std::string strip, size_t left, size_t right);
// Tokens that do not begin with `prefix` begin a word. `cleanup` takes back the space before marks.
DecodeStep decode_word_piece(std::string prefix, bool cleanup);
// `suffix` ends a word.
DecodeStep decode_word_suffix(std::string suffix);

// Speech models: `pad` separates equal tokens, `delimiter` words.
DecodeStep decode_ctc(std::string pad, std::string delimiter, bool cleanup);

std::unique_ptr<const TextStep> replace_in_text(std::string from, std::string to);
std::unique_ptr<const TextStep> strip_text(std::string strip, size_t left, size_t right);
// A step that must see the text as a whole: nothing comes before the end.
std::unique_ptr<const TextStep> whole_text(std::function<void(std::string&)> rewrite);
// Takes back the space before marks, as decode_word_piece does for one token.
std::vector<std::unique_ptr<const TextStep>> cleanup_of_text();

}  // namespace tarn::lm::tokenizer
