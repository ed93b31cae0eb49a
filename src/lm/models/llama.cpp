#include "lm/models/llama.h"

#include <cmath>

#include "lm/models/rope_scaling.h"
#include "tarn/fast.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

struct Args {
  int64_t hidden_size = required, num_hidden_layers = required, intermediate_size = required;
  int64_t num_attention_heads = required, vocab_size = required;
  float rms_norm_eps = required;
  std::optional<int64_t> num_key_value_heads{}, head_dim{};
  int64_t max_position_embeddings = 2048;
  float rope_theta = 10000;
  bool rope_traditional = false, attention_bias = false, mlp_bias = false;
  bool tie_word_embeddings = true;
  std::optional<RopeScaling> rope_scaling{};
  TARN_FIELDS(hidden_size, num_hidden_layers, intermediate_size, num_attention_heads, vocab_size,
              rms_norm_eps, num_key_value_heads, head_dim, max_position_embeddings, rope_theta,
              rope_traditional, attention_bias, mlp_bias, tie_word_embeddings, rope_scaling)

  int64_t kv_heads() const { return num_key_value_heads.value_or(num_attention_heads); }
  int64_t head() const { return head_dim.value_or(hidden_size / num_attention_heads); }
  void check(const std::string& file) const {
    bool sound = hidden_size > 0 && num_hidden_layers > 0 && num_hidden_layers <= 1024 &&
                 intermediate_size > 0 && vocab_size > 0 && num_attention_heads > 0 &&
                 kv_heads() > 0 && num_attention_heads % kv_heads() == 0 && head() > 0 &&
                 head() % 2 == 0 && rope_theta > 0;
    require<FileError>(sound,
                       "[load] {}: sizes do not fit a Llama model: hidden_size {}, layers {}, "
                       "heads {} over {} of size {}, vocabulary {}.",
                       file, hidden_size, num_hidden_layers, num_attention_heads, kv_heads(),
                       head(), vocab_size);
  }
};

struct Attention {
  Args a;
  nn::Linear q_proj =
      nn::Linear::of(a.hidden_size, a.num_attention_heads* a.head(), a.attention_bias);
  nn::Linear k_proj = nn::Linear::of(a.hidden_size, a.kv_heads() * a.head(), a.attention_bias);
  nn::Linear v_proj = nn::Linear::of(a.hidden_size, a.kv_heads() * a.head(), a.attention_bias);
  nn::Linear o_proj =
      nn::Linear::of(a.num_attention_heads * a.head(), a.hidden_size, a.attention_bias);
  std::optional<array> periods = scaled_periods(a.rope_scaling, a.rope_theta, a.head());
  TARN_FIELDS(q_proj, k_proj, v_proj, o_proj)

  array turned(const array& x, int64_t offset) const {
    std::optional<float> base;
    if (!periods) base = a.rope_theta;
    return fast::rope(x, static_cast<int>(a.head()), a.rope_traditional, base, 1.0f,
                      static_cast<int>(offset), periods);
  }
  array operator()(const array& x, Pass& pass, size_t layer) const {
    auto heads = [&](const array& y, int64_t count) {
      return reshape(y, {x.shape(0), x.shape(1), count, a.head()});
    };
    array y = pass.attend(layer, heads(q_proj(x), a.num_attention_heads),
                          heads(k_proj(x), a.kv_heads()), heads(v_proj(x), a.kv_heads()),
                          [&](const array& z, int64_t offset) { return turned(z, offset); },
                          {.scale = 1 / std::sqrt(static_cast<float>(a.head()))});
    return o_proj(y);
  }
};

struct Mlp {
  Args a;
  nn::Linear gate_proj = nn::Linear::of(a.hidden_size, a.intermediate_size, a.mlp_bias);
  nn::Linear up_proj = nn::Linear::of(a.hidden_size, a.intermediate_size, a.mlp_bias);
  nn::Linear down_proj = nn::Linear::of(a.intermediate_size, a.hidden_size, a.mlp_bias);
  TARN_FIELDS(gate_proj, up_proj, down_proj)
  array operator()(const array& x) const { return down_proj(nn::silu(gate_proj(x)) * up_proj(x)); }
};

struct Block {
  Args a;
  nn::RMSNorm input_layernorm = nn::RMSNorm::of(a.hidden_size, a.rms_norm_eps);
  Attention self_attn{a};
  nn::RMSNorm post_attention_layernorm = nn::RMSNorm::of(a.hidden_size, a.rms_norm_eps);
  Mlp mlp{a};
  TARN_FIELDS(input_layernorm, self_attn, post_attention_layernorm, mlp)
  array operator()(const array& x, Pass& pass, size_t layer) const {
    array h = x + self_attn(input_layernorm(x), pass, layer);
    return h + mlp(post_attention_layernorm(h));
  }
};

struct Decoder {
  Args a;
  nn::Embedding embed_tokens = nn::Embedding::of(a.vocab_size, a.hidden_size);
  std::vector<Block> layers = nn::repeat<Block>(a.num_hidden_layers, a);
  nn::RMSNorm norm = nn::RMSNorm::of(a.hidden_size, a.rms_norm_eps);
  TARN_FIELDS(embed_tokens, layers, norm)
};

struct Llama {
  Args a;
  Decoder model{a};
  std::optional<nn::Linear> lm_head =
      nn::unless(a.tie_word_embeddings, nn::Linear::of(a.hidden_size, a.vocab_size));
  TARN_FIELDS(model, lm_head)

  array operator()(const array& ids, Pass& pass) const {
    pass.check(ids);
    array h = astype(model.embed_tokens(ids), float32);
    for (size_t i = 0; i < model.layers.size(); ++i) h = model.layers[i](h, pass, i);
    h = model.norm(pass.wanted(h));
    return lm_head ? (*lm_head)(h) : model.embed_tokens.as_linear(h);
  }
  ModelShape shape() const {
    LayerShape layer{a.kv_heads(), a.head(), a.head()};
    return {a.num_hidden_layers, a.hidden_size, a.vocab_size, a.max_position_embeddings,
            std::vector<LayerShape>(static_cast<size_t>(a.num_hidden_layers), layer)};
  }
};

}  // namespace

Architecture llama() { return architecture<Llama, Args>("llama"); }

std::span<const Architecture> architectures() {
  static const Architecture all[] = {llama()};
  return all;
}

}  // namespace tarn::lm
