#include "tarn/nn/layers.h"

#include "tarn/fast.h"
#include "tarn/ops.h"

namespace tarn::nn {

array Matrix::times(const array& x) const {
  if (!quantised()) return matmul(x, transpose(astype(weight, x.dtype())));
  return quantized_matmul(x, weight, *scales, *biases, true, group_size, bits);
}

array Matrix::take_rows(const array& ids) const {
  if (!quantised()) return take(weight, ids, 0);
  return dequantize(take(weight, ids, 0), take(*scales, ids, 0), take(*biases, ids, 0), group_size,
                    bits, "affine", std::nullopt, float32);
}

array Matrix::dense() const {
  if (!quantised()) return astype(weight, float32);
  return dequantize(weight, *scales, *biases, group_size, bits, "affine", std::nullopt, float32);
}

Linear Linear::of(int64_t inputs, int64_t outputs, bool bias) {
  Linear l;
  l.rows = outputs;
  l.columns = inputs;
  if (bias) l.bias = array();
  return l;
}
array Linear::operator()(const array& x) const {
  array y = times(x);
  return bias ? y + astype(*bias, y.dtype()) : y;
}

Embedding Embedding::of(int64_t count, int64_t size) {
  Embedding e;
  e.rows = count;
  e.columns = size;
  return e;
}

RmsNorm RmsNorm::of(int64_t size, float eps) {
  RmsNorm n;
  n.eps = eps;
  n.size = size;
  return n;
}
array RmsNorm::operator()(const array& x) const { return fast::rms_norm(x, weight, eps); }

array silu(const array& x) { return x * sigmoid(x); }

}  // namespace tarn::nn
