// Everything a tokenizer is made of; filled once by a loader, then only read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lm/tokenizer/added_tokens.h"
#include "lm/tokenizer/decoder.h"
#include "lm/tokenizer/model.h"
#include "lm/tokenizer/normalizer.h"
#include "lm/tokenizer/words.h"
#include "tarn/lm/tokenizer.h"

namespace tarn::lm::tokenizer {

struct Parts {
  std::string file{};  // where it came from
  Tokens tokens = std::make_shared<TokenTable>(0, 0);
  AddedTokens added{};             // looked for in the text as it is
  AddedTokens added_normalized{};  // looked for in the normalized text
  Normalizer normalizer{};         // may be empty
  std::vector<Splitter> splitters{};
  std::unique_ptr<const Model> model{};
  Decoder decoder{};
  std::vector<bool> special{};  // by id
  std::vector<bool> literal{};  // by id: tokens that no decoder step touches
  std::unordered_map<int32_t, std::string> respelled{};  // what the normalizer made of tokens
  std::vector<int32_t> prefix{}, suffix{};  // what add_special_tokens puts around a text
  std::optional<int32_t> bos{}, eos{}, unk{}, pad{};

  // Made by `finish`: what each token adds inside a text, one after another.
  std::string meanings{};
  std::vector<uint64_t> meaning_ends{};

  // Adds a token to be cut out of texts. The vocabulary and the normalizer are there already.
  // `is_literal`: it stands for its content as it is.
  void add_token(const AddedToken& token, bool is_literal, Deadline deadline);
  // Adds a token that is spelled `content` in the texts that `to` sees.
  void add_spelled(const AddedToken& token, std::string_view content, AddedTokens& to);
  // A token as a decoder sees it.
  std::string_view spelled(int32_t id) const;
  // The last step of a loader.
  void finish();
  bool is_special(int32_t id) const;
  // What a token adds to a text in which it stands so.
  std::string meaning(int32_t id, Standing standing) const;
  // What it adds inside a text.
  std::string_view meaning(int32_t id) const;
};

std::shared_ptr<const Parts> parts_from_json(std::string_view text, const std::string& file,
                                             std::string_view tokenizer_config_json);
// What those files say, as GGUF metadata would hold it.
Vocabulary vocabulary_from_gguf(const GgufFile& file);
Vocabulary vocabulary_from_sentence_piece(std::string_view bytes, const std::string& file);
// BPE on characters, whatever the model is called.
bool is_of_characters(const Vocabulary& v);
std::shared_ptr<const Parts> parts_from_vocabulary(const Vocabulary& vocabulary);
std::shared_ptr<const Parts> parts_from_gguf(const GgufFile& file);
std::shared_ptr<const Parts> parts_from_sentence_piece(std::string_view bytes,
                                                       const std::string& file);
std::shared_ptr<const Parts> parts_from_tiktoken(std::string_view text, const std::string& file,
                                                 const TiktokenOptions& options);
std::shared_ptr<const Parts> parts_from_tekken(std::string_view text, const std::string& file);

}  // namespace tarn::lm::tokenizer
