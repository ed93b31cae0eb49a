// A model as a GGUF file: llama.cpp's names, its order of rows, its norms, and the vocabulary.
#include <algorithm>
#include <unordered_set>

#include "base/printable.h"
#include "base/require.h"
#include "lm/convert/convert.h"
#include "lm/convert/vocabulary.h"
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

GgufQuantised quantised(const nn::Matrix& m) {
  return {.weight = m.weight,
          .scales = *m.scales,
          .biases = *m.biases,
          .group_size = m.group_size,
          .bits = m.bits};
}

// Weights under GGUF's names, in its order of rows.
class Renamed {
 public:
  Renamed(const GgufFamily& family, const Json& config)
      : family_(family),
        heads_(config["num_attention_heads"].get<int64_t>()),
        kv_(config.value("num_key_value_heads", heads_)) {}

  void add(const std::string& path, const nn::Matrix& m) {
    GgufQuantised q = quantised(m);
    for (array* part : {&q.weight, &q.scales, &q.biases}) *part = ordered(path, *part);
    weights_.emplace(name_of(path + ".weight"), std::move(q));
  }
  void add(const std::string& path, const array& a) {
    array w = ordered(path, a);
    if (w.ndim() == 1) w = astype(w, float32);
    if (family_.offset_norms && path.ends_with("norm.weight")) w = w + array(1.0f);
    weights_.emplace(name_of(path), std::move(w));
  }
  const GgufWeights& weights() const { return weights_; }

 private:
  std::string name_of(const std::string& path) const {
    std::string name = name_to_gguf(family_, path);
    require(!name.empty(), "[convert] GGUF files have no name for {}.", path);
    return name;
  }
  array ordered(const std::string& path, const array& a) const {
    bool q = path.find(".q_proj") != std::string::npos;
    bool k = path.find(".k_proj") != std::string::npos;
    return family_.permuted && (q || k) ? permuted(a, q ? heads_ : kv_) : a;
  }

  const GgufFamily& family_;
  int64_t heads_, kv_;
  GgufWeights weights_{};
};

void add_text(Metadata& to, const std::filesystem::path& folder, int64_t rows, const Json& config) {
  add_vocabulary(to, vocabulary_of_folder(folder, rows, config));
  if (auto t = open_model_folder(folder).about().chat_template)
    to.insert_or_assign("tokenizer.chat_template", std::string(t->source()));
}

// To the letter: a file may say more of its text than a Vocabulary holds.
void copy_text(Metadata& to, const GgufFile& from) {
  for (const auto& [key, value] : from.metadata())
    if (key.starts_with("tokenizer.")) to.insert_or_assign(std::string(key), gguf_metadata(value));
}

}  // namespace

int64_t dequantise_for_gguf(Model& model) {
  int64_t changed = 0;
  model.matrices([&](const std::string&, nn::Matrix& m) {
    if (!m.quantised() || (m.mode == "affine" && gguf_type_of(quantised(m)))) return;
    m.weight = astype(m.dense(), float16);
    m.scales = m.biases = std::nullopt;
    ++changed;
  });
  return changed;
}

void write_gguf(const std::filesystem::path& to, Model& model, const Json& config,
                const std::filesystem::path& from) {
  auto type = config["model_type"].get<std::string>();
  const GgufFamily* family = gguf_family_of(type);
  require(family != nullptr, "[convert] GGUF files have no name for model_type \"{}\".",
          printable(type));
  Metadata metadata;
  add_sizes(metadata, *family, config);
  if (std::filesystem::is_directory(from))
    add_text(metadata, from, model.shape().vocabulary, config);
  else
    copy_text(metadata, GgufFile::open(from.string()));
  Renamed renamed(*family, config);
  std::unordered_set<std::string> done;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    if (!m.quantised()) return;
    renamed.add(path, m);
    for (const char* part : {".weight", ".scales", ".biases"}) done.insert(path + part);
  });
  model.parameters([&](const std::string& path, array& a) {
    if (!done.contains(path)) renamed.add(path, a);
  });
  save_gguf_weights(to.string(), renamed.weights(), metadata);
}

}  // namespace tarn::lm
