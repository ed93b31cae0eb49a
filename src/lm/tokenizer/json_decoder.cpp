// Decoders and post-processors of a tokenizer.json.
#include <optional>

#include "lm/tokenizer/json_steps.h"
#include "lm/tokenizer/unicode.h"

namespace tarn::lm::tokenizer {
namespace {

// Text that a decoder looks for.
std::string content_of(const Json& json, std::string_view key, std::string_view otherwise = {}) {
  std::string text = json.text_or(key, otherwise);
  require<FileError>(!text.empty() && text.size() <= kLongestContent,
                     "[load] {}: `{}` has {} bytes; 1 to {} are taken.", json.where(), key,
                     text.size(), kLongestContent);
  return text;
}

// Text that a decoder puts in.
std::string new_content_of(const Json& json) {
  std::string text(json.at("content").text());
  require<FileError>(text.size() <= kLongestContent,
                     "[load] {}: `content` has {} bytes; at most {} are taken.", json.where(),
                     text.size(), kLongestContent);
  return text;
}

bool drops_first_space(const Json& json) {
  return json.text_or("prepend_scheme",
                      json.flag_or("add_prefix_space", true) ? "always" : "never") != "never";
}

struct Strip {
  std::string content{};
  size_t start = 0, stop = 0;
};

Strip strip_of(const Json& json) {
  std::string_view content = json.at("content").text();
  int64_t start = json.at("start").integer(), stop = json.at("stop").integer();
  bool one = !content.empty() && character_at(content, 0).length == content.size();
  require<FileError>(one && start >= 0 && stop >= 0,
                     "[load] {}: `content` must be one character, `start` and `stop` not "
                     "negative.",
                     json.where());
  return {std::string(content), static_cast<size_t>(start), static_cast<size_t>(stop)};
}

DecodeStep replace_of(const Json& json) {
  Json pattern = json.at("pattern");
  if (auto regex = pattern.find("Regex"))
    return decode_replace(Regex(regex->text(), json.where()), new_content_of(json));
  return decode_replace(content_of(pattern, "String"), new_content_of(json));
}

void append_token_decoder(const Json& json, std::string_view type, Decoder& out) {
  auto add = [&](DecodeStep step) { out.steps.push_back(std::move(step)); };
  if (type == "ByteLevel") return add(decode_byte_level());
  if (type == "ByteFallback") return add(decode_byte_fallback());
  if (type == "Replace") return add(replace_of(json));
  if (type == "Metaspace")
    return add(
        decode_metaspace(content_of(json, "replacement", kMetaspace), drops_first_space(json)));
  if (type == "WordPiece")
    return add(decode_word_piece(json.text_or("prefix", "##"), json.flag_or("cleanup", true)));
  if (type == "Strip") {
    Strip strip = strip_of(json);
    return add(decode_strip(std::move(strip.content), strip.start, strip.stop));
  }
  if (type == "BPEDecoder") {
    out.last_differs = true;
    return add(decode_word_suffix(content_of(json, "suffix", "</w>")));
  }
  if (type == "CTC") {
    out.drops_repeats = true;
    return add(decode_ctc(content_of(json, "pad_token", "<pad>"),
                          content_of(json, "word_delimiter_token", "|"),
                          json.flag_or("cleanup", true)));
  }
  json.unsupported("decoder", type);
}

// A decoder behind Fuse or ByteLevel: the text is one token to it, the first and the last.
void append_text_decoder(const Json& json, std::string_view type, Decoder& out) {
  auto add = [&](std::unique_ptr<const TextStep> step) {
    out.text_steps.push_back(std::move(step));
  };
  auto add_whole = [&](DecodeStep step) {
    add(whole_text([step = std::move(step)](std::string& text) { step(text, {true, true}); }));
  };
  auto add_cleanup = [&] {
    for (auto& step : cleanup_of_text()) add(std::move(step));
  };
  bool cleanup = (type == "WordPiece" || type == "CTC") && json.flag_or("cleanup", true);
  if (type == "Strip") {
    Strip strip = strip_of(json);
    add(strip_text(std::move(strip.content), strip.start, strip.stop));
  } else if (type == "Replace") {
    Json pattern = json.at("pattern");
    if (pattern.find("Regex"))
      add_whole(replace_of(json));
    else
      add(replace_in_text(content_of(pattern, "String"), new_content_of(json)));
  } else if (type == "Metaspace") {
    add(replace_in_text(content_of(json, "replacement", kMetaspace),
                        drops_first_space(json) ? "" : " "));
  } else if (type == "BPEDecoder") {
    add(replace_in_text(content_of(json, "suffix", "</w>"), ""));
  } else if (type == "CTC") {
    add(replace_in_text(content_of(json, "pad_token", "<pad>"), ""));
    if (cleanup) add_cleanup();
    if (cleanup) add(replace_in_text(content_of(json, "word_delimiter_token", "|"), " "));
  } else if (type == "WordPiece") {
    if (cleanup) add_cleanup();
  } else if (type == "ByteLevel") {
    add_whole(decode_byte_level());
  } else if (type == "ByteFallback") {
    add_whole(decode_byte_fallback());
  } else if (type != "Fuse") {
    json.unsupported("decoder", type);
  }
}

void append_decoders(const Json& json, bool& fused, Decoder& out) {
  std::string_view type = json.at("type").text();
  require<FileError>(out.steps.size() + out.text_steps.size() < kMostSteps,
                     "[load] {}: more than {} decoders.", json.where(), kMostSteps);
  if (type == "Sequence") {
    for (const Json& item : json.at("decoders").items()) append_decoders(item, fused, out);
  } else if (fused) {
    append_text_decoder(json, type, out);
  } else {
    fused = type == "Fuse" || type == "ByteLevel";
    if (type != "Fuse") append_token_decoder(json, type, out);
  }
}

// The id of a template's special token, e.g. "<s>" → 1.
void append_ids(const Json& specials, std::string_view name, std::vector<int32_t>& out) {
  for (const Json& id : specials.at(name).at("ids").items())
    out.push_back(static_cast<int32_t>(id.integer()));
}

// A later processor puts its tokens around those of an earlier one.
void put_around(Parts& parts, const std::vector<int32_t>& prefix,
                const std::vector<int32_t>& suffix) {
  parts.prefix.insert(parts.prefix.begin(), prefix.begin(), prefix.end());
  parts.suffix.insert(parts.suffix.end(), suffix.begin(), suffix.end());
}

void read_template(const Json& json, Parts& parts) {
  bool before = true;
  std::vector<int32_t> prefix, suffix;
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
                 before ? prefix : suffix);
    }
  }
  put_around(parts, prefix, suffix);
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
    put_around(parts, {marker(json, "cls")}, {marker(json, "sep")});
  } else if (type != "ByteLevel") {  // that one moves offsets only
    json.unsupported("post-processor", type);
  }
}

}  // namespace tarn::lm::tokenizer
