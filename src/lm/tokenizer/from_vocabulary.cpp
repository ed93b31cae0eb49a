// The tokenizers of GGUF files, which name their parts by a word.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/printable.h"
#include "base/require.h"
#include "lm/tokenizer/bpe.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/score_bpe.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

enum Type : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// How `tokenizer.ggml.pre` cuts words.
struct Pre {
  std::string_view name;
  Scanner scanner;
  bool digits_first;   // each digit is a word, before the scanner sees the text
  bool ignore_merges;  // a word that is a token is not built from merges
};
constexpr Pre kPres[] = {
    {"default", scan_gpt2, false, false},  {"gpt-2", scan_gpt2, false, false},
    {"phi-2", scan_gpt2, false, false},    {"olmo", scan_gpt2, false, false},
    {"smollm", scan_gpt2, true, false},    {"starcoder", scan_gpt2, true, false},
    {"refact", scan_gpt2, true, false},    {"command-r", scan_gpt2, true, false},
    {"codeshell", scan_gpt2, true, false}, {"llama-bpe", scan_llama3, false, true},
    {"llama3", scan_llama3, false, true},  {"llama-v3", scan_llama3, false, true},
    {"qwen2", scan_qwen2, false, false},   {"deepseek-r1-qwen", scan_qwen2, false, false},
};

const Pre& pre_of(const Vocabulary& v) {
  std::string_view name = v.pre.empty() ? "default" : std::string_view(v.pre);
  auto pre = std::find_if(std::begin(kPres), std::end(kPres),
                          [&](const Pre& p) { return p.name == name; });
  if (pre == std::end(kPres)) {
    std::vector<std::string_view> names;
    for (const Pre& p : kPres) names.push_back(p.name);
    fail<FileError>("[load] {}: tokenizer.ggml.pre `{}` is not supported; these are: {}.", v.file,
                    printable(name), joined(names));
  }
  return *pre;
}

int32_t type_of(const Vocabulary& v, size_t id) { return v.types.empty() ? kNormal : v.types[id]; }

void check(const Vocabulary& v) {
  size_t count = v.tokens.size();
  require<FileError>(count > 0 && count < static_cast<size_t>(TokenTable::kMostIds),
                     "[load] {}: tokenizer.ggml.tokens has {} tokens; 1 to {} are taken.", v.file,
                     count, TokenTable::kMostIds - 1);
  require<FileError>(v.types.empty() || v.types.size() == count,
                     "[load] {}: tokenizer.ggml.token_type has {} entries for {} tokens.", v.file,
                     v.types.size(), count);
  bool scored = v.model == "llama";
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
    // SentencePiece looks for a user's own tokens behind its normalizer, which writes spaces as ▁.
    if (type == kUserDefined && v.model == "llama")
      parts.add_spelled(token, replaced(token.content, " ", kMetaspace), parts.added_normalized);
    else
      parts.add_token(token, v.model == "gpt2", Deadline::max());
  }
}

void make_byte_level(const Vocabulary& v, Parts& parts) {
  const Pre& pre = pre_of(v);
  if (pre.digits_first)
    parts.splitters.push_back(
        split_by(Pattern(CharacterTest(is_number)), Behavior::isolated, false));
  parts.splitters.push_back(split_by(pre.scanner));
  std::vector<Bpe::Merge> merges;
  merges.reserve(v.merges.size());
  for (std::string_view merge : v.merges) {
    size_t space = merge.find(' ', 1);
    if (space == merge.npos || space + 1 == merge.size())
      fail<FileError>("[load] {}: tokenizer.ggml.merges[{}] `{}` is not a pair of tokens.", v.file,
                      merges.size(), printable(merge));
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = pre.ignore_merges;
  options.unk = std::nullopt;  // every byte has a token
  parts.model = std::make_unique<Bpe>(parts.tokens, merges, std::move(options), v.file);
  parts.decoder.steps.push_back(decode_byte_level());
}

void make_sentence_piece(const Vocabulary& v, Parts& parts) {
  std::vector<float> scores = v.scores;
  for (float& score : scores)
    if (std::isnan(score)) score = -std::numeric_limits<float>::infinity();
  std::vector<ScoreBpe::Use> uses;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    int32_t type = type_of(v, id);
    uses.push_back(type == kUnused ? ScoreBpe::Use::taken_apart
                   : type == kUnknown || type == kControl || type == kByte ? ScoreBpe::Use::never
                                                                           : ScoreBpe::Use::normal);
  }
  bool prefix = v.add_space_prefix;
  parts.normalizer = [prefix](std::string text, Place place) {
    text = replaced(text, " ", kMetaspace);
    if (prefix && (place.at_start || place.after_special)) text.insert(0, kMetaspace);
    return text;
  };
  parts.model = std::make_unique<ScoreBpe>(parts.tokens, std::move(scores), std::move(uses), v.unk);
  parts.decoder.steps.push_back(decode_byte_fallback());
  parts.decoder.steps.push_back(decode_replace(std::string(kMetaspace), " "));
  parts.decoder.strip_at_start = prefix ? 1 : 0;
}

}  // namespace

std::shared_ptr<const Parts> parts_from_vocabulary(const Vocabulary& v) {
  check(v);
  auto parts = std::make_shared<Parts>();
  parts->file = v.file;
  parts->tokens = table_of(v);
  if (v.model == "gpt2")
    make_byte_level(v, *parts);
  else if (v.model == "llama")
    make_sentence_piece(v, *parts);
  else
    fail<FileError>(
        "[load] {}: tokenizer.ggml.model `{}` is not supported; `gpt2` and `llama` are.", v.file,
        printable(v.model));
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

}  // namespace tarn::lm::tokenizer
