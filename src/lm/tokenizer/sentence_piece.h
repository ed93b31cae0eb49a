// SentencePiece's own normalizer, and the tokenizers made of its vocabularies.
#pragma once

#include <string>

#include "lm/tokenizer/added_tokens.h"
#include "lm/tokenizer/charsmap.h"
#include "lm/tokenizer/parts.h"

namespace tarn::lm::tokenizer {

// What a token of SentencePiece or GGUF is for.
enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

inline int32_t type_of(const Vocabulary& v, size_t id) {
  return v.types.empty() ? kNormal : v.types[id];
}

inline bool is_sentence_piece(const Vocabulary& v) {
  return v.model == "llama" || v.model == "t5" || v.model == "word" || v.model == "char";
}

struct SentencePieceNormalizer {
  CharsMap map;
  AddedTokens untouched{};  // the user's own tokens stay as they are
  bool add_prefix = true;   // a space before the text, or behind it
  bool space_as_suffix = false;
  bool remove_extra_spaces = false;
  std::string space{};  // what a space becomes

  std::string operator()(const std::string& text, Place place) const;

 private:
  struct Read {
    size_t length = 0;
    std::string_view to{};
  };
  Read read(std::string_view text, size_t at) const;
};

// Whether no merge of the vocabulary joins a space to what stands before it, so that a text may be
// cut before each run of spaces without a change to its tokens.
bool words_begin_with_spaces(const TokenTable& tokens);

// Makes everything but the added tokens; parts.tokens is there already.
void make_sentence_piece(const Vocabulary& v, Parts& parts);

}  // namespace tarn::lm::tokenizer
