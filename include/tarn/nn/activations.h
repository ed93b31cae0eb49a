// Activation functions, and the same as modules with their settings as members. All keep the shape;
// floats keep their dtype, integers give float32 where the formula is not one of whole numbers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/ops/creation.h"
#include "tarn/ops/maths.h"
#include "tarn/ops/reduce.h"

namespace tarn::nn {

using Activation = std::function<array(const array&)>;

using tarn::sigmoid;
using tarn::tanh;
// max(x, 0).
array relu(const array& x);
// max(x, 0)^2.
array relu2(const array& x);
// min(max(x, 0), 6).
array relu6(const array& x);
// max(negative_slope * x, x).
array leaky_relu(const array& x, double negative_slope = 0.01);
// log(softmax(x)).
array log_softmax(const array& x, int axis = -1);
// x above 0, else alpha (exp(x) - 1).
array elu(const array& x, double alpha = 1.0);
// exp(x) over its sum along the axis.
array softmax(const array& x, int axis = -1);
// softmax(-x).
array softmin(const array& x, int axis = -1);
// log(1 + exp(x)).
array softplus(const array& x);
// x / (1 + |x|).
array softsign(const array& x);
// x brought nearer to 0 by lambd, 0 within it.
array softshrink(const array& x, double lambd = 0.5);
// max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1).
array celu(const array& x, double alpha = 1.0);
// x sigmoid(x).
array silu(const array& x);
// log(sigmoid(x)).
array log_sigmoid(const array& x);
// x Phi(x), Phi the normal distribution's function.
array gelu(const array& x);
// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): within 0.0005 of gelu on [-6, 6].
array gelu_approx(const array& x);
// x sigmoid(1.702 x): within 0.015 of gelu on [-6, 6].
array gelu_fast_approx(const array& x);
// a sigmoid(b) of the halves a, b of x along the axis. Throws when its size is odd.
array glu(const array& x, int axis = -1);
// int32: 1 where x >= threshold, else 0.
array step(const array& x, double threshold = 0.0);
// 1.0507 elu(x, 1.67326).
array selu(const array& x);
// max(x, 0) + alpha min(x, 0); alpha broadcasts.
array prelu(const array& x, const array& alpha);
// x tanh(softplus(x)). Misra 2019, "Mish".
array mish(const array& x);
// x min(max(x + 3, 0), 6) / 6.
array hardswish(const array& x);
// x bounded by min_val and max_val.
array hard_tanh(const array& x, double min_val = -1.0, double max_val = 1.0);
// x outside [-lambd, lambd], else 0.
array hard_shrink(const array& x, double lambd = 0.5);

#define TARN_ACTIVATION(Name, function)                                \
  struct Name {                                                        \
    TARN_FIELDS()                                                      \
    array operator()(const array& x) const { return nn::function(x); } \
  };
TARN_ACTIVATION(Sigmoid, sigmoid)
TARN_ACTIVATION(Mish, mish)
TARN_ACTIVATION(ReLU, relu)
TARN_ACTIVATION(ReLU2, relu2)
TARN_ACTIVATION(ReLU6, relu6)
TARN_ACTIVATION(Softmax, softmax)
TARN_ACTIVATION(Softplus, softplus)
TARN_ACTIVATION(Softsign, softsign)
TARN_ACTIVATION(SiLU, silu)
TARN_ACTIVATION(LogSoftmax, log_softmax)
TARN_ACTIVATION(LogSigmoid, log_sigmoid)
TARN_ACTIVATION(Tanh, tanh)
TARN_ACTIVATION(Hardswish, hardswish)
TARN_ACTIVATION(SELU, selu)
TARN_ACTIVATION(HardTanh, hard_tanh)
TARN_ACTIVATION(Softmin, softmin)
#undef TARN_ACTIVATION

struct GLU {
  int axis = -1;
  TARN_FIELDS()
  array operator()(const array& x) const { return glu(x, axis); }
};
struct LeakyReLU {
  double negative_slope = 0.01;
  TARN_FIELDS()
  array operator()(const array& x) const { return leaky_relu(x, negative_slope); }
};
struct ELU {
  double alpha = 1.0;
  TARN_FIELDS()
  array operator()(const array& x) const { return elu(x, alpha); }
};
struct CELU {
  double alpha = 1.0;
  TARN_FIELDS()
  array operator()(const array& x) const { return celu(x, alpha); }
};
struct Softshrink {
  double lambd = 0.5;
  TARN_FIELDS()
  array operator()(const array& x) const { return softshrink(x, lambd); }
};
struct HardShrink {
  double lambd = 0.5;
  TARN_FIELDS()
  array operator()(const array& x) const { return hard_shrink(x, lambd); }
};
struct Step {
  double threshold = 0.0;
  TARN_FIELDS()
  array operator()(const array& x) const { return step(x, threshold); }
};
// gelu itself, or one of its approximations.
struct GELU {
  enum class Approx : uint8_t { none, precise, fast };
  Approx approx = Approx::none;
  TARN_FIELDS()
  array operator()(const array& x) const;
};
// prelu with a slope (n,) that is learnt; n is 1 or x's last size.
struct PReLU {
  array weight = full({1}, 0.25f);
  TARN_FIELDS(weight)
  static PReLU init(int64_t num_parameters = 1, double value = 0.25);
  array operator()(const array& x) const { return prelu(x, weight); }
};

}  // namespace tarn::nn
