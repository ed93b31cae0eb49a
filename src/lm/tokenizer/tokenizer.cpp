#include "tarn/lm/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/require.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm {

using namespace tokenizer;

namespace {

constexpr size_t kLongestText = size_t{1} << 30;  // words are found by 32-bit offsets

// Ids of a part of a text that holds no added token.
void encode_plain(const Parts& parts, std::string text, Place place, std::vector<int32_t>& ids) {
  require(text.size() <= kLongestText,
          "[encode] {}: a text has {} bytes; at most {} are taken at once.", parts.file,
          text.size(), kLongestText);
  if (text.empty()) return;
  require(parts.model != nullptr,
          "[encode] this tokenizer has no vocabulary; make one with Tokenizer::from_json or "
          "from_vocabulary.");
  Words words{std::move(text), {}, place};
  words.ranges.push_back({0, static_cast<uint32_t>(words.text.size())});
  for (const Splitter& split : parts.splitters) split(words);
  for (Words::Range word : words.ranges) parts.model->encode(words.of(word), ids);
}

// Ids of what stands between two added tokens, before normalization.
void encode_between(const Parts& parts, std::string_view raw, Place place, bool parse_special,
                    std::vector<int32_t>& ids) {
  std::string text(raw);
  if (parts.normalizer) text = parts.normalizer(std::move(text), place);
  if (parts.added_normalized.empty()) return encode_plain(parts, std::move(text), place, ids);
  for (const auto& part : parts.added_normalized.split(text, parse_special)) {
    if (part.id >= 0)
      ids.push_back(part.id);
    else
      encode_plain(parts, std::string(part.text), place, ids);
    place = {false, part.special, place.deadline};
  }
}

// The whole characters at the front of `bytes`, bad ones as U+FFFD; a character that may still be
// completed stays.
std::string take_characters(std::string& bytes) {
  std::string text;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    size_t good = valid_prefix(rest);
    text.append(rest.substr(0, good));
    rest.remove_prefix(good);
    if (rest.empty()) break;
    Utf8Step step = utf8_step(rest);
    if (step.kind == Utf8::unfinished) break;
    text.append(kReplacement);
    rest.remove_prefix(step.length);
  }
  bytes = std::string(rest);
  return text;
}

}  // namespace

Tokenizer::Tokenizer() {
  static const auto empty = std::make_shared<const Parts>();
  parts_ = empty;
}

Tokenizer::Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& file,
                               std::string_view tokenizer_config_json) {
  return Tokenizer(parts_from_json(text, file, tokenizer_config_json));
}

Tokenizer Tokenizer::from_vocabulary(const Vocabulary& vocabulary) {
  return Tokenizer(parts_from_vocabulary(vocabulary));
}

Tokenizer Tokenizer::from_gguf(const GgufFile& file) { return Tokenizer(parts_from_gguf(file)); }

Tokenizer Tokenizer::from_sentence_piece(std::string_view bytes, const std::string& file) {
  return Tokenizer(parts_from_sentence_piece(bytes, file));
}

Tokenizer Tokenizer::from_tiktoken(std::string_view text, const std::string& file,
                                   const TiktokenOptions& options) {
  return Tokenizer(parts_from_tiktoken(text, file, options));
}

Tokenizer Tokenizer::from_tekken(std::string_view text, const std::string& file) {
  return Tokenizer(parts_from_tekken(text, file));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const Parts& parts = *parts_;
  std::string cleaned;
  if (valid_prefix(text) != text.size()) {
    require(options.foreign.empty(),
            "[encode] a text with foreign parts must be valid UTF-8; byte {} is not.",
            valid_prefix(text));
    text = cleaned = valid_utf8(text);
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + parts.prefix.size() + parts.suffix.size());
  if (options.add_special_tokens) ids = parts.prefix;
  Place place{true, false, deadline_for(text.size())};
  auto is_foreign = [&](std::string_view part) {
    auto begin = static_cast<size_t>(part.data() - text.data());
    return touches(options.foreign, begin, begin + part.size());
  };
  for (const auto& part : parts.added.split(text, options.parse_special, options.foreign)) {
    if (part.id >= 0)
      ids.push_back(part.id);
    else
      encode_between(parts, part.text, place, options.parse_special && !is_foreign(part.text), ids);
    place = {false, part.special, place.deadline};
  }
  if (options.add_special_tokens) ids.insert(ids.end(), parts.suffix.begin(), parts.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamingDetokenizer stream(*this, skip_special);
  std::string text;
  for (int32_t id : ids) text += stream.add(id);
  return text += stream.finish();
}

std::string_view Tokenizer::token_bytes(int32_t id) const { return parts_->meaning(id); }
std::string_view Tokenizer::token_text(int32_t id) const { return parts_->tokens->text(id); }
std::optional<int32_t> Tokenizer::id_of(std::string_view token) const {
  return parts_->tokens->find(token);
}
std::optional<int32_t> Tokenizer::bos() const { return parts_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return parts_->eos; }
std::optional<int32_t> Tokenizer::unk() const { return parts_->unk; }
std::optional<int32_t> Tokenizer::pad() const { return parts_->pad; }
int32_t Tokenizer::size() const { return parts_->tokens->size(); }
bool Tokenizer::is_special(int32_t id) const { return parts_->is_special(id); }

StreamingDetokenizer::StreamingDetokenizer(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {
  reset();
}

void StreamingDetokenizer::reset() {
  first_ = true;
  previous_ = waiting_ = kNone;
  pending_.clear();
  states_.assign(tokenizer_.parts_->decoder.text_steps.size(), {});
}

std::string StreamingDetokenizer::add(int32_t id) {
  const Parts& parts = *tokenizer_.parts_;
  if (parts.tokens->text(id).empty() || (skip_special_ && parts.is_special(id))) return {};
  if (parts.decoder.drops_repeats && id == std::exchange(previous_, id)) return {};
  if (parts.decoder.last_differs) id = std::exchange(waiting_, id);
  if (id == kNone) return {};
  take(id, false);
  std::string text = take_characters(pending_);
  const auto& steps = parts.decoder.text_steps;
  for (size_t i = 0; i < steps.size() && !text.empty(); ++i) {
    std::string out;
    steps[i]->add(text, states_[i], out);
    text = std::move(out);
  }
  return text;
}

void StreamingDetokenizer::take(int32_t id, bool last) {
  const Parts& parts = *tokenizer_.parts_;
  if (first_ || last)
    pending_ += parts.meaning(id, {first_, last});
  else
    pending_ += parts.meaning(id);
  first_ = false;
}

std::string StreamingDetokenizer::finish() {
  if (waiting_ != kNone) take(waiting_, true);
  std::string text = valid_utf8(pending_);
  const auto& steps = tokenizer_.parts_->decoder.text_steps;
  for (size_t i = 0; i < steps.size(); ++i) {
    std::string out;
    steps[i]->add(text, states_[i], out);
    steps[i]->finish(states_[i], out);
    text = std::move(out);
  }
  reset();
  return text;
}

}  // namespace tarn::lm
