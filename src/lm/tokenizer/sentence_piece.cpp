#include "lm/tokenizer/sentence_piece.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/require.h"
#include "lm/tokenizer/score_bpe.h"
#include "lm/tokenizer/unicode.h"
#include "lm/tokenizer/unigram.h"
#include "lm/tokenizer/word_level.h"

namespace tarn::lm::tokenizer {
namespace {

std::vector<float> finite_scores(const Vocabulary& v) {
  std::vector<float> scores = v.scores;
  for (float& score : scores)
    if (std::isnan(score)) score = -std::numeric_limits<float>::infinity();
  return scores;
}

Normalizer normalizer_of(const Vocabulary& v) {
  auto made = std::make_shared<SentencePieceNormalizer>(
      SentencePieceNormalizer{.map = CharsMap(v.precompiled_charsmap, v.file + ": the normalizer"),
                              .add_prefix = v.add_space_prefix,
                              .space_as_suffix = v.space_as_suffix,
                              .remove_extra_spaces = v.remove_extra_whitespaces,
                              .space = std::string(v.escape_whitespaces ? kMetaspace : " ")});
  for (size_t id = 0; id < v.tokens.size(); ++id)
    if (type_of(v, id) == kUserDefined && !made->map.empty())
      require<FileError>(made->untouched.add({}, v.tokens[id]),
                         "[load] {}: user-defined token {} has {} bytes; at most {} are taken.",
                         v.file, id, v.tokens[id].size(), AddedTokens::kLongest);
  return [made](std::string text, Place place) { return (*made)(text, place); };
}

void make_bpe(const Vocabulary& v, Parts& parts) {
  std::vector<ScoreBpe::Use> uses;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    int32_t type = type_of(v, id);
    uses.push_back(type == kUnused ? ScoreBpe::Use::taken_apart
                   : type == kUnknown || type == kControl || type == kByte ? ScoreBpe::Use::never
                                                                           : ScoreBpe::Use::normal);
  }
  if (v.escape_whitespaces && words_begin_with_spaces(*parts.tokens))
    parts.splitters.push_back(split_before_spaces());
  parts.model = std::make_unique<ScoreBpe>(parts.tokens, finite_scores(v), std::move(uses), v.unk);
}

// SentencePiece adds up single-precision scores; a user's own token is worth nearly nothing, so
// that it is always taken.
void make_unigram(const Vocabulary& v, Parts& parts) {
  UnigramOptions options;
  options.unk = v.unk;
  options.byte_fallback = true;
  options.single_precision = true;
  std::vector<float> given = finite_scores(v);
  float lowest = std::numeric_limits<float>::max(), highest = std::numeric_limits<float>::min();
  for (size_t id = 0; id < given.size(); ++id) {
    if (type_of(v, id) != kNormal) continue;
    lowest = std::min(lowest, given[id]);
    highest = std::max(highest, given[id]);
  }
  options.lowest_score = lowest;
  std::vector<double> scores(given.begin(), given.end());
  options.left_out.resize(scores.size());
  for (size_t id = 0; id < scores.size(); ++id) {
    int32_t type = type_of(v, id);
    options.left_out[id] = type != kNormal && type != kUserDefined;
    if (type == kUserDefined) scores[id] = static_cast<float>(v.tokens[id].size()) * highest - 0.1F;
  }
  parts.model = std::make_unique<Unigram>(parts.tokens, std::move(scores), std::move(options));
}

void make_lookup(const Vocabulary& v, Parts& parts) {
  if (v.model == "char")
    parts.splitters.push_back(split_fixed_length(1));
  else
    parts.splitters.push_back(split_by(
        std::string(v.escape_whitespaces ? kMetaspace : " "),
        v.space_as_suffix ? Behavior::merged_with_previous : Behavior::merged_with_next, false));
  parts.model = std::make_unique<WordLevel>(
      parts.tokens, WordLevelOptions{.unk = v.unk, .fuse_unk = true, .byte_fallback = true});
}

}  // namespace

SentencePieceNormalizer::Read SentencePieceNormalizer::read(std::string_view text,
                                                            size_t at) const {
  std::string_view rest = text.substr(at);
  if (size_t own = untouched.length_at(text, at); own > 0) return {own, rest.substr(0, own)};
  if (auto hit = map.longest(rest)) return {hit->length, hit->to};
  size_t length = character_at(text, at).length;
  return {length, rest.substr(0, length)};
}

std::string SentencePieceNormalizer::operator()(const std::string& text, Place place) const {
  bool wants_space = add_prefix && (place.at_start || place.after_special);
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  if (wants_space && !space_as_suffix) out.append(space);
  bool after_space = remove_extra_spaces, any = !remove_extra_spaces && !text.empty();
  for (size_t at = 0; at < text.size();) {
    Read found = read(text, at);
    at += found.length;
    for (char c : found.to) {
      if (c == ' ' && after_space) continue;
      if (c == ' ')
        out.append(space);
      else
        out.push_back(c);
      any = true;
      after_space = remove_extra_spaces && c == ' ';
    }
  }
  if (!any) return {};
  while (remove_extra_spaces && out.ends_with(space)) out.resize(out.size() - space.size());
  if (wants_space && space_as_suffix) out.append(space);
  return out;
}

bool words_begin_with_spaces(const TokenTable& tokens) {
  if (!tokens.find(kMetaspace)) return false;
  for (int32_t id = 0; id < tokens.size(); ++id) {
    std::string_view text = tokens.text(id);
    while (text.starts_with(kMetaspace)) text.remove_prefix(kMetaspace.size());
    if (text.find(kMetaspace) != text.npos) return false;
  }
  return true;
}

void make_sentence_piece(const Vocabulary& v, Parts& parts) {
  parts.normalizer = normalizer_of(v);
  if (v.model == "llama")
    make_bpe(v, parts);
  else if (v.model == "t5")
    make_unigram(v, parts);
  else
    make_lookup(v, parts);
  parts.decoder.steps.push_back(decode_byte_fallback());
  if (v.escape_whitespaces)
    parts.decoder.steps.push_back(decode_replace(std::string(kMetaspace), " "));
  constexpr size_t kAll = std::numeric_limits<size_t>::max();
  if (v.add_space_prefix || v.remove_extra_whitespaces)
    parts.decoder.text_steps.push_back(
        strip_text(" ", v.remove_extra_whitespaces ? kAll : size_t{1}, 0));
}

}  // namespace tarn::lm::tokenizer
