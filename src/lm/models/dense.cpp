#include "lm/models/dense.h"

#include <cmath>

#include "base/printable.h"
#include "base/require.h"
#include "lm/models/division.h"

namespace tarn::lm {
namespace {

void check_sizes(const DenseArgs& a, const Config& config) {
  bool sound = a.hidden_size > 0 && a.num_hidden_layers > 0 && a.num_hidden_layers <= 1024 &&
               a.intermediate_size > 0 && a.vocab_size > 0 && a.num_attention_heads > 0 &&
               a.kv_heads() > 0 && a.num_attention_heads % a.kv_heads() == 0 && a.head() > 0 &&
               a.head() % 2 == 0 && a.rms_norm_eps > 0;
  int64_t most = int64_t{1} << 31;
  for (int64_t n : {a.hidden_size, a.intermediate_size, a.vocab_size, a.num_attention_heads,
                    a.head(), a.max_position_embeddings})
    sound = sound && n < most;
  config.require(
      sound && a.num_attention_heads * a.head() < most && a.max_position_embeddings >= 0,
      fmt::format("sizes do not fit a {} model: hidden_size {}, layers {}, heads {} over {} of "
                  "size {}, intermediate_size {}, vocabulary {}, rms_norm_eps {}.",
                  config.model_type(), a.hidden_size, a.num_hidden_layers, a.num_attention_heads,
                  a.kv_heads(), a.head(), a.intermediate_size, a.vocab_size, a.rms_norm_eps));
}

bool has_window(const Family& family, const DenseArgs& a, int64_t layer) {
  switch (family.windows) {
    case Windows::none:
      return false;
    case Windows::all:
      return true;
    case Windows::even:
      return layer % 2 == 0;
    case Windows::pattern:
      return (layer + 1) % a.sliding_window_pattern.value_or(6) != 0;
    case Windows::upper_half:
      return a.use_sliding_window.value_or(false) && layer >= a.max_window_layers.value_or(0);
  }
  return false;
}

LayerKind kind_of(const Family& family, const DenseArgs& a, size_t layer) {
  LayerKind kind;
  auto i = static_cast<int64_t>(layer);
  bool slides = a.layer_types.empty() ? has_window(family, a, i)
                                      : a.layer_types[layer] == "sliding_attention";
  if (slides && a.sliding_window) kind.window = *a.sliding_window;
  kind.local = slides && family.local_rope;
  if (!a.no_rope_layers.empty())
    kind.turns = a.no_rope_layers[layer] != 0;
  else if (a.no_rope_layer_interval)
    kind.turns = (i + 1) % *a.no_rope_layer_interval != 0;
  return kind;
}

std::vector<LayerKind> kinds_of(const Family& family, const DenseArgs& a, const Config& config) {
  auto layers = static_cast<size_t>(a.num_hidden_layers);
  config.require(
      a.layer_types.empty() || a.layer_types.size() == layers,
      fmt::format("`layer_types` has {} entries for {} layers.", a.layer_types.size(), layers));
  for (const auto& type : a.layer_types)
    config.require(type == "full_attention" || type == "sliding_attention",
                   fmt::format("`layer_types` has \"{}\"; full_attention and sliding_attention "
                               "are known.",
                               printable(type)));
  config.require(a.no_rope_layers.empty() || a.no_rope_layers.size() == layers,
                 fmt::format("`no_rope_layers` has {} entries for {} layers.",
                             a.no_rope_layers.size(), layers));
  config.require(a.no_rope_layer_interval.value_or(1) > 0 &&
                     a.sliding_window_pattern.value_or(1) > 0 && a.sliding_window.value_or(1) > 0,
                 fmt::format("no_rope_layer_interval {}, sliding_window_pattern {} and "
                             "sliding_window {} must be positive.",
                             a.no_rope_layer_interval.value_or(1),
                             a.sliding_window_pattern.value_or(1), a.sliding_window.value_or(1)));
  std::vector<LayerKind> kinds;
  for (size_t i = 0; i < layers; ++i) kinds.push_back(kind_of(family, a, i));
  return kinds;
}

Activation activation_of(const DenseArgs& a, const Config& config) {
  const std::string& name = !a.hidden_activation.empty() ? a.hidden_activation : a.hidden_act;
  if (name.empty() || name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return Activation::gelu;
  config.require(name == "gelu_pytorch_tanh" || name == "gelu_new",
                 fmt::format("activation \"{}\" is not known; silu, gelu and gelu_pytorch_tanh "
                             "are.",
                             printable(name)));
  return Activation::gelu_tanh;
}

}  // namespace

std::shared_ptr<const Dense> read_dense(const Family& family, const Config& given) {
  Config config = given.with_defaults(family.defaults);
  auto d = std::make_shared<Dense>();
  d->family = family;
  d->group = DivisionScope::for_model();
  DenseArgs& a = d->args;
  read_args(config, a);
  check_sizes(a, config);
  d->layers = kinds_of(family, a, config);
  RopeScaling scaling = a.rope_scaling.value_or(RopeScaling{});
  if (!scaling.original_max_position_embeddings)
    scaling.original_max_position_embeddings = a.original_max_position_embeddings;
  config.require(a.partial_rotary_factor > 0 && a.partial_rotary_factor <= 1,
                 fmt::format("`partial_rotary_factor` is {}; more than 0 and at most 1 is needed.",
                             a.partial_rotary_factor));
  auto dims = static_cast<int64_t>(static_cast<double>(a.head()) * double{a.partial_rotary_factor});
  Rope::Basis basis{double{a.rope_theta}, dims, a.head(), a.rope_traditional,
                    a.max_position_embeddings};
  d->rope = Rope(basis, scaling, config);
  basis.theta = double{a.rope_local_base_freq};
  if (family.local_rope) d->local_rope = Rope(basis, {}, config);
  d->activation = activation_of(a, config);
  float scalar = a.query_pre_attn_scalar.value_or(static_cast<float>(a.head()));
  config.require(scalar > 0, fmt::format("`query_pre_attn_scalar` is {}.", scalar));
  if (family.scaled_embedding) d->embedding_scale = std::sqrt(static_cast<float>(a.hidden_size));
  d->attention_scale = 1 / std::sqrt(scalar);
  d->attention_softcap = a.attn_logit_softcapping.value_or(0.0f);
  d->logit_softcap = a.final_logit_softcapping.value_or(0.0f);
  config.require(d->attention_softcap >= 0 && d->logit_softcap >= 0,
                 fmt::format("soft caps of {} and {} must not be negative.", d->attention_softcap,
                             d->logit_softcap));
  return d;
}

}  // namespace tarn::lm
