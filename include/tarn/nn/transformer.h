// Attention of many heads, and the Transformer of Vaswani et al. 2017. Inputs are (N, L, dims).
// Without a key layers evaluate; with one, they train: dropout draws from it.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/nn/activations.h"
#include "tarn/nn/dropout.h"
#include "tarn/nn/layers.h"
#include "tarn/nn/norms.h"
#include "tarn/random.h"

namespace tarn::nn {

// An additive mask, or a bool one that is true where attention is allowed; or none.
using Mask = std::optional<array>;

struct MultiHeadAttention {
  // Sizes that are not given equal dims; value_inputs equals key_inputs.
  struct Sizes {
    std::optional<int64_t> query_inputs{}, key_inputs{}, value_inputs{}, values{}, value_outputs{};
    bool bias = false;
  };
  Linear query_proj{}, key_proj{}, value_proj{}, out_proj{};
  int64_t num_heads = 1;
  TARN_FIELDS(query_proj, key_proj, value_proj, out_proj)
  // Throws ValueError unless heads divide dims.
  static MultiHeadAttention init(int64_t dims, int64_t num_heads, const array& key,
                                 const Sizes& sizes);
  static MultiHeadAttention init(int64_t dims, int64_t num_heads, const array& key) {
    return init(dims, num_heads, key, Sizes{});
  }
  // The mask broadcasts to (N, heads, queries, keys).
  array operator()(const array& queries, const array& keys, const array& values,
                   const Mask& mask = std::nullopt) const;
  // (n, n): 0, and the dtype's lowest number above the diagonal.
  static array create_additive_causal_mask(int64_t n, Dtype dtype = float32);
};

struct TransformerOptions {
  std::optional<int64_t> mlp_dims{};  // 4 dims unless given
  float dropout = 0;
  Activation activation = relu;
  bool norm_first = true;
  bool checkpoint = false;  // derivatives compute a layer's intermediate values again
};

struct TransformerEncoderLayer {
  MultiHeadAttention attention{};
  LayerNorm ln1{}, ln2{};
  Linear linear1{}, linear2{};
  Dropout dropout1{}, dropout2{};
  Activation activation = relu;
  bool norm_first = true;
  TARN_FIELDS(attention, ln1, ln2, linear1, linear2)
  static TransformerEncoderLayer init(int64_t dims, int64_t num_heads, const array& key,
                                      const TransformerOptions& options = {});
  array operator()(const array& x, const Mask& mask = std::nullopt,
                   const std::optional<array>& key = std::nullopt) const;
};

struct TransformerEncoder {
  std::vector<TransformerEncoderLayer> layers{};
  LayerNorm ln{};
  bool checkpoint = false;
  TARN_FIELDS(layers, ln)
  static TransformerEncoder init(int64_t num_layers, int64_t dims, int64_t num_heads,
                                 const array& key, const TransformerOptions& options = {});
  array operator()(const array& x, const Mask& mask = std::nullopt,
                   const std::optional<array>& key = std::nullopt) const;
};

struct TransformerDecoderLayer {
  MultiHeadAttention self_attention{}, cross_attention{};
  LayerNorm ln1{}, ln2{}, ln3{};
  Linear linear1{}, linear2{};
  Dropout dropout1{}, dropout2{}, dropout3{};
  Activation activation = relu;
  bool norm_first = true;
  TARN_FIELDS(self_attention, cross_attention, ln1, ln2, ln3, linear1, linear2)
  static TransformerDecoderLayer init(int64_t dims, int64_t num_heads, const array& key,
                                      const TransformerOptions& options = {});
  array operator()(const array& x, const array& memory, const Mask& x_mask = std::nullopt,
                   const Mask& memory_mask = std::nullopt,
                   const std::optional<array>& key = std::nullopt) const;
};

struct TransformerDecoder {
  std::vector<TransformerDecoderLayer> layers{};
  LayerNorm ln{};
  bool checkpoint = false;
  TARN_FIELDS(layers, ln)
  static TransformerDecoder init(int64_t num_layers, int64_t dims, int64_t num_heads,
                                 const array& key, const TransformerOptions& options = {});
  array operator()(const array& x, const array& memory, const Mask& x_mask = std::nullopt,
                   const Mask& memory_mask = std::nullopt,
                   const std::optional<array>& key = std::nullopt) const;
};

// An encoder and a decoder, these or others that are called alike.
template <class Encoder, class Decoder>
struct TransformerOf {
  Encoder encoder{};
  Decoder decoder{};
  TARN_FIELDS(encoder, decoder)
  static TransformerOf init(const array& key, int64_t dims = 512, int64_t num_heads = 8,
                            int64_t num_encoder_layers = 6, int64_t num_decoder_layers = 6,
                            const TransformerOptions& options = {}) {
    auto [encoder_key, decoder_key] = random::split(key);
    return {Encoder::init(num_encoder_layers, dims, num_heads, encoder_key, options),
            Decoder::init(num_decoder_layers, dims, num_heads, decoder_key, options)};
  }
  array operator()(const array& src, const array& tgt, const Mask& src_mask = std::nullopt,
                   const Mask& tgt_mask = std::nullopt, const Mask& memory_mask = std::nullopt,
                   const std::optional<array>& key = std::nullopt) const {
    std::optional<array> encoder_key, decoder_key;
    if (key) std::tie(encoder_key, decoder_key) = random::split(*key);
    return decoder(tgt, encoder(src, src_mask, encoder_key), tgt_mask, memory_mask, decoder_key);
  }
};
using Transformer = TransformerOf<TransformerEncoder, TransformerDecoder>;

}  // namespace tarn::nn
