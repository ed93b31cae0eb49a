// Decoders and post-processors of a tokenizer.json.
#include <optional>

#include "lm/tokenizer/json_steps.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

DecodeStep metaspace(const Json& json) {
  std::string scheme =
      json.text_or("prepend_scheme", json.flag_or("add_prefix_space", true) ? "always" : "never");
  return decode_metaspace(json.text_or("replacement", kMetaspace), scheme != "never");
}

DecodeStep replace(const Json& json) {
  Json pattern = json.at("pattern");
  std::string to(json.at("content").text());
  require<FileError>(to.size() <= kLongestContent,
                     "[load] {}: `content` has {} bytes; at most {} are taken.", json.where(),
                     to.size(), kLongestContent);
  if (pattern.find("Regex")) json.unsupported("decoder pattern", "Regex");
  return decode_replace(std::string(pattern.at("String").text()), to);
}

// Before Fuse a strip works on each token, behind it on the text.
void append_strip(const Json& json, bool fused, Decoder& out) {
  std::string_view content = json.at("content").text();
  int64_t start = json.at("start").integer(), stop = json.at("stop").integer();
  require<FileError>(content.size() == 1 && start >= 0 && stop >= 0,
                     "[load] {}: `content` must be one ASCII character, `start` and `stop` not "
                     "negative.",
                     json.where());
  if (!fused) {
    out.steps.push_back(
        decode_strip(content[0], static_cast<size_t>(start), static_cast<size_t>(stop)));
    return;
  }
  require<FileError>(stop == 0, "[load] {}: `stop` {} behind `Fuse` is not supported.",
                     json.where(), stop);
  out.strip = content[0];
  out.strip_at_start = static_cast<size_t>(start);
}

void append_decoders(const Json& json, bool& fused, Decoder& out) {
  std::string_view type = json.at("type").text();
  require<FileError>(out.steps.size() < kMostSteps, "[load] {}: more than {} decoders.",
                     json.where(), kMostSteps);
  if (type == "Sequence") {
    for (const Json& item : json.at("decoders").items()) append_decoders(item, fused, out);
    return;
  }
  if (type == "Strip") return append_strip(json, fused, out);
  if (type == "Fuse") {
    fused = true;
    return;
  }
  require<FileError>(!fused, "[load] {}: decoder `{}` behind `Fuse` is not supported.",
                     json.where(), printable(type));
  if (type == "ByteLevel")
    out.steps.push_back(decode_byte_level());
  else if (type == "ByteFallback")
    out.steps.push_back(decode_byte_fallback());
  else if (type == "Metaspace")
    out.steps.push_back(metaspace(json));
  else if (type == "Replace")
    out.steps.push_back(replace(json));
  else if (type == "WordPiece")
    out.steps.push_back(
        decode_word_piece(json.text_or("prefix", "##"), json.flag_or("cleanup", true)));
  else
    json.unsupported("decoder", type);
}

// The id of a template's special token, e.g. "<s>" → 1.
void append_ids(const Json& specials, std::string_view name, std::vector<int32_t>& out) {
  for (const Json& id : specials.at(name).at("ids").items())
    out.push_back(static_cast<int32_t>(id.integer()));
}

void read_template(const Json& json, Parts& parts) {
  bool before = true;
  auto items = json.at("single").items();
  require<FileError>(items.size() <= kMostSteps, "[load] {}: more than {} parts in the template.",
                     json.where(), kMostSteps);
  for (const Json& item : items) {
    if (item.find("Sequence")) {
      require<FileError>(before, "[load] {}: a template with two sequences is not supported.",
                         item.where());
      before = false;
    } else {
      append_ids(json.at("special_tokens"), item.at("SpecialToken").at("id").text(),
                 before ? parts.prefix : parts.suffix);
    }
  }
}

// BERT's and RoBERTa's: `"cls": ["[CLS]", 101]`.
int32_t marker(const Json& json, std::string_view key) {
  auto pair = json.at(key).items();
  require<FileError>(pair.size() == 2, "[load] {}: `{}` must be a token and its id.", json.where(),
                     key);
  return static_cast<int32_t>(pair[1].integer());
}

}  // namespace

void append_decoders(const Json& json, Decoder& out) {
  bool fused = false;
  append_decoders(json, fused, out);
}

void read_post_processor(const Json& json, Parts& parts) {
  std::string_view type = json.at("type").text();
  if (type == "Sequence") {
    for (const Json& item : json.at("processors").items()) read_post_processor(item, parts);
  } else if (type == "TemplateProcessing") {
    read_template(json, parts);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    parts.prefix.push_back(marker(json, "cls"));
    parts.suffix.push_back(marker(json, "sep"));
  } else if (type != "ByteLevel") {  // that one moves offsets only
    json.unsupported("post-processor", type);
  }
}

}  // namespace tarn::lm::tokenizer
