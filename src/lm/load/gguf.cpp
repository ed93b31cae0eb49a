// A model in one GGUF file: names, sizes and row order brought to those of config.json.
#include <algorithm>

#include "base/require.h"
#include "lm/load/gguf_names.h"
#include "lm/load/load.h"
#include "tarn/gguf.h"
#include "tarn/io.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

// Tensors that say how positions turn: they are part of the config.
bool is_rope_factors(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

// Rather than in memory of its own.
bool lies_in_file(const array& a, const GgufFile& f) {
  const auto* data = static_cast<const std::byte*>(a.data<void>());
  return std::any_of(f.tensors().begin(), f.tensors().end(),
                     [&](const GgufTensor& t) { return t.bytes.data() == data; });
}

void take_dense(Checkpoint& c, const std::string& name, const array& weight, bool is_offset) {
  c.weights.insert_or_assign(name, is_offset && name.ends_with("norm.weight")
                                       ? astype(weight, float32) - array(1.0f)
                                       : weight);
}

Checkpoint checkpoint_of(const GgufFile& f, const GgufFamily& family, Json config,
                         GgufWeights weights) {
  Checkpoint c{.config = std::move(config), .config_file = f.path(), .weights_file = f.path()};
  std::unordered_map<std::string, Grouping> groupings;
  for (auto& [name, weight] : weights) {
    if (is_rope_factors(name)) continue;
    std::string ours = name_from_gguf(family, name);
    if (auto* dense = std::get_if<array>(&weight)) {
      take_dense(c, ours, *dense, family.offset_norms);
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

std::vector<int32_t> stop_ids_of(const GgufFile& f, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (f.has(key)) ids.push_back(static_cast<int32_t>(f.integer(key)));
  for (const char* token : {"<|im_end|>", "<|eot_id|>", "<|end|>"})
    if (auto id = tokenizer.id_of(token)) ids.push_back(*id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

LanguageModel about_gguf(const GgufFile& f, const std::filesystem::path& file) {
  LanguageModel lm;
  lm.name = std::string(f.text("general.name", file.stem().string()));
  lm.tokenizer = Tokenizer::from_gguf(f);
  if (f.has("tokenizer.chat_template"))
    lm.chat_template = ChatTemplate::parse(f.text("tokenizer.chat_template"), lm.name);
  lm.stop_ids = stop_ids_of(f, lm.tokenizer);
  return lm;
}

Outline outline_gguf(const GgufFile& f, uint64_t file_bytes) {
  const GgufFamily& family = gguf_family(f);
  Json config = config_from_gguf(family, f);
  GgufOutline all = f.outline(gguf_row_order(family, config));
  Outline o{.weights = all.memory_bytes};
  uint64_t in_the_file = 0;
  for (const auto& [name, weight] : all.weights)
    if (auto* dense = std::get_if<array>(&weight); dense && lies_in_file(*dense, f))
      in_the_file += dense->nbytes();
  bool is_mapped =
      !f.tensors().empty() && name_of_mapped_file(f.tensors()[0].bytes.data()) != nullptr;
  if (is_mapped)
    o.mapped = file_bytes, o.mapped_used = in_the_file;
  else
    o.weights += file_bytes;
  o.checkpoint = checkpoint_of(f, family, std::move(config), std::move(all.weights));
  return o;
}

}  // namespace

Checkpoint read_gguf(const GgufFile& f) {
  const GgufFamily& family = gguf_family(f);
  Json config = config_from_gguf(family, f);
  GgufWeights weights = f.load_all(gguf_row_order(family, config));
  return checkpoint_of(f, family, std::move(config), std::move(weights));
}

ModelFiles open_gguf_model(const std::filesystem::path& file) {
  GgufFile f = GgufFile::open(file.string());
  gguf_family(f);  // throws for one that is not known
  uint64_t bytes = std::filesystem::file_size(file);
  return {.path = file,
          .about = [f, file] { return about_gguf(f, file); },
          .outline = [f, bytes] { return outline_gguf(f, bytes); },
          .checkpoint = [f] { return read_gguf(f); }};
}

}  // namespace tarn::lm
