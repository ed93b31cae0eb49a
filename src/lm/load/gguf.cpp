// A model in one GGUF file: names, sizes and row order brought to those of config.json.
#include <algorithm>

#include "base/require.h"
#include "lm/load/gguf_names.h"
#include "lm/load/load.h"
#include "tarn/gguf.h"
#include "tarn/ops.h"

namespace tarn::lm {
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
  auto id = [&](const char* key) -> std::optional<int32_t> {
    if (!f.has(key)) return std::nullopt;
    return static_cast<int32_t>(f.integer(key));
  };
  v.bos = id("tokenizer.ggml.bos_token_id");
  v.eos = id("tokenizer.ggml.eos_token_id");
  v.unk = id("tokenizer.ggml.unknown_token_id");
  v.pad = id("tokenizer.ggml.padding_token_id");
  v.add_bos = f.boolean("tokenizer.ggml.add_bos_token", v.model == "llama");
  v.add_eos = f.boolean("tokenizer.ggml.add_eos_token", false);
  v.add_space_prefix = f.boolean("tokenizer.ggml.add_space_prefix", true);
  return v;
}

// Tensors that say how positions turn: they are part of the config.
bool is_rope_factors(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

}  // namespace

Checkpoint read_gguf(const GgufFile& f) {
  const GgufFamily& family = gguf_family(f);
  Checkpoint c{
      .config = config_from_gguf(family, f), .config_file = f.path(), .weights_file = f.path()};
  std::unordered_map<std::string, Grouping> groupings;
  for (auto& [name, weight] : f.load_all(gguf_row_order(family, c.config))) {
    if (is_rope_factors(name)) continue;
    std::string ours = name_from_gguf(family, name);
    if (auto* dense = std::get_if<array>(&weight)) {
      bool offset = family.offset_norms && name.ends_with("norm.weight");
      c.weights.insert_or_assign(ours, offset ? astype(*dense, float32) - array(1.0f) : *dense);
      continue;
    }
    auto& q = std::get<GgufQuantised>(weight);
    std::string stem = ours.substr(0, ours.rfind('.'));
    groupings[stem] = {q.group_size, q.bits};
    c.weights.insert_or_assign(ours, std::move(q.weight));
    c.weights.insert_or_assign(stem + ".scales", std::move(q.scales));
    c.weights.insert_or_assign(stem + ".biases", std::move(q.biases));
  }
  c.grouping = [groupings](const std::string& path) { return groupings.at(path); };
  return c;
}

LanguageModel load_gguf_model(const std::filesystem::path& file, const LoadOptions& options) {
  auto check_stop = [&] {
    require<Cancelled>(!options.stop.stop_requested(), "[load] stopped on request.");
  };
  GgufFile f = GgufFile::open(file.string());
  LanguageModel lm;
  lm.name = std::string(f.text("general.name", file.stem().string()));
  uint64_t total = 0;
  for (const auto& t : f.tensors()) total += t.bytes.size();
  check_stop();
  Checkpoint checkpoint = read_gguf(f);
  check_stop();
  if (options.progress) options.progress(total, total);
  lm.model = build_model(std::move(checkpoint));
  lm.tokenizer = Tokenizer::from_vocabulary(vocabulary_of(f));
  if (f.has("tokenizer.chat_template"))
    lm.chat_template = ChatTemplate::parse(f.text("tokenizer.chat_template"), lm.name);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (f.has(key)) lm.stop_ids.push_back(static_cast<int32_t>(f.integer(key)));
  for (const char* token : {"<|im_end|>", "<|eot_id|>", "<|end|>"})
    if (auto id = lm.tokenizer.id_of(token)) lm.stop_ids.push_back(*id);
  std::sort(lm.stop_ids.begin(), lm.stop_ids.end());
  lm.stop_ids.erase(std::unique(lm.stop_ids.begin(), lm.stop_ids.end()), lm.stop_ids.end());
  return lm;
}

}  // namespace tarn::lm
