// The tokenizers of GGUF files, which name their parts by a word.
#include "base/printable.h"
#include "base/require.h"
#include "lm/tokenizer/bpe.h"
#include "lm/tokenizer/gguf_words.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/sentence_piece.h"
#include "lm/tokenizer/unicode.h"
#include "lm/tokenizer/wordpiece.h"

namespace tarn::lm::tokenizer {
namespace {

void check(const Vocabulary& v) {
  size_t count = v.tokens.size();
  require<FileError>(count > 0 && count < static_cast<size_t>(TokenTable::kMostIds),
                     "[load] {}: tokenizer.ggml.tokens has {} tokens; 1 to {} are taken.", v.file,
                     count, TokenTable::kMostIds - 1);
  require<FileError>(v.types.empty() || v.types.size() == count,
                     "[load] {}: tokenizer.ggml.token_type has {} entries for {} tokens.", v.file,
                     v.types.size(), count);
  bool scored = v.model == "llama" || v.model == "t5";
  require<FileError>(!scored || v.scores.size() == count,
                     "[load] {}: tokenizer.ggml.scores has {} entries for {} tokens.", v.file,
                     v.scores.size(), count);
  for (const auto& id : {v.bos, v.eos, v.unk, v.pad})
    require<FileError>(!id || (*id >= 0 && static_cast<size_t>(*id) < count),
                       "[load] {}: special token id {} lies outside the {} tokens.", v.file,
                       id.value_or(0), count);
}

Tokens table_of(const Vocabulary& v) {
  size_t bytes = 0;
  for (const std::string& token : v.tokens) bytes += token.size();
  auto table = std::make_shared<TokenTable>(v.tokens.size(), bytes);
  for (size_t id = 0; id < v.tokens.size(); ++id)
    table->add(static_cast<int32_t>(id), v.tokens[id]);
  return table;
}

void add_special_tokens(const Vocabulary& v, Parts& parts) {
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    int32_t type = type_of(v, i);
    if (type != kUnknown && type != kControl && type != kUserDefined) continue;
    AddedToken token;
    token.id = static_cast<int32_t>(i);
    token.content = valid_utf8(v.tokens[i]);
    token.special = type != kUserDefined;
    bool own = type == kUserDefined && is_sentence_piece(v);
    // To these two a user's own token is a token as others; Unigram's score for it always wins.
    if (own && (v.model == "t5" || v.model == "word")) continue;
    // SentencePiece looks for them behind its normalizer, which writes spaces as ▁.
    if (own && v.escape_whitespaces)
      parts.add_spelled(token, replaced(token.content, " ", kMetaspace), parts.added_normalized);
    else if (own)
      parts.add_spelled(token, token.content, parts.added_normalized);
    else
      parts.add_token(token, v.model == "gpt2", Deadline::max());
  }
}

std::vector<Bpe::Merge> merges_of(const Vocabulary& v) {
  std::vector<Bpe::Merge> merges;
  merges.reserve(v.merges.size());
  for (std::string_view merge : v.merges) {
    size_t space = merge.find(' ', 1);
    if (space == merge.npos || space + 1 == merge.size())
      fail<FileError>("[load] {}: tokenizer.ggml.merges[{}] `{}` is not a pair of tokens.", v.file,
                      merges.size(), printable(merge));
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return merges;
}

void make_byte_level(const Vocabulary& v, Parts& parts) {
  WordRule rule = word_rule(v);
  parts.splitters = std::move(rule.splitters);
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = rule.ignore_merges;
  options.unk = std::nullopt;  // every byte has a token
  parts.model = std::make_unique<Bpe>(parts.tokens, merges_of(v), std::move(options), v.file);
  parts.decoder.steps.push_back(decode_byte_level());
}

// BPE on characters with SentencePiece's spaces. Runs of newlines are words, and tokens.
void make_gemma4(const Vocabulary& v, Parts& parts) {
  parts.normalizer = [](std::string text, Place) { return replaced(text, " ", kMetaspace); };
  WordRule rule = word_rule(v);
  parts.splitters = std::move(rule.splitters);
  if (words_begin_with_spaces(*parts.tokens)) parts.splitters.push_back(split_before_spaces());
  BpeOptions options;
  options.byte_fallback = true;
  options.ignore_merges = rule.ignore_merges;
  options.unk = v.unk;
  parts.model = std::make_unique<Bpe>(parts.tokens, merges_of(v), std::move(options), v.file);
  parts.decoder.steps.push_back(decode_byte_fallback());
  parts.decoder.steps.push_back(decode_replace(std::string(kMetaspace), " "));
}

// The tokens as BERT spells them: GGUF marks those that begin a word, BERT those that do not.
Vocabulary with_bert_spelling(Vocabulary v) {
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    std::string& token = v.tokens[id];
    if (type_of(v, id) != kNormal) continue;
    if (token.starts_with(kMetaspace))
      token.erase(0, kMetaspace.size());
    else if (!token.empty())
      token.insert(0, "##");
  }
  return v;
}

void make_bert(const Vocabulary& v, Parts& parts) {
  require<FileError>(parts.tokens->longest() <= WordPiece::kLongestToken,
                     "[load] {}: a token has {} bytes; at most {} are taken.", v.file,
                     parts.tokens->longest(), WordPiece::kLongestToken);
  BertNormalizer normalizer;
  normalizer.lowercase = normalizer.strip_accents = v.lowercase;
  parts.normalizer = normalizer;
  parts.splitters.push_back(split_by(Pattern(CharacterTest(is_space)), Behavior::removed, false));
  parts.splitters.push_back(
      split_by(Pattern(CharacterTest(is_punctuation)), Behavior::isolated, false));
  WordPieceOptions options;
  options.unk = v.unk;
  parts.model = std::make_unique<WordPiece>(parts.tokens, std::move(options));
  parts.decoder.steps.push_back(decode_word_piece("##", true));
}

void make_model(const Vocabulary& v, Parts& parts) {
  if (is_of_characters(v)) return make_gemma4(v, parts);
  if (v.model == "gpt2") return make_byte_level(v, parts);
  if (v.model == "bert") return make_bert(v, parts);
  if (is_sentence_piece(v)) return make_sentence_piece(v, parts);
  fail<FileError>(
      "[load] {}: tokenizer.ggml.model `{}` is not supported; `gpt2`, `gemma4`, `bert`, `llama` "
      "and `t5` are.",
      v.file, printable(v.model));
}

std::shared_ptr<const Parts> parts_of(const Vocabulary& v) {
  auto parts = std::make_shared<Parts>();
  parts->file = v.file;
  parts->tokens = table_of(v);
  make_model(v, *parts);
  add_special_tokens(v, *parts);
  parts->bos = v.bos;
  parts->eos = v.eos;
  parts->unk = v.unk;
  parts->pad = v.pad;
  if (v.add_bos && v.bos) parts->prefix.push_back(*v.bos);
  if (v.add_eos && v.eos) parts->suffix.push_back(*v.eos);
  parts->finish();
  return parts;
}

}  // namespace

bool is_of_characters(const Vocabulary& v) {
  return v.pre == "gemma4" || v.pre == "sarvam-moe" || v.pre == "granite-embed-multi-311m" ||
         v.model == "gemma4";
}

std::shared_ptr<const Parts> parts_from_vocabulary(const Vocabulary& v) {
  check(v);
  return v.model == "bert" ? parts_of(with_bert_spelling(v)) : parts_of(v);
}

}  // namespace tarn::lm::tokenizer
