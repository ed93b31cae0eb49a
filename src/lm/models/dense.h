// What the dense decoders have in common, and what a family of them does in its own way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lm/models/rope.h"
#include "tarn/distributed.h"
#include "tarn/lm/architecture.h"

namespace tarn::lm {

// The keys of config.json that dense decoders read.
struct DenseArgs {
  int64_t hidden_size = required, num_hidden_layers = required, intermediate_size = required;
  int64_t num_attention_heads = required, vocab_size = required;
  float rms_norm_eps = required;
  std::optional<int64_t> num_key_value_heads{}, head_dim{};
  int64_t max_position_embeddings = 2048;
  float rope_theta = 10000, rope_local_base_freq = 10000, partial_rotary_factor = 1;
  bool rope_traditional = false, attention_bias = false, mlp_bias = false;
  bool tie_word_embeddings = true;
  std::optional<RopeScaling> rope_scaling{};
  std::optional<int64_t> original_max_position_embeddings{};
  std::string hidden_act{}, hidden_activation{};
  std::optional<float> query_pre_attn_scalar{}, attn_logit_softcapping{};
  std::optional<float> final_logit_softcapping{};
  std::optional<int64_t> sliding_window{}, sliding_window_pattern{}, max_window_layers{};
  std::optional<bool> use_sliding_window{};
  std::vector<std::string> layer_types{};
  std::vector<int64_t> no_rope_layers{};
  std::optional<int64_t> no_rope_layer_interval{};
  TARN_FIELDS(hidden_size, num_hidden_layers, intermediate_size, num_attention_heads, vocab_size,
              rms_norm_eps, num_key_value_heads, head_dim, max_position_embeddings, rope_theta,
              rope_local_base_freq, partial_rotary_factor, rope_traditional, attention_bias,
              mlp_bias, tie_word_embeddings, rope_scaling, original_max_position_embeddings,
              hidden_act, hidden_activation, query_pre_attn_scalar, attn_logit_softcapping,
              final_logit_softcapping, sliding_window, sliding_window_pattern, max_window_layers,
              use_sliding_window, layer_types, no_rope_layers, no_rope_layer_interval)

  int64_t kv_heads() const { return num_key_value_heads.value_or(num_attention_heads); }
  int64_t head() const {
    if (head_dim || num_attention_heads <= 0) return head_dim.value_or(0);
    return hidden_size / num_attention_heads;
  }
};

// Which layers look back no further than `sliding_window`, where `layer_types` does not say.
enum class Windows : uint8_t {
  none,
  all,
  even,        // 0, 2, 4 …
  pattern,     // all but every sliding_window_pattern-th
  upper_half,  // from max_window_layers on, if use_sliding_window
};

struct Family {
  std::string model_type{};
  const char* defaults = "{}";    // of keys that its configs leave out
  bool qkv_bias = false;          // q, k and v have biases, o has none
  bool qk_norm = false;           // a norm of each head of q and k before they are turned
  bool fused = false;             // qkv_proj and gate_up_proj in place of three and two
  bool post_norms = false;        // what a part gives is normalised before it is added
  bool norm_offset = false;       // norms multiply by 1 + weight
  bool scaled_embedding = false;  // embeddings times sqrt(hidden_size)
  bool local_rope = false;        // layers with a window have rope_local_base_freq, unscaled
  Windows windows = Windows::none;
};

struct LayerKind {
  int64_t window = 0;  // 0: none
  bool turns = true;   // positions are rotated
  bool local = false;  // by the rope of layers with a window
};

enum class Activation : uint8_t { silu, gelu, gelu_tanh };

// A family's config, read and checked. The parts of a model share it.
struct Dense {
  Family family{};
  DenseArgs args{};
  std::vector<LayerKind> layers{};
  bool is_last(size_t layer) const { return layer + 1 == layers.size(); }
  Rope rope{}, local_rope{};
  Activation activation = Activation::silu;
  // Of a part of a model, see division.h: the ranks that have the parts.
  std::optional<distributed::Group> group{};
  // What all parts give together.
  array summed(const array& y) const { return group ? distributed::all_sum(y, *group) : y; }
  // The same and x, which every rank has. One of them adds it: its product can, the sum cannot.
  array added(const array& x, const array& y) const {
    if (!group) return x + y;
    return summed(group->rank() == 0 ? x + y : y);
  }
  float attention_scale = 1, attention_softcap = 0, logit_softcap = 0, embedding_scale = 1;
};

// Throws FileError for what does not fit.
std::shared_ptr<const Dense> read_dense(const Family& family, const Config& config);

// The decoder of all of them (decoder.cpp).
Model make_decoder(std::shared_ptr<const Dense> dense);

}  // namespace tarn::lm
