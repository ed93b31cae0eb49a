// Pre-tokenizers of a tokenizer.json.
#include "lm/tokenizer/json_steps.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

Behavior behavior_of(const Json& json, std::string_view otherwise) {
  std::string name = json.text_or("behavior", otherwise);
  if (name == "Isolated") return Behavior::isolated;
  if (name == "Removed") return Behavior::removed;
  if (name == "Contiguous") return Behavior::contiguous;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  json.unsupported("behavior", name);
}

Splitter split(const Json& json) {
  Behavior behavior = behavior_of(json, "Removed");
  bool invert = json.flag_or("invert", false);
  Json pattern = json.at("pattern");
  auto regex = pattern.find("Regex");
  if (!regex) {
    std::string_view text = pattern.at("String").text();
    if (text.empty()) return split_by(Regex("", json.where()), behavior, invert);
    return split_by(std::string(text), behavior, invert);
  }
  // The known patterns match every character, so all of these give each match as a word.
  bool each_match = behavior == Behavior::isolated || (behavior == Behavior::removed && invert);
  auto scanner = scanner_for(regex->text());
  if (scanner && each_match) return split_by(*scanner);
  return split_by(Regex(regex->text(), json.where()), behavior, invert);
}

Splitter metaspace(const Json& json) {
  std::string with = json.text_or("replacement", kMetaspace);
  require<FileError>(!with.empty() && with.size() <= 4,
                     "[load] {}: the replacement must be one character.", json.where());
  // Older files say add_prefix_space in place of prepend_scheme.
  std::string scheme =
      json.text_or("prepend_scheme", json.flag_or("add_prefix_space", true) ? "always" : "never");
  Prepend prepend = Prepend::always;
  if (scheme == "first")
    prepend = Prepend::first;
  else if (scheme == "never")
    prepend = Prepend::never;
  else if (scheme != "always")
    json.unsupported("prepend_scheme", scheme);
  return split_metaspace(with, prepend, json.flag_or("split", true));
}

// The bytes become their spellings only if something is still to look at them: a byte-level model
// takes bytes as they are.
void append_byte_level_splitters(const Json& json, Splitting& out) {
  if (json.flag_or("add_prefix_space", true)) out.splitters.push_back(prepend_space());
  if (json.flag_or("use_regex", true)) out.splitters.push_back(split_by(scan_gpt2));
  out.byte_level = true;
}

void append_bert(Splitting& out) {
  out.splitters.push_back(split_by(Pattern(CharacterTest(is_space)), Behavior::removed, false));
  out.splitters.push_back(
      split_by(Pattern(CharacterTest(is_punctuation)), Behavior::isolated, false));
}

Splitter digits(const Json& json) {
  bool each = json.flag_or("individual_digits", false);
  return split_by(Pattern(CharacterTest(is_number)),
                  each ? Behavior::isolated : Behavior::contiguous, false);
}

Splitter delimiter(const Json& json) {
  return split_by(std::string(json.at("delimiter").text()), Behavior::removed, false);
}

Splitter fixed_length(const Json& json) {
  auto length = json.find("length");
  if (!length) return split_fixed_length(5);
  require<FileError>(length->integer() > 0, "[load] {}: a length of {}; at least 1 is needed.",
                     length->where(), length->integer());
  return split_fixed_length(static_cast<size_t>(length->integer()));
}

}  // namespace

void append_splitters(const Json& json, Splitting& out) {
  std::string_view type = json.at("type").text();
  if (type == "Sequence") {
    for (const Json& item : json.at("pretokenizers").items()) append_splitters(item, out);
    return;
  }
  require<FileError>(out.splitters.size() < kMostSteps, "[load] {}: more than {} pre-tokenizers.",
                     json.where(), kMostSteps);
  if (out.byte_level) out.spell_bytes();
  if (type == "ByteLevel") return append_byte_level_splitters(json, out);
  if (type == "BertPreTokenizer") return append_bert(out);
  if (type == "Split") return out.splitters.push_back(split(json));
  if (type == "Digits") return out.splitters.push_back(digits(json));
  if (type == "Metaspace") return out.splitters.push_back(metaspace(json));
  if (type == "Whitespace") return out.splitters.push_back(split_words_and_symbols());
  if (type == "WhitespaceSplit")
    return out.splitters.push_back(
        split_by(Pattern(CharacterTest(is_space)), Behavior::removed, false));
  if (type == "UnicodeScripts") return out.splitters.push_back(split_scripts());
  if (type == "FixedLength") return out.splitters.push_back(fixed_length(json));
  if (type == "CharDelimiterSplit") return out.splitters.push_back(delimiter(json));
  if (type == "Punctuation")
    return out.splitters.push_back(
        split_by(Pattern(CharacterTest(is_punctuation)), behavior_of(json, "Isolated"), false));
  json.unsupported("pre-tokenizer", type);
}

}  // namespace tarn::lm::tokenizer
