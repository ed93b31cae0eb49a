#include <bit>
#include <fstream>

#include "base/json_text.h"
#include "base/require.h"
#include "lm/convert/vocabulary.h"
#include "lm/tokenizer/gguf_words.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/sentence_piece.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;
using namespace tokenizer;

bool is_special(int32_t type) { return type == kControl || type == kUnknown; }

Json added_tokens(const Vocabulary& v) {
  Json all = Json::array();
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    int32_t type = type_of(v, i);
    if (!is_special(type) && type != kUserDefined) continue;
    all.push_back({{"id", i},
                   {"content", v.tokens[i]},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false},
                   {"normalized", false},
                   {"special", is_special(type)}});
  }
  return all;
}

Json byte_level(bool splits) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", splits}};
}

Json words_of(const WordPatterns& rule) {
  Json steps = Json::array();
  for (std::string_view pattern : rule.patterns)
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", std::string(pattern)}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  steps.push_back(byte_level(false));
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

// What stands around a text: bos before it, eos behind it.
Json around(const Vocabulary& v) {
  if (!v.add_bos && !v.add_eos) return nullptr;
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  auto special = [&](const std::optional<int32_t>& id) {
    if (!id) return;
    const std::string& text = v.tokens.at(static_cast<size_t>(*id));
    Json token = {{"SpecialToken", {{"id", text}, {"type_id", 0}}}};
    single.push_back(token), pair.push_back(std::move(token));
    tokens[text] = {{"id", text}, {"ids", {*id}}, {"tokens", {text}}};
  };
  auto sequence = [](const char* name) {
    return Json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  if (v.add_bos) special(v.bos);
  single.push_back(sequence("A")), pair.push_back(sequence("A")), pair.push_back(sequence("B"));
  if (v.add_eos) special(v.eos);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

Json tokenizer_json(const Vocabulary& v) {
  WordPatterns rule = word_patterns(v);
  Json vocabulary = Json::object();
  for (size_t i = 0; i < v.tokens.size(); ++i) vocabulary.emplace(v.tokens[i], i);
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", rule.ignore_merges},
                {"vocab", std::move(vocabulary)},
                {"merges", v.merges}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(v)},
          {"normalizer", nullptr},
          {"pre_tokenizer", words_of(rule)},
          {"post_processor", around(v)},
          {"decoder", byte_level(true)},
          {"model", std::move(model)}};
}

// A message of protocol buffers, field by field.
class Message {
 public:
  void number(uint32_t field, uint64_t value) {
    varint(field << 3);
    varint(value);
  }
  void real(uint32_t field, float value) {
    varint((field << 3) | 5);
    auto bits = std::bit_cast<uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<char>((bits >> (8 * i)) & 0xff));
  }
  void text(uint32_t field, std::string_view value) {
    varint((field << 3) | 2);
    varint(value.size());
    bytes_ += value;
  }
  // A negative number is ten bytes.
  void id(uint32_t field, const std::optional<int32_t>& id) {
    number(field, static_cast<uint64_t>(int64_t{id.value_or(-1)}));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_{};
};

// A ModelProto of SentencePiece; the numbers of its fields are those of sentencepiece_model.proto.
std::string sentence_piece_model(const Vocabulary& v) {
  Message model, trainer, normalizer;
  bool has_bytes = false;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    Message piece;
    piece.text(1, v.tokens[i]);
    piece.real(2, v.scores.empty() ? 0 : v.scores[i]);
    piece.number(3, static_cast<uint64_t>(type_of(v, i)));
    has_bytes = has_bytes || type_of(v, i) == kByte;
    model.text(1, piece.bytes());
  }
  trainer.number(3, v.model == "t5" ? 1 : v.model == "llama" ? 2 : v.model == "word" ? 3 : 4);
  trainer.number(4, v.tokens.size());
  trainer.number(35, has_bytes);
  trainer.id(40, v.unk), trainer.id(41, v.bos), trainer.id(42, v.eos), trainer.id(43, v.pad);
  normalizer.text(1, "identity");
  if (!v.precompiled_charsmap.empty()) normalizer.text(2, v.precompiled_charsmap);
  normalizer.number(3, v.add_space_prefix);
  normalizer.number(4, v.remove_extra_whitespaces);
  normalizer.number(5, v.escape_whitespaces);
  model.text(2, trainer.bytes());
  model.text(3, normalizer.bytes());
  return model.bytes();
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  require<FileError>(!out.fail(), "[convert] {} cannot be written.", file.string());
}

std::string text_of(const Json& json, int indent = -1) { return json_text(json, indent) + "\n"; }

Json about(const Vocabulary& v, const GgufFile& file) {
  Json config = {
      {"tokenizer_class", v.model == "llama" ? "LlamaTokenizer" : "PreTrainedTokenizerFast"},
      {"add_bos_token", v.add_bos},
      {"add_eos_token", v.add_eos},
      {"clean_up_tokenization_spaces", false}};
  auto name = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) config[key] = v.tokens.at(static_cast<size_t>(*id));
  };
  name("bos_token", v.bos), name("eos_token", v.eos);
  name("unk_token", v.unk), name("pad_token", v.pad);
  if (file.has("tokenizer.chat_template"))
    config["chat_template"] = std::string(file.text("tokenizer.chat_template"));
  return config;
}

}  // namespace

void write_vocabulary(const fs::path& folder, const GgufFile& file,
                      const std::function<void(const std::string&)>& note) {
  if (!file.has("tokenizer.ggml.model")) return;
  Vocabulary v = vocabulary_from_gguf(file);
  if (v.model == "gpt2" && !is_of_characters(v))
    write(folder / "tokenizer.json", text_of(tokenizer_json(v)));
  else if (is_sentence_piece(v))
    write(folder / "tokenizer.model", sentence_piece_model(v));
  else if (note)
    note(
        fmt::format("The vocabulary is of the kind \"{}\", for which no tokenizer is written: put "
                    "that of the original model into the folder.",
                    v.model));
  write(folder / "tokenizer_config.json", text_of(about(v, file), 2));
}

}  // namespace tarn::lm
