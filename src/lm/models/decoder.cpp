// The dense decoder: what Llama, Mistral, Qwen, Gemma, Phi and SmolLM are up to Family's flags.
#include "lm/cache/training.h"
#include "lm/models/dense.h"
#include "tarn/fast.h"
#include "tarn/ops.h"

namespace tarn::lm {
namespace {

using Shared = std::shared_ptr<const Dense>;
using MaybeLinear = std::optional<nn::Linear>;

nn::RMSNorm norm_of(const Shared& d, int64_t size) {
  return nn::RMSNorm::of(size, d->args.rms_norm_eps);
}
array normed(const Shared& d, const nn::RMSNorm& norm, const array& x) {
  if (!d->family.norm_offset) return norm(x);
  return fast::rms_norm(x, astype(norm.weight, float32) + array(1.0f), norm.eps);
}
array activated(Activation how, const array& x) {
  if (how == Activation::silu) return nn::silu(x);
  return how == Activation::gelu ? nn::gelu(x) : nn::gelu_approx(x);
}
// Columns [from, from + n) of the last axis.
array columns(const array& x, int64_t from, int64_t n) {
  Shape start(x.ndim(), 0), stop = x.shape();
  start.back() = from, stop.back() = from + n;
  return slice(x, start, stop);
}

struct Attention {
  Shared d;
  const DenseArgs& a() const { return d->args; }
  int64_t q_size = a().num_attention_heads * a().head(), kv_size = a().kv_heads() * a().head();
  bool bias = a().attention_bias || d->family.qkv_bias, apart = !d->family.fused;
  MaybeLinear q_proj = nn::unless(!apart, nn::Linear::of(a().hidden_size, q_size, bias));
  MaybeLinear k_proj = nn::unless(!apart, nn::Linear::of(a().hidden_size, kv_size, bias));
  MaybeLinear v_proj = nn::unless(!apart, nn::Linear::of(a().hidden_size, kv_size, bias));
  MaybeLinear qkv_proj =
      nn::unless(apart, nn::Linear::of(a().hidden_size, q_size + 2 * kv_size, bias));
  std::optional<nn::RMSNorm> q_norm = nn::unless(!d->family.qk_norm, norm_of(d, a().head()));
  std::optional<nn::RMSNorm> k_norm = nn::unless(!d->family.qk_norm, norm_of(d, a().head()));
  nn::Linear o_proj = nn::Linear::of(q_size, a().hidden_size, a().attention_bias);
  TARN_FIELDS(q_proj, k_proj, v_proj, qkv_proj, q_norm, k_norm, o_proj)

  array operator()(const array& x, Pass& pass, size_t layer) const {
    auto heads = [&](const array& y) { return unflatten(y, -1, {-1, a().head()}); };
    array all = qkv_proj ? (*qkv_proj)(x) : x, asked = pass.going_on(all, d->is_last(layer));
    array q = heads(qkv_proj ? columns(asked, 0, q_size) : (*q_proj)(asked));
    array k = heads(qkv_proj ? columns(all, q_size, kv_size) : (*k_proj)(x));
    array v = heads(qkv_proj ? columns(all, q_size + kv_size, kv_size) : (*v_proj)(x));
    if (q_norm) q = normed(d, *q_norm, q), k = normed(d, *k_norm, k);
    const LayerKind& kind = d->layers[layer];
    static const Rope unturned;
    const Rope& rope = !kind.turns ? unturned : kind.local ? d->local_rope : d->rope;
    Attend how{d->attention_scale, d->attention_softcap, kind.window};
    return o_proj(pass.attend(layer, q, k, v, std::cref(rope), how, rope.by_row()));
  }
};

struct Mlp {
  Shared d;
  int64_t hidden = d->args.hidden_size, inner = d->args.intermediate_size;
  bool bias = d->args.mlp_bias, apart = !d->family.fused;
  MaybeLinear gate_proj = nn::unless(!apart, nn::Linear::of(hidden, inner, bias));
  MaybeLinear up_proj = nn::unless(!apart, nn::Linear::of(hidden, inner, bias));
  MaybeLinear gate_up_proj = nn::unless(apart, nn::Linear::of(hidden, 2 * inner, bias));
  nn::Linear down_proj = nn::Linear::of(inner, hidden, bias);
  TARN_FIELDS(gate_proj, up_proj, gate_up_proj, down_proj)

  array operator()(const array& x) const {
    array both = gate_up_proj ? (*gate_up_proj)(x) : x;
    array gate = gate_up_proj ? columns(both, 0, inner) : (*gate_proj)(x);
    array up = gate_up_proj ? columns(both, inner, inner) : (*up_proj)(x);
    return down_proj(activated(d->activation, gate) * up);
  }
};

struct Block {
  Shared d;
  int64_t hidden = d->args.hidden_size;
  bool pre_only = !d->family.post_norms;
  nn::RMSNorm input_layernorm = norm_of(d, hidden);
  Attention self_attn{d};
  nn::RMSNorm post_attention_layernorm = norm_of(d, hidden);
  std::optional<nn::RMSNorm> pre_feedforward_layernorm = nn::unless(pre_only, norm_of(d, hidden));
  Mlp mlp{d};
  std::optional<nn::RMSNorm> post_feedforward_layernorm = nn::unless(pre_only, norm_of(d, hidden));
  TARN_FIELDS(input_layernorm, self_attn, post_attention_layernorm, pre_feedforward_layernorm, mlp,
              post_feedforward_layernorm)

  // Attention and MLP give this rank's part.
  array operator()(const array& x, Pass& pass, size_t layer) const {
    const nn::RMSNorm& between = post_attention_layernorm;
    array y = self_attn(normed(d, input_layernorm, x), pass, layer);
    array before = pass.going_on(x, d->is_last(layer));
    array h = pre_only ? d->added(before, y) : before + normed(d, between, d->summed(y));
    array z = mlp(normed(d, pre_only ? between : *pre_feedforward_layernorm, h));
    if (pre_only) return d->added(h, z);
    return h + normed(d, *post_feedforward_layernorm, d->summed(z));
  }
};

struct Decoder {
  Shared d;
  nn::Embedding embed_tokens = nn::Embedding::of(d->args.vocab_size, d->args.hidden_size);
  std::vector<Block> layers = nn::repeat<Block>(d->args.num_hidden_layers, d);
  nn::RMSNorm norm = norm_of(d, d->args.hidden_size);
  TARN_FIELDS(embed_tokens, layers, norm)

  array embedded(const array& ids) const {
    array h = embed_tokens(ids);
    if (!d->family.scaled_embedding) return astype(h, float32);
    // Models that were trained in bfloat16 know the factor in bfloat16.
    array factor(d->embedding_scale);
    Dtype stored = (embed_tokens.scales ? *embed_tokens.scales : embed_tokens.weight).dtype();
    return astype(h, float32) * (stored == bfloat16 ? astype(factor, bfloat16) : factor);
  }
};

struct LanguageDecoder {
  Shared d;
  Decoder model{d};
  MaybeLinear lm_head = nn::unless(d->args.tie_word_embeddings,
                                   nn::Linear::of(d->args.hidden_size, d->args.vocab_size));
  TARN_FIELDS(model, lm_head)

  array operator()(const array& ids, Pass& pass) const {
    pass.check(ids);
    array h = model.embedded(ids);
    for (size_t i = 0; i < model.layers.size(); ++i) h = run_layer(model.layers[i], h, pass, i);
    h = normed(d, model.norm, pass.wanted(h));
    return run_head(lm_head, model.embed_tokens, h, d->logit_softcap);
  }
  ModelShape shape() const {
    const DenseArgs& a = d->args;
    ModelShape s{a.num_hidden_layers, a.hidden_size, a.vocab_size, a.max_position_embeddings, {}};
    for (const LayerKind& kind : d->layers)
      s.cached.push_back({a.kv_heads(), a.head(), a.head(), kind.window});
    return s;
  }
};

}  // namespace

Model make_decoder(Shared d) {
  return Model(std::make_unique<Held<LanguageDecoder>>(LanguageDecoder{std::move(d)}));
}

}  // namespace tarn::lm
