// A model as a GGUF file: llama.cpp's names, its order of rows, its norms, and the vocabulary.
#include <algorithm>
#include <map>

#include "base/printable.h"
#include "base/require.h"
#include "lm/convert/convert.h"
#include "lm/load/gguf_names.h"
#include "tarn/io.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

using Metadata = std::unordered_map<std::string, GGUFMetaData>;

array whole(const Json& number) {
  return array(static_cast<uint32_t>(number.get<int64_t>()), uint32);
}
array broken(const Json& number) { return array(number.get<float>()); }

// Keys of config.json that files of this family say in the same way. Throws ValueError for a way of
// stretching positions that they do not have.
void add_sizes(Metadata& to, const GgufFamily& family, const Json& config) {
  auto key = [&](const char* name) { return fmt::format("{}.{}", family.architecture, name); };
  auto integer = [&](const char* from, const char* name) {
    if (auto it = config.find(from); it != config.end() && !it->is_null())
      to[key(name)] = whole(*it);
  };
  auto number = [&](const char* from, const char* name) {
    if (auto it = config.find(from); it != config.end() && !it->is_null())
      to[key(name)] = broken(*it);
  };
  to["general.architecture"] = std::string(family.architecture);
  integer("hidden_size", "embedding_length"), integer("num_hidden_layers", "block_count");
  integer("intermediate_size", "feed_forward_length");
  integer("num_attention_heads", "attention.head_count");
  integer("num_attention_heads", "attention.head_count_kv");
  integer("num_key_value_heads", "attention.head_count_kv");
  integer("head_dim", "attention.key_length"), integer("head_dim", "attention.value_length");
  integer("sliding_window", "attention.sliding_window");
  integer("max_position_embeddings", "context_length");
  number("rms_norm_eps", "attention.layer_norm_rms_epsilon");
  number("rope_theta", "rope.freq_base"), number("rope_local_base_freq", "rope.freq_base_swa");
  number("attn_logit_softcapping", "attn_logit_softcapping");
  number("final_logit_softcapping", "final_logit_softcapping");
  auto rope = config.find("rope_scaling");
  if (rope == config.end() || !rope->is_object()) return;
  std::string type = rope->value("rope_type", rope->value("type", std::string("default")));
  require(type == "default" || type == "linear",
          "[convert] rope type \"{}\" is not written to GGUF files; default and linear are.",
          printable(type));
  if (type == "linear") {
    to[key("rope.scaling.type")] = type;
    to[key("rope.scaling.factor")] = broken((*rope)["factor"]);
  }
}

// The order that gguf_row_order undoes.
array permuted(const array& a, int64_t heads) {
  int64_t rows = a.shape(0), head = rows / heads;
  Shape shape = a.shape();
  Shape split{heads, 2, head / 2};
  split.insert(split.end(), shape.begin() + 1, shape.end());
  return reshape(swapaxes(reshape(a, split), 1, 2), shape);
}

void add_vocabulary(Metadata& to, const std::filesystem::path& folder, int64_t rows,
                    const Json& config) {
  constexpr int32_t normal = 1, control = 3, unused = 5;
  std::string file = (folder / "tokenizer.json").string();
  Json tokenizer = load_json(file), none = Json::object();
  const Json& model = tokenizer.contains("model") ? tokenizer["model"] : none;
  require<FileError>(model.is_object() && model.value("type", "") == "BPE" &&
                         model.contains("vocab") && model["vocab"].is_object(),
                     "[convert] {}: only byte-level BPE vocabularies are written to GGUF files.",
                     file);
  std::vector<std::string> tokens(static_cast<size_t>(rows)), merges;
  std::vector<int32_t> types(tokens.size(), unused);
  auto set = [&](int64_t id, const std::string& text, int32_t type) {
    if (id < 0 || id >= rows) return;
    tokens[static_cast<size_t>(id)] = text, types[static_cast<size_t>(id)] = type;
  };
  for (const auto& [text, id] : model["vocab"].items()) set(id.get<int64_t>(), text, normal);
  for (const Json& added : tokenizer.value("added_tokens", Json::array()))
    set(added.at("id").get<int64_t>(), added.at("content").get<std::string>(), control);
  for (const Json& merge : model.value("merges", Json::array()))
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i].empty()) tokens[i] = fmt::format("[PAD{}]", i);
  to["tokenizer.ggml.model"] = std::string("gpt2");
  // How text is cut into words; files have names for it, of which these are the families'.
  bool qwen = config["model_type"].get<std::string>().starts_with("qwen");
  bool large = rows > 100'000;
  to["tokenizer.ggml.pre"] = std::string(qwen ? "qwen2" : large ? "llama-bpe" : "smollm");
  to["tokenizer.ggml.tokens"] = tokens;
  if (!merges.empty()) to["tokenizer.ggml.merges"] = merges;
  to["tokenizer.ggml.token_type"] = array(types.begin(), Shape{rows}, int32);
  if (auto eos = config.find("eos_token_id"); eos != config.end() && eos->is_number_integer())
    to["tokenizer.ggml.eos_token_id"] = whole(*eos);
}

}  // namespace

void write_gguf(const std::filesystem::path& to, Model& model, const Json& config,
                const std::filesystem::path& folder) {
  auto type = config["model_type"].get<std::string>();
  const GgufFamily* family = gguf_family_of(type);
  require(family != nullptr, "[convert] GGUF files have no name for model_type \"{}\".",
          printable(type));
  Metadata metadata;
  add_sizes(metadata, *family, config);
  if (!folder.empty()) add_vocabulary(metadata, folder, model.shape().vocabulary, config);
  int64_t heads = config["num_attention_heads"].get<int64_t>();
  int64_t kv = config.value("num_key_value_heads", heads);
  std::unordered_map<std::string, array> weights;
  model.parameters([&](const std::string& path, array& a) {
    std::string name = name_to_gguf(*family, path);
    require(!name.empty(), "[convert] GGUF files have no name for {}.", path);
    bool q = path.find(".q_proj.") != std::string::npos;
    bool k = path.find(".k_proj.") != std::string::npos;
    array w = family->permuted && (q || k) ? permuted(a, q ? heads : kv) : a;
    if (w.ndim() == 1) w = astype(w, float32);
    if (family->offset_norms && path.ends_with("norm.weight")) w = w + array(1.0f);
    weights.emplace(name, w);
  });
  save_gguf(to.string(), weights, metadata);
}

}  // namespace tarn::lm
