#include "tarn/nn/layers.h"

#include <cmath>

#include "base/require.h"
#include "nn/draw.h"
#include "nn/terms.h"
#include "tarn/fast.h"
#include "tarn/nn/init.h"
#include "tarn/ops.h"

namespace tarn::nn {

array Matrix::times(const array& x) const {
  if (!quantised()) return matmul(x, transpose(astype(weight, result_type(x, weight))));
  if (!quantize_input)
    return quantized_matmul(x, weight, *scales, biases, true, group_size, bits, mode);
  auto q = quantize(x, group_size, bits, mode);
  auto q_biases = q.size() > 2 ? std::optional<array>(q[2]) : std::nullopt;
  array error =
      dequantize(q[0], q[1], q_biases, group_size, bits, mode, std::nullopt, x.dtype()) - x;
  // Derivatives pass as if nothing had been rounded.
  array rounded = x + stop_gradient(error);
  return quantized_matmul(rounded, weight, *scales, biases, true, group_size, bits, mode);
}

array Matrix::take_rows(const array& ids) const {
  if (!quantised()) return take(weight, ids, 0);
  std::optional<array> b;
  if (biases) b = take(*biases, ids, 0);
  return dequantize(take(weight, ids, 0), take(*scales, ids, 0), b, group_size, bits, mode,
                    std::nullopt, float32);
}

array Matrix::dense() const {
  if (!quantised()) return astype(weight, float32);
  return dequantize(weight, *scales, biases, group_size, bits, mode, std::nullopt, float32);
}

Linear Linear::of(int64_t inputs, int64_t outputs, bool bias) {
  Linear l;
  l.rows = outputs;
  l.columns = inputs;
  if (bias) l.bias = array();
  return l;
}
Linear Linear::init(int64_t inputs, int64_t outputs, const array& key, bool bias) {
  Linear l = of(inputs, outputs);
  auto [weight_key, bias_key] = random::split(key);
  l.weight = within_root("Linear", {outputs, inputs}, inputs, weight_key);
  if (bias) l.bias = within_root("Linear", {outputs}, inputs, bias_key);
  return l;
}
array Linear::operator()(const array& x) const {
  array y = low_rank.empty() ? times(x) : with_terms(*this, x);
  return bias ? y + *bias : y;
}

Embedding Embedding::of(int64_t count, int64_t size) {
  Embedding e;
  e.rows = count;
  e.columns = size;
  return e;
}
Embedding Embedding::init(int64_t count, int64_t size, const array& key) {
  Embedding e = of(count, size);
  e.weight = init::normal({count, size}, key, 0, 1 / std::sqrt(static_cast<double>(size)));
  return e;
}
array Embedding::operator()(const array& ids) const {
  return low_rank.empty() ? take_rows(ids) : rows_with_terms(*this, ids);
}
array Embedding::as_linear(const array& x) const {
  return low_rank.empty() ? times(x) : with_terms(*this, x);
}

Bilinear Bilinear::init(int64_t inputs1, int64_t inputs2, int64_t outputs, const array& key,
                        bool bias) {
  Bilinear b;
  auto [weight_key, bias_key] = random::split(key);
  b.weight = within_root("Bilinear", {outputs, inputs2, inputs1}, inputs1, weight_key);
  if (bias) b.bias = within_root("Bilinear", {outputs}, inputs1, bias_key);
  return b;
}
array Bilinear::operator()(const array& x1, const array& x2) const {
  int64_t outputs = weight.shape(0), inputs2 = weight.shape(1), inputs1 = weight.shape(2);
  bool fits = x1.ndim() >= 1 && x1.ndim() == x2.ndim() && x1.shape(-1) == inputs1 &&
              x2.shape(-1) == inputs2;
  require<ShapeError>(
      fits && x1.size() * static_cast<size_t>(inputs2) == x2.size() * static_cast<size_t>(inputs1),
      "[Bilinear] x1 has shape {} and x2 {}: (..., {}) and (..., {}) are needed.",
      text_of(x1.shape()), text_of(x2.shape()), inputs1, inputs2);
  Shape shape = x1.shape();
  shape.back() = outputs;
  array by_x1 =
      matmul(reshape(x1, {-1, inputs1}), transpose(reshape(weight, {outputs * inputs2, inputs1})));
  array left = reshape(by_x1, {-1, outputs, inputs2});
  array y = reshape(matmul(left, reshape(x2, {-1, inputs2, 1})), shape);
  return bias ? y + *bias : y;
}

}  // namespace tarn::nn
