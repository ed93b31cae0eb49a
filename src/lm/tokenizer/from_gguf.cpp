// The vocabulary in the metadata of a GGUF file.
#include "lm/tokenizer/parts.h"
#include "tarn/gguf.h"

namespace tarn::lm::tokenizer {
namespace {

Vocabulary vocabulary_of(const GgufFile& f) {
  Vocabulary v;
  v.file = f.path();
  v.model = f.text("tokenizer.ggml.model");
  v.pre = f.text("tokenizer.ggml.pre", "default");
  for (auto t : f.texts("tokenizer.ggml.tokens")) v.tokens.emplace_back(t);
  if (f.has("tokenizer.ggml.scores")) v.scores = f.numbers("tokenizer.ggml.scores");
  if (f.has("tokenizer.ggml.token_type"))
    for (auto t : f.integers("tokenizer.ggml.token_type"))
      v.types.push_back(static_cast<int32_t>(t));
  if (f.has("tokenizer.ggml.merges"))
    for (auto m : f.texts("tokenizer.ggml.merges")) v.merges.emplace_back(m);
  if (f.has("tokenizer.ggml.precompiled_charsmap"))
    for (auto byte : f.integers("tokenizer.ggml.precompiled_charsmap"))
      v.precompiled_charsmap.push_back(static_cast<char>(byte));
  return v;
}

void read_special(const GgufFile& f, Vocabulary& v) {
  auto id = [&](const std::string& name) -> std::optional<int32_t> {
    std::string key = "tokenizer.ggml." + name + "_token_id";
    if (!f.has(key)) return std::nullopt;
    return static_cast<int32_t>(f.integer(key));
  };
  bool bert = v.model == "bert";
  v.bos = bert ? id("cls") : id("bos");
  v.eos = bert ? id("seperator") : id("eos");
  v.unk = id("unknown");
  v.pad = id("padding");
  // What converters leave out because it is so for all vocabularies of the kind.
  bool adds_bos = bert || v.model == "llama" || v.model == "gemma4" || v.pre == "llama-bpe";
  bool adds_eos = bert || v.model == "t5" || v.pre == "roberta-bpe";
  v.add_bos = f.boolean("tokenizer.ggml.add_bos_token", adds_bos);
  v.add_eos = f.boolean("tokenizer.ggml.add_eos_token", adds_eos);
  v.add_space_prefix = f.boolean("tokenizer.ggml.add_space_prefix", true);
  v.remove_extra_whitespaces = f.boolean("tokenizer.ggml.remove_extra_whitespaces", false);
  v.lowercase = f.boolean("tokenizer.ggml.normalizer.lowercase", true);
}

}  // namespace

Vocabulary vocabulary_from_gguf(const GgufFile& file) {
  Vocabulary v = vocabulary_of(file);
  read_special(file, v);
  return v;
}

std::shared_ptr<const Parts> parts_from_gguf(const GgufFile& file) {
  return parts_from_vocabulary(vocabulary_from_gguf(file));
}

}  // namespace tarn::lm::tokenizer
