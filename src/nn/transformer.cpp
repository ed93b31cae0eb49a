#include "tarn/nn/transformer.h"

#include <cmath>

#include "base/require.h"
#include "nn/weak.h"
#include "tarn/fast.h"
#include "tarn/nn/init.h"
#include "tarn/nn/module.h"

namespace tarn::nn {
namespace {

// n keys of one, or n times none.
std::vector<std::optional<array>> keys_of(const std::optional<array>& key, size_t n) {
  std::vector<std::optional<array>> keys(n);
  if (!key || n == 0) return keys;
  auto all = init::keys(*key, static_cast<int>(n));
  for (size_t i = 0; i < n; ++i) keys[i] = all[i];
  return keys;
}

array dropped(const Dropout& d, const array& x, const std::optional<array>& key) {
  return key ? d(x, *key) : d(x);
}

// The lowest finite number of a floating dtype.
double lowest(Dtype t) {
  if (t == float16) return -65504.0;
  if (t == bfloat16) return -0x1.fep127;
  return t == float64 ? -0x1.fffffffffffffp1023 : -0x1.fffffep127;
}

template <class Layer>
std::vector<Layer> layers_of(int64_t n, int64_t dims, int64_t num_heads, const array& key,
                             const TransformerOptions& options) {
  std::vector<Layer> layers;
  require(n >= 0, "[Transformer] {} layers.", n);
  if (n == 0) return layers;
  for (const array& k : init::keys(key, static_cast<int>(n)))
    layers.push_back(Layer::init(dims, num_heads, k, options));
  return layers;
}

}  // namespace

MultiHeadAttention MultiHeadAttention::init(int64_t dims, int64_t num_heads, const array& key,
                                            const Sizes& s) {
  require(num_heads > 0 && dims % num_heads == 0,
          "[MultiHeadAttention] {} heads do not divide {} dims.", num_heads, dims);
  auto keys = init::keys(key, 4);
  int64_t key_inputs = s.key_inputs.value_or(dims), values = s.values.value_or(dims);
  MultiHeadAttention m;
  m.query_proj = Linear::init(s.query_inputs.value_or(dims), dims, keys[0], s.bias);
  m.key_proj = Linear::init(key_inputs, dims, keys[1], s.bias);
  m.value_proj = Linear::init(s.value_inputs.value_or(key_inputs), values, keys[2], s.bias);
  m.out_proj = Linear::init(values, s.value_outputs.value_or(dims), keys[3], s.bias);
  m.num_heads = num_heads;
  return m;
}

array MultiHeadAttention::operator()(const array& queries, const array& keys, const array& values,
                                     const Mask& mask) const {
  auto heads = [&](const Linear& proj, const array& x) {
    require<ShapeError>(x.ndim() == 3,
                        "[MultiHeadAttention] an input has shape {}: (batch, positions, size) is "
                        "needed.",
                        text_of(x.shape()));
    return transpose(unflatten(proj(x), -1, {num_heads, -1}), {0, 2, 1, 3});
  };
  array q = heads(query_proj, queries);
  auto scale = static_cast<float>(std::sqrt(1.0 / static_cast<double>(q.shape(-1))));
  array y = fast::scaled_dot_product_attention(q, heads(key_proj, keys), heads(value_proj, values),
                                               scale, mask ? "array" : "", mask);
  return out_proj(flatten(transpose(y, {0, 2, 1, 3}), -2, -1));
}

array MultiHeadAttention::create_additive_causal_mask(int64_t n, Dtype dtype) {
  array at = arange(static_cast<double>(n), int32);
  array above = expand_dims(at, 1) < expand_dims(at, 0);
  return astype(above, dtype) * array(lowest(dtype), dtype);
}

TransformerEncoderLayer TransformerEncoderLayer::init(int64_t dims, int64_t num_heads,
                                                      const array& key,
                                                      const TransformerOptions& options) {
  auto keys = init::keys(key, 3);
  int64_t mlp_dims = options.mlp_dims.value_or(4 * dims);
  TransformerEncoderLayer l;
  l.attention = MultiHeadAttention::init(dims, num_heads, keys[0]);
  l.ln1 = l.ln2 = LayerNorm::init(dims);
  l.linear1 = Linear::init(dims, mlp_dims, keys[1]);
  l.linear2 = Linear::init(mlp_dims, dims, keys[2]);
  l.dropout1 = l.dropout2 = Dropout{options.dropout};
  l.activation = options.activation;
  l.norm_first = options.norm_first;
  return l;
}

array TransformerEncoderLayer::operator()(const array& x, const Mask& mask,
                                          const std::optional<array>& key) const {
  auto keys = keys_of(key, 2);
  auto attended = [&](const array& y) {
    return dropped(dropout1, attention(y, y, y, mask), keys[0]);
  };
  auto mlp = [&](const array& y) {
    return linear2(dropped(dropout2, activation(linear1(y)), keys[1]));
  };
  if (!norm_first) {
    array h = ln1(x + attended(x));
    return ln2(h + mlp(h));
  }
  array h = x + attended(ln1(x));
  return h + mlp(ln2(h));
}

TransformerEncoder TransformerEncoder::init(int64_t num_layers, int64_t dims, int64_t num_heads,
                                            const array& key, const TransformerOptions& options) {
  TransformerEncoder e;
  e.layers = layers_of<TransformerEncoderLayer>(num_layers, dims, num_heads, key, options);
  e.ln = LayerNorm::init(dims);
  e.checkpoint = options.checkpoint;
  return e;
}

array TransformerEncoder::operator()(const array& x, const Mask& mask,
                                     const std::optional<array>& key) const {
  auto keys = keys_of(key, layers.size());
  array h = x;
  for (size_t i = 0; i < layers.size(); ++i)
    h = checkpoint ? nn::checkpoint(layers[i])(h, mask, keys[i]) : layers[i](h, mask, keys[i]);
  return ln(h);
}

TransformerDecoderLayer TransformerDecoderLayer::init(int64_t dims, int64_t num_heads,
                                                      const array& key,
                                                      const TransformerOptions& options) {
  auto keys = init::keys(key, 4);
  int64_t mlp_dims = options.mlp_dims.value_or(4 * dims);
  TransformerDecoderLayer l;
  l.self_attention = MultiHeadAttention::init(dims, num_heads, keys[0]);
  l.cross_attention = MultiHeadAttention::init(dims, num_heads, keys[1]);
  l.ln1 = l.ln2 = l.ln3 = LayerNorm::init(dims);
  l.linear1 = Linear::init(dims, mlp_dims, keys[2]);
  l.linear2 = Linear::init(mlp_dims, dims, keys[3]);
  l.dropout1 = l.dropout2 = l.dropout3 = Dropout{options.dropout};
  l.activation = options.activation;
  l.norm_first = options.norm_first;
  return l;
}

array TransformerDecoderLayer::operator()(const array& x, const array& memory, const Mask& x_mask,
                                          const Mask& memory_mask,
                                          const std::optional<array>& key) const {
  auto keys = keys_of(key, 3);
  auto attended = [&](const array& y) {
    return dropped(dropout1, self_attention(y, y, y, x_mask), keys[0]);
  };
  auto crossed = [&](const array& y) {
    return dropped(dropout2, cross_attention(y, memory, memory, memory_mask), keys[1]);
  };
  auto mlp = [&](const array& y) {
    return linear2(dropped(dropout3, activation(linear1(y)), keys[2]));
  };
  if (!norm_first) {
    array h = ln1(x + attended(x));
    h = ln2(h + crossed(h));
    return ln3(h + mlp(h));
  }
  array h = x + attended(ln1(x));
  h = h + crossed(ln2(h));
  return h + mlp(ln3(h));
}

TransformerDecoder TransformerDecoder::init(int64_t num_layers, int64_t dims, int64_t num_heads,
                                            const array& key, const TransformerOptions& options) {
  TransformerDecoder d;
  d.layers = layers_of<TransformerDecoderLayer>(num_layers, dims, num_heads, key, options);
  d.ln = LayerNorm::init(dims);
  d.checkpoint = options.checkpoint;
  return d;
}

array TransformerDecoder::operator()(const array& x, const array& memory, const Mask& x_mask,
                                     const Mask& memory_mask,
                                     const std::optional<array>& key) const {
  auto keys = keys_of(key, layers.size());
  array h = x;
  for (size_t i = 0; i < layers.size(); ++i)
    h = checkpoint ? nn::checkpoint(layers[i])(h, memory, x_mask, memory_mask, keys[i])
                   : layers[i](h, memory, x_mask, memory_mask, keys[i]);
  return ln(h);
}

}  // namespace tarn::nn
