#include "lm/load/gguf_names.h"

#include <array>
#include <utility>

#include "base/printable.h"
#include "base/require.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

const GgufFamily families[] = {
    {.architecture = "llama", .model_type = "llama", .permuted = true},
    {.architecture = "llama", .model_type = "mistral", .permuted = true},
    {.architecture = "smollm3", .model_type = "smollm3", .permuted = true},
    {.architecture = "qwen2", .model_type = "qwen2"},
    {.architecture = "qwen3", .model_type = "qwen3"},
    {.architecture = "phi3", .model_type = "phi3", .fused = true},
    {.architecture = "gemma2", .model_type = "gemma2", .offset_norms = true, .post_norms = true},
    {.architecture = "gemma3",
     .model_type = "gemma3_text",
     .offset_norms = true,
     .post_norms = true},
};

using Names = std::pair<std::string_view, std::string_view>;
// Inside a block: theirs, ours.
constexpr std::array<Names, 8> block_names{{
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_down", "mlp.down_proj"},
}};
constexpr std::array<Names, 2> apart_names{
    {{"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"}}};
constexpr std::array<Names, 2> fused_names{
    {{"attn_qkv", "self_attn.qkv_proj"}, {"ffn_up", "mlp.gate_up_proj"}}};
constexpr std::array<Names, 1> pre_norm_names{{{"ffn_norm", "post_attention_layernorm"}}};
constexpr std::array<Names, 3> post_norm_names{{
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_norm", "pre_feedforward_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
}};
constexpr std::array<Names, 3> outer_names{
    {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}}};

// Calls f(theirs, ours) for the names inside a block of this family.
template <class F>
void each_block_name(const GgufFamily& family, F&& f) {
  auto all = [&](const auto& names) {
    for (auto [theirs, ours] : names) f(theirs, ours);
  };
  all(block_names);
  family.fused ? all(fused_names) : all(apart_names);
  family.post_norms ? all(post_norm_names) : all(pre_norm_names);
}

// "a.b.weight" as "a.b" and ".weight".
std::pair<std::string_view, std::string_view> parted(std::string_view name) {
  auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return {name, {}};
  return {name.substr(0, dot), name.substr(dot)};
}

std::string list_of_architectures() {
  std::string all;
  for (const auto& f : families)
    if (f.architecture == f.model_type || f.architecture == "gemma3")
      all += (all.empty() ? "" : ", ") + std::string(f.architecture);
  return all;
}

std::vector<float> factors_of(const GgufFile& f, std::string_view name) {
  const GgufTensor* t = f.find_tensor(name);
  if (!t) return {};
  GgufWeight weight = f.tensor(name);
  const auto* dense = std::get_if<array>(&weight);
  require<FileError>(dense && issubdtype(dense->dtype(), floating) && dense->ndim() == 1,
                     "[load] {}: {} is not a row of floating-point numbers.", f.path(),
                     printable(name));
  array floats = contiguous(astype(*dense, float32));
  eval(floats);
  return {floats.data<float>(), floats.data<float>() + floats.size()};
}

// How positions are stretched: factors lie among the tensors, other ways in the metadata.
Json rope_of(const GgufFile& f, const std::function<std::string(const char*)>& key) {
  Json rope = Json::object();
  if (auto factors = factors_of(f, "rope_freqs.weight"); !factors.empty()) {
    rope = {{"rope_type", "longrope"},
            {"short_factor", factors},
            {"long_factor", factors},
            {"attention_factor", 1.0}};
    return rope;
  }
  if (auto far = factors_of(f, "rope_factors_long.weight"); !far.empty()) {
    rope = {{"rope_type", "longrope"},
            {"short_factor", factors_of(f, "rope_factors_short.weight")},
            {"long_factor", far}};
    if (f.has(key("rope.scaling.attn_factor")))
      rope["attention_factor"] = f.number(key("rope.scaling.attn_factor"));
  } else if (f.has(key("rope.scaling.type"))) {
    std::string type(f.text(key("rope.scaling.type")));
    if (type == "none") return rope;
    rope["rope_type"] = type;
    if (f.has(key("rope.scaling.factor"))) rope["factor"] = f.number(key("rope.scaling.factor"));
  }
  if (f.has(key("rope.scaling.original_context_length")))
    rope["original_max_position_embeddings"] =
        f.integer(key("rope.scaling.original_context_length"));
  return rope;
}

}  // namespace

const GgufFamily& gguf_family(const GgufFile& file) {
  auto name = file.text("general.architecture");
  for (const auto& f : families)
    if (f.architecture == name) return f;
  fail<FileError>("[load] {}: architecture \"{}\" is not supported; these are: {}.", file.path(),
                  printable(name), list_of_architectures());
}
const GgufFamily* gguf_family_of(std::string_view model_type) {
  if (model_type == "gemma3") model_type = "gemma3_text";
  for (const auto& f : families)
    if (f.model_type == model_type) return &f;
  return nullptr;
}

std::string name_from_gguf(const GgufFamily& family, std::string_view name) {
  auto [stem, suffix] = parted(name);
  for (auto [theirs, ours] : outer_names)
    if (stem == theirs) return std::string(ours) + std::string(suffix);
  std::string result(name);
  auto dot = stem.find('.', 4);
  if (stem.substr(0, 4) != "blk." || dot == std::string_view::npos) return result;
  std::string_view number = stem.substr(4, dot - 4), inner = stem.substr(dot + 1);
  each_block_name(family, [&](std::string_view theirs, std::string_view ours) {
    if (inner == theirs) result = fmt::format("model.layers.{}.{}{}", number, ours, suffix);
  });
  return result;
}
std::string name_to_gguf(const GgufFamily& family, std::string_view name) {
  auto [stem, suffix] = parted(name);
  for (auto [theirs, ours] : outer_names)
    if (stem == ours) return std::string(theirs) + std::string(suffix);
  constexpr std::string_view layers = "model.layers.";
  auto dot = stem.find('.', layers.size());
  if (stem.substr(0, layers.size()) != layers || dot == std::string_view::npos) return "";
  std::string_view number = stem.substr(layers.size(), dot - layers.size());
  std::string result;
  each_block_name(family, [&](std::string_view theirs, std::string_view ours) {
    if (stem.substr(dot + 1) == ours) result = fmt::format("blk.{}.{}{}", number, theirs, suffix);
  });
  return result;
}

Json config_from_gguf(const GgufFamily& family, const GgufFile& f) {
  auto key = [&](const char* name) { return fmt::format("{}.{}", family.architecture, name); };
  Json c;
  c["model_type"] = family.model_type;
  c["hidden_size"] = f.integer(key("embedding_length"));
  c["num_hidden_layers"] = f.integer(key("block_count"));
  c["intermediate_size"] = f.integer(key("feed_forward_length"));
  int64_t heads = f.integer(key("attention.head_count"));
  c["num_attention_heads"] = heads;
  c["num_key_value_heads"] = f.integer(key("attention.head_count_kv"), heads);
  c["rms_norm_eps"] = f.number(key("attention.layer_norm_rms_epsilon"));
  c["max_position_embeddings"] = f.integer(key("context_length"), 2048);
  auto take_integer = [&](const char* name, const char* as) {
    if (f.has(key(name))) c[as] = f.integer(key(name));
  };
  auto take_number = [&](const char* name, const char* as) {
    if (f.has(key(name))) c[as] = f.number(key(name));
  };
  take_integer("attention.key_length", "head_dim");
  take_integer("attention.sliding_window", "sliding_window");
  take_integer("rope.scaling.original_context_length", "original_max_position_embeddings");
  take_number("rope.freq_base", "rope_theta");
  take_number("attn_logit_softcapping", "attn_logit_softcapping");
  take_number("final_logit_softcapping", "final_logit_softcapping");
  take_number("rope.freq_base_swa", "rope_local_base_freq");
  int64_t by_heads = c["hidden_size"].get<int64_t>() / std::max(heads, int64_t{1});
  int64_t head = c.value("head_dim", by_heads);
  // llama.cpp keeps no query_pre_attn_scalar: the largest Gemmas divide by hidden / heads.
  bool largest = (family.architecture == "gemma2" && c["num_hidden_layers"] == 46) ||
                 (family.architecture == "gemma3" && c["num_hidden_layers"] == 62);
  if (family.post_norms) c["query_pre_attn_scalar"] = largest ? by_heads : head;
  int64_t turned = f.integer(key("rope.dimension_count"), head);
  if (turned < head) c["partial_rotary_factor"] = double(turned) / double(head);
  if (Json rope = rope_of(f, key); !rope.empty()) c["rope_scaling"] = rope;
  const GgufTensor* embedding = f.find_tensor("token_embd.weight");
  require<FileError>(embedding && embedding->shape.size() == 2,
                     "[load] {} has no tensor token_embd.weight of two axes.", f.path());
  c["vocab_size"] = embedding->rows();
  c["attention_bias"] = family.model_type == "llama" && f.find_tensor("blk.0.attn_q.bias");
  c["tie_word_embeddings"] = f.find_tensor("output.weight") == nullptr;
  return c;
}

GgufRowOrder gguf_row_order(const GgufFamily& family, const Json& config) {
  if (!family.permuted) return {};
  int64_t heads = config["num_attention_heads"], kv = config["num_key_value_heads"];
  return [heads, kv](const GgufTensor& t) {
    std::vector<int64_t> order;
    bool q = t.name.find(".attn_q.") != std::string_view::npos;
    bool k = t.name.find(".attn_k.") != std::string_view::npos;
    int64_t n = q ? heads : kv, rows = t.rows();
    if ((!q && !k) || n <= 0 || rows % (2 * n) != 0) return order;
    int64_t head = rows / n, half = head / 2;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t in_head = r % head;
      order.push_back(r - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1));
    }
    return order;
  };
}

}  // namespace tarn::lm
