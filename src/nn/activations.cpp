#include "tarn/nn/activations.h"

#include <cmath>
#include <numbers>

#include "nn/weak.h"
#include "tarn/ops.h"

namespace tarn::nn {

array relu(const array& x) { return maximum(x, 0_w); }
array relu2(const array& x) { return square(relu(x)); }
array relu6(const array& x) { return minimum(relu(x), 6.0_w); }
array leaky_relu(const array& x, double negative_slope) {
  return maximum(Weak(negative_slope) * x, x);
}
array log_softmax(const array& x, int axis) {
  // Less the largest first: beside a large maximum logsumexp would round the rest away.
  array y = x - stop_gradient(max(x, axis, true));
  return y - logsumexp(y, axis, true);
}
array elu(const array& x, double alpha) { return where(x > 0_w, x, Weak(alpha) * (exp(x) - 1_w)); }
array softmax(const array& x, int axis) { return tarn::softmax(x, axis); }
array softmin(const array& x, int axis) { return tarn::softmax(-x, axis); }
array softplus(const array& x) { return logaddexp(x, (0_w).like(x)); }
array softsign(const array& x) { return x / (1_w + abs(x)); }
array softshrink(const array& x, double lambd) {
  return where(abs(x) > Weak(lambd), x - sign(x) * Weak(lambd), (0_w).like(x));
}
array celu(const array& x, double alpha) {
  return maximum(x, 0.0_w) + Weak(alpha) * (exp(minimum(x, 0.0_w) / Weak(alpha)) - 1_w);
}
array silu(const array& x) { return x * sigmoid(x); }
array log_sigmoid(const array& x) { return -softplus(-x); }
array gelu(const array& x) { return x * (1_w + erf(x / Weak(std::numbers::sqrt2))) / 2_w; }
array gelu_approx(const array& x) {
  array inner = Weak(std::sqrt(2 / std::numbers::pi)) * (x + 0.044715_w * power(x, 3_w));
  return 0.5_w * x * (1_w + tanh(inner));
}
array gelu_fast_approx(const array& x) { return x * sigmoid(1.702_w * x); }
array glu(const array& x, int axis) {
  auto halves = split(x, 2, axis);
  return halves[0] * sigmoid(halves[1]);
}
array step(const array& x, double threshold) {
  return where(x >= Weak(threshold), array(1), array(0));
}
array selu(const array& x) { return elu(x, 1.67326) * 1.0507_w; }
array prelu(const array& x, const array& alpha) {
  return maximum(x, 0_w) + alpha * minimum(x, 0_w);
}
array mish(const array& x) { return x * tanh(softplus(x)); }
array hardswish(const array& x) { return x * minimum(maximum(x + 3_w, 0_w), 6_w) / 6_w; }
array hard_tanh(const array& x, double min_val, double max_val) {
  return minimum(maximum(x, Weak(min_val)), Weak(max_val));
}
array hard_shrink(const array& x, double lambd) {
  return where(abs(x) > Weak(lambd), x, (0_w).like(x));
}

array GELU::operator()(const array& x) const {
  if (approx == Approx::precise) return gelu_approx(x);
  return approx == Approx::fast ? gelu_fast_approx(x) : gelu(x);
}
PReLU PReLU::init(int64_t num_parameters, double value) {
  return {.weight = full({num_parameters}, value)};
}

}  // namespace tarn::nn
