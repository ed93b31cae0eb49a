#include "lm/tokenizer/json_model.h"

#include <algorithm>

#include "lm/tokenizer/bpe.h"
#include "lm/tokenizer/sentence_piece.h"
#include "lm/tokenizer/unigram.h"
#include "lm/tokenizer/word_level.h"
#include "lm/tokenizer/wordpiece.h"

namespace tarn::lm::tokenizer {
namespace {

constexpr size_t kBytesPerToken = 8;  // a guess for what to reserve

// `"vocab": {"token": id, …}`
Tokens vocabulary_of(const Json& json) {
  Json vocab = json.at("vocab");
  auto object = vocab.object();
  auto table = std::make_shared<TokenTable>(object.size(), object.size() * kBytesPerToken);
  for (auto [token, value] : object) {
    int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS)
      fail<FileError>("[load] {}: the id of `{}` is not a number.", vocab.where(),
                      printable(token));
    table->add(token_id(vocab, id), token);
  }
  return table;
}

// "left right", or ["left", "right"].
Bpe::Merge merge_of(simdjson::dom::element value, const Json& merges, size_t index) {
  std::string_view text, left, right;
  if (value.get(text) == simdjson::SUCCESS) {
    size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos)
      return {text.substr(0, space), text.substr(space + 1)};
  } else if (value.at(0).get(left) == simdjson::SUCCESS &&
             value.at(1).get(right) == simdjson::SUCCESS) {
    return {left, right};
  }
  fail<FileError>("[load] {}: merge {} is not a pair of tokens.", merges.where(), index);
}

std::optional<int32_t> unknown_token(const Json& json, const TokenTable& tokens) {
  auto name = json.find("unk_token");
  if (!name) return std::nullopt;
  auto id = tokens.find(name->text());
  require<FileError>(id.has_value(), "[load] {}: `unk_token` `{}` is not in the vocabulary.",
                     json.where(), printable(name->text()));
  return id;
}

void read_bpe(const Json& json, Splitting& splitting, Parts& parts) {
  bool byte_level = splitting.byte_level;
  parts.tokens = vocabulary_of(json);
  BpeOptions options;
  options.byte_level = byte_level;
  options.byte_fallback = json.flag_or("byte_fallback", false);
  options.ignore_merges = json.flag_or("ignore_merges", false);
  options.fuse_unk = json.flag_or("fuse_unk", false);
  options.unk = parts.unk = unknown_token(json, *parts.tokens);
  options.continuing_prefix = json.text_or("continuing_subword_prefix", "");
  options.word_suffix = json.text_or("end_of_word_suffix", "");
  bool plain = options.continuing_prefix.empty() && options.word_suffix.empty();
  if (!byte_level && plain && !options.ignore_merges && words_begin_with_spaces(*parts.tokens))
    splitting.splitters.push_back(split_before_spaces());
  Json merges = json.at("merges");
  std::vector<Bpe::Merge> pairs;
  for (auto value : merges.array()) pairs.push_back(merge_of(value, merges, pairs.size()));
  parts.model = std::make_unique<Bpe>(parts.tokens, pairs, std::move(options), json.file());
}

// `"vocab": [["token", score], …]`
void read_unigram(const Json& json, Parts& parts) {
  Json vocab = json.at("vocab");
  auto array = vocab.array();
  auto table = std::make_shared<TokenTable>(array.size(), array.size() * kBytesPerToken);
  std::vector<double> scores;
  for (auto pair : array) {
    std::string_view token;
    double score = 0;
    bool good =
        pair.at(0).get(token) == simdjson::SUCCESS && pair.at(1).get(score) == simdjson::SUCCESS;
    auto id = static_cast<int64_t>(scores.size());
    if (!good || token.size() > Unigram::kLongestToken)
      fail<FileError>("[load] {}[{}]: a token of at most {} bytes and its score are needed here.",
                      vocab.where(), id, Unigram::kLongestToken);
    table->add(token_id(vocab, id), token);
    scores.push_back(score);
  }
  parts.tokens = table;
  if (auto unk = json.find("unk_id")) {
    parts.unk = token_id(*unk, unk->integer());
    require<FileError>(*parts.unk < table->size(), "[load] {}: id {} is not in the vocabulary.",
                       unk->where(), *parts.unk);
  }
  UnigramOptions options;
  options.unk = parts.unk;
  options.byte_fallback = json.flag_or("byte_fallback", false);
  parts.model = std::make_unique<Unigram>(parts.tokens, std::move(scores), std::move(options));
}

void read_word_piece(const Json& json, Parts& parts) {
  parts.tokens = vocabulary_of(json);
  require<FileError>(parts.tokens->longest() <= WordPiece::kLongestToken,
                     "[load] {}: a token has {} bytes; at most {} are taken.", json.where(),
                     parts.tokens->longest(), WordPiece::kLongestToken);
  WordPieceOptions options;
  options.unk = parts.unk = unknown_token(json, *parts.tokens);
  options.continuing_prefix = json.text_or("continuing_subword_prefix", "##");
  if (auto longest = json.find("max_input_chars_per_word"))
    options.longest_word = static_cast<size_t>(std::max<int64_t>(0, longest->integer()));
  parts.model = std::make_unique<WordPiece>(parts.tokens, std::move(options));
}

void read_word_level(const Json& json, Parts& parts) {
  parts.tokens = vocabulary_of(json);
  parts.unk = unknown_token(json, *parts.tokens);
  parts.model = std::make_unique<WordLevel>(parts.tokens, WordLevelOptions{.unk = parts.unk});
}

// Files of before 2020 do not name their model.
std::string type_of(const Json& json) {
  if (json.find("type")) return std::string(json.at("type").text());
  if (json.find("merges")) return "BPE";
  if (auto vocab = json.find("vocab"); vocab && vocab->is_array()) return "Unigram";
  return json.find("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

}  // namespace

int32_t token_id(const Json& json, int64_t id) {
  if (id < 0 || id >= TokenTable::kMostIds)
    fail<FileError>("[load] {}: id {} lies outside 0 … {}.", json.where(), id,
                    TokenTable::kMostIds - 1);
  return static_cast<int32_t>(id);
}

void read_model(const Json& json, Splitting& splitting, Parts& parts) {
  std::string type = type_of(json);
  if (type == "BPE") return read_bpe(json, splitting, parts);
  if (splitting.byte_level) splitting.spell_bytes();
  if (type == "Unigram") return read_unigram(json, parts);
  if (type == "WordPiece") return read_word_piece(json, parts);
  if (type == "WordLevel") return read_word_level(json, parts);
  json.unsupported("model", type);
}

}  // namespace tarn::lm::tokenizer
