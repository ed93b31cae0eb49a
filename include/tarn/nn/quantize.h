// Quantised layers: Linear and Embedding in another state, and short names for making them so.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <utility>

#include "tarn/nn/layers.h"
#include "tarn/nn/module.h"

namespace tarn::nn {

// How to quantise, as tarn::quantize takes it; sizes that are not given are the mode's own.
struct Quantization {
  std::optional<int> group_size{}, bits{};
  std::string mode = "affine";
  bool quantize_input = false;  // for Linear: what is multiplied is rounded in the same way
};

// Turns a layer into its quantised state, or leaves it when it is in one; `path` names it in
// errors. Throws ShapeError for columns that do not make whole groups.
void quantize(Matrix& matrix, const Quantization& how, const std::string& path = "");
void quantize(Linear& layer, const Quantization& how, const std::string& path = "");
void quantize(Embedding& layer, const Quantization& how, const std::string& path = "");

// Gives a matrix other numbers (rows, columns). They are quantised as the old ones were where
// `as_before`, else they stay dense, in the dtype of the old numbers or scales.
void put_dense(Matrix& matrix, const array& numbers, bool as_before);

// The model with every Linear and Embedding quantised for which choose(path, matrix) holds; choose
// may also return the Quantization of its own for a matrix, or nothing:
// std::optional<Quantization>.
template <Tree M, std::invocable<const std::string&, const Matrix&> Choose>
M quantize(M model, const Quantization& how, Choose&& choose) {
  auto one = [&](const std::string& path, auto& layer) {
    auto chosen = choose(path, static_cast<const Matrix&>(layer));
    if constexpr (std::convertible_to<decltype(chosen), bool> &&
                  !requires { chosen.has_value(); }) {
      if (chosen) quantize(layer, how, path);
    } else {
      if (chosen.has_value()) quantize(layer, *chosen, path);
    }
  };
  each<Linear>(model, one);
  each<Embedding>(model, one);
  return model;
}
template <Tree M>
M quantize(M model, const Quantization& how = {}) {
  return quantize(std::move(model), how, [](const std::string&, const Matrix&) { return true; });
}

// Linear and Embedding that are drawn and quantised, or made of dense ones.
struct QuantizedLinear {
  // The bias is zero.
  static Linear init(int64_t inputs, int64_t outputs, const array& key, bool bias = true,
                     const Quantization& how = {});
  static Linear from_linear(Linear linear, const Quantization& how = {});
};
struct QuantizedEmbedding {
  static Embedding init(int64_t count, int64_t size, const array& key,
                        const Quantization& how = {});
  static Embedding from_embedding(Embedding embedding, const Quantization& how = {});
};
// Linear without bias whose inputs are rounded like its weight.
struct QQLinear {
  static Linear init(int64_t inputs, int64_t outputs, const array& key,
                     Quantization how = {.mode = "nvfp4"});
  static Linear from_linear(Linear linear, Quantization how = {.mode = "nvfp4"});
};

}  // namespace tarn::nn
