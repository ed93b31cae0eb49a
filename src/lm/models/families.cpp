// The families that are known: a row each over the dense decoder, and those that a program adds.
#include <algorithm>
#include <map>
#include <mutex>

#include "lm/models/dense.h"

namespace tarn::lm {
namespace {

const Family families[] = {
    {.model_type = "llama"},
    {.model_type = "mistral", .windows = Windows::all},
    {.model_type = "smollm3",
     .defaults = R"({"no_rope_layer_interval": 4, "rope_theta": 2000000})"},
    {.model_type = "qwen2", .qkv_bias = true, .windows = Windows::upper_half},
    {.model_type = "qwen3", .qk_norm = true, .windows = Windows::upper_half},
    {.model_type = "phi3",
     .defaults = R"({"original_max_position_embeddings": 4096})",
     .fused = true,
     .windows = Windows::all},
    {.model_type = "gemma2",
     .defaults = R"({"head_dim": 256, "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-6,
                     "attn_logit_softcapping": 50, "final_logit_softcapping": 30,
                     "sliding_window": 4096, "max_position_embeddings": 8192,
                     "hidden_activation": "gelu_pytorch_tanh"})",
     .post_norms = true,
     .norm_offset = true,
     .scaled_embedding = true,
     .windows = Windows::even},
    {.model_type = "gemma3_text",
     .defaults = R"({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                     "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-6, "vocab_size": 262208,
                     "rope_theta": 1000000, "sliding_window": 4096,
                     "max_position_embeddings": 131072,
                     "hidden_activation": "gelu_pytorch_tanh"})",
     .qk_norm = true,
     .post_norms = true,
     .norm_offset = true,
     .scaled_embedding = true,
     .local_rope = true,
     .windows = Windows::pattern},
};

// The text half of a model that sees as well: its tensors stand below "language_model".
std::optional<std::string> text_half(const std::string& name) {
  for (const char* other : {"vision_tower.", "multi_modal_projector."})
    if (name.find(other) != std::string::npos) return std::nullopt;
  for (const auto& [theirs, ours] :
       {std::pair<std::string, std::string>{"language_model.model.", "model."},
        {"language_model.lm_head.", "lm_head."},
        {"model.language_model.", "model."}})
    if (name.rfind(theirs, 0) == 0) return ours + name.substr(theirs.size());
  return name;
}

Architecture of(const Family& family) {
  auto make = [family](const Config& config) { return make_decoder(read_dense(family, config)); };
  return {.model_type = family.model_type, .make = make};
}

struct Register {
  std::mutex lock{};
  std::map<std::string, Architecture> all{};
  Register() {
    for (const Family& family : families) all[family.model_type] = of(family);
    all["gemma3"] = all["gemma3_text"];
    all["gemma3"].model_type = "gemma3";
    all["gemma3"].rename = text_half;
  }
};
Register& known() {
  static Register r;
  return r;
}

}  // namespace

void register_architecture(Architecture architecture) {
  std::lock_guard hold(known().lock);
  std::string name = architecture.model_type;
  known().all[name] = std::move(architecture);
}

std::optional<Architecture> find_architecture(const std::string& model_type) {
  std::lock_guard hold(known().lock);
  auto it = known().all.find(model_type);
  if (it == known().all.end()) return std::nullopt;
  return it->second;
}

std::vector<std::string> known_model_types() {
  std::lock_guard hold(known().lock);
  std::vector<std::string> names;
  for (const auto& [name, architecture] : known().all) names.push_back(name);
  return names;
}

}  // namespace tarn::lm
