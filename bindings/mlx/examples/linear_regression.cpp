// Linear regression by gradient descent, written for MLX: its headers are all it includes.
#include <iostream>

#include "mlx/mlx.h"

namespace mx = mlx::core;

int main() {
  const int features = 100, examples = 1000, iterations = 2000;
  const float rate = 0.05f;
  mx::random::seed(7);

  // y = X w + noise
  mx::array w_true = mx::random::normal({features});
  mx::array x = mx::random::normal({examples, features});
  mx::array noise = 1e-2f * mx::random::normal({examples});
  mx::array y = mx::matmul(x, w_true) + noise;
  mx::eval(x, y);

  auto loss = [&](const mx::array& w) { return 0.5f * mx::mean(mx::square(mx::matmul(x, w) - y)); };
  auto slope = mx::grad(loss);

  mx::array w = mx::zeros({features});
  for (int i = 0; i < iterations; ++i) {
    w = w - rate * slope(w);
    mx::eval(w);
  }

  auto error = mx::max(mx::abs(w - w_true)).item<float>();
  std::cout << "loss " << loss(w).item<float>() << ", largest error of a weight " << error << "\n";
  if (!(error < 2e-3f)) {
    std::cerr << "the weights were not found\n";
    return 1;
  }
}
