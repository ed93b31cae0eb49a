// Normalizers of a tokenizer.json.
#include <memory>
#include <optional>

#include "lm/tokenizer/base64.h"
#include "lm/tokenizer/charsmap.h"
#include "lm/tokenizer/json_steps.h"
#include "lm/tokenizer/token_table.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

std::string bounded_text(const Json& json, std::string_view key) {
  std::string content(json.at(key).text());
  require<FileError>(content.size() <= kLongestContent,
                     "[load] {}: `{}` has {} bytes; at most {} are taken.", json.where(), key,
                     content.size(), kLongestContent);
  return content;
}

Normalizer form(Form form) {
  return [form](std::string text, Place) { return normalized(text, form); };
}

Normalizer replace(const Json& json) {
  std::string to = bounded_text(json, "content");
  Json pattern = json.at("pattern");
  if (auto regex = pattern.find("Regex"))
    return [from = Regex(regex->text(), json.where()), to](std::string text, Place place) {
      return replaced(text, from, to, place.deadline);
    };
  return [from = std::string(pattern.at("String").text()), to](std::string text, Place) {
    return replaced(text, from, to);
  };
}

Normalizer bert(const Json& json) {
  BertNormalizer bert;
  bert.clean_text = json.flag_or("clean_text", true);
  bert.space_around_cjk = json.flag_or("handle_chinese_chars", true);
  bert.lowercase = json.flag_or("lowercase", true);
  bert.strip_accents = json.flag_or("strip_accents", bert.lowercase);
  return bert;
}

Normalizer precompiled(const Json& json) {
  Json text = json.at("precompiled_charsmap");
  auto blob = from_base64(text.text());
  require<FileError>(blob.has_value(), "[load] {}: this is not base64.", text.where());
  return [map = std::make_shared<CharsMap>(*blob, text.where())](std::string text, Place) {
    return map->by_graphemes(text);
  };
}

Normalizer byte_level() {
  return [](std::string text, Place) {
    std::string out;
    append_byte_level(out, text);
    return out;
  };
}

Normalizer one_normalizer(const Json& json, std::string_view type) {
  if (type == "NFC") return form(Form::nfc);
  if (type == "NFD") return form(Form::nfd);
  if (type == "NFKC") return form(Form::nfkc);
  if (type == "NFKD") return form(Form::nfkd);
  if (type == "Lowercase") return [](std::string text, Place) { return lowercased(text); };
  if (type == "StripAccents")
    return [](std::string text, Place) { return without_marks(text, Marks::all); };
  if (type == "Replace") return replace(json);
  if (type == "BertNormalizer") return bert(json);
  if (type == "Precompiled") return precompiled(json);
  if (type == "Nmt") return [](std::string text, Place) { return nmt_normalized(text); };
  if (type == "ByteLevel") return byte_level();
  if (type == "Prepend")
    return [with = bounded_text(json, "prepend")](std::string text, Place) {
      return text.empty() ? text : with + text;
    };
  if (type == "Strip")
    return [left = json.flag_or("strip_left", true), right = json.flag_or("strip_right", true)](
               std::string text, Place) { return stripped(text, left, right); };
  json.unsupported("normalizer", type);
}

}  // namespace

void append_normalizers(const Json& json, std::vector<Normalizer>& out) {
  std::string_view type = json.at("type").text();
  if (type == "Sequence") {
    for (const Json& item : json.at("normalizers").items()) append_normalizers(item, out);
    return;
  }
  require<FileError>(out.size() < kMostSteps, "[load] {}: more than {} normalizers.", json.where(),
                     kMostSteps);
  out.push_back(one_normalizer(json, type));
}

}  // namespace tarn::lm::tokenizer
