#include "tarn/nn/quantize.h"

#include "base/require.h"
#include "tarn/ops.h"

namespace tarn::nn {
namespace {

struct Defaults {
  const char* mode;
  int group_size, bits;
};
constexpr Defaults modes[] = {
    {"affine", 64, 4}, {"mxfp4", 32, 4}, {"nvfp4", 16, 4}, {"mxfp8", 32, 8}};

const Defaults& defaults_of(const std::string& mode) {
  for (const auto& d : modes)
    if (mode == d.mode) return d;
  fail("[quantize] mode is \"{}\"; affine, mxfp4, nvfp4 and mxfp8 are known.", mode);
}

}  // namespace

void quantize(Matrix& m, const Quantization& how, const std::string& path) {
  if (m.quantised()) return;
  const Defaults& d = defaults_of(how.mode);
  int group_size = how.group_size.value_or(d.group_size), bits = how.bits.value_or(d.bits);
  require<ShapeError>(m.weight.ndim() == 2 && group_size > 0 && m.weight.shape(1) % group_size == 0,
                      "[quantize] {} has shape {}: its columns do not make groups of {}.",
                      path.empty() ? "weight" : path + ".weight", text_of(m.weight.shape()),
                      group_size);
  auto parts = tarn::quantize(m.weight, group_size, bits, how.mode);
  m.rows = m.weight.shape(0), m.columns = m.weight.shape(1);
  m.weight = parts[0], m.scales = parts[1];
  if (parts.size() > 2) m.biases = parts[2];
  m.group_size = group_size, m.bits = bits;
  m.mode = how.mode, m.quantize_input = how.quantize_input;
}
void quantize(Linear& layer, const Quantization& how, const std::string& path) {
  quantize(static_cast<Matrix&>(layer), how, path);
}
void quantize(Embedding& layer, const Quantization& how, const std::string& path) {
  require(!how.quantize_input, "[quantize] {}: an Embedding's inputs are the numbers of rows.",
          path.empty() ? "weight" : path + ".weight");
  quantize(static_cast<Matrix&>(layer), how, path);
}

void put_dense(Matrix& m, const array& numbers, bool as_before) {
  Quantization how{m.group_size, m.bits, m.mode, m.quantize_input};
  bool was_quantised = m.quantised();
  Dtype dtype = (was_quantised ? *m.scales : m.weight).dtype();
  m.weight = astype(numbers, issubdtype(dtype, floating) ? dtype : float32);
  m.scales = m.biases = std::nullopt;
  if (was_quantised && as_before) quantize(m, how);
}

Linear QuantizedLinear::init(int64_t inputs, int64_t outputs, const array& key, bool bias,
                             const Quantization& how) {
  Linear l = from_linear(Linear::init(inputs, outputs, key, false), how);
  if (bias) l.bias = zeros({outputs});
  return l;
}
Linear QuantizedLinear::from_linear(Linear linear, const Quantization& how) {
  quantize(linear, how);
  return linear;
}

Embedding QuantizedEmbedding::init(int64_t count, int64_t size, const array& key,
                                   const Quantization& how) {
  return from_embedding(Embedding::init(count, size, key), how);
}
Embedding QuantizedEmbedding::from_embedding(Embedding embedding, const Quantization& how) {
  quantize(embedding, how);
  return embedding;
}

Linear QQLinear::init(int64_t inputs, int64_t outputs, const array& key, Quantization how) {
  return from_linear(Linear::init(inputs, outputs, key, false), std::move(how));
}
Linear QQLinear::from_linear(Linear linear, Quantization how) {
  require(!linear.bias, "[QQLinear] the layer has a bias, which cannot be used here.");
  how.quantize_input = true;
  quantize(linear, how);
  return linear;
}

}  // namespace tarn::nn
