// Fits a parabola by gradient descent: derivatives, and a loop whose steps all run one plan.
#include <iostream>

#include <tarn/tarn.h>

using namespace tarn;

int main() {
  array x = linspace(-1, 1, 21);
  array y = 2 * square(x) - x + 0.5f;
  array powers = stack({ones_like(x), x, square(x)}, 1);  // (21, 3)

  auto loss = [&](const array& w) { return mean(square(matmul(powers, w) - y)); };
  auto step = value_and_grad(loss);

  array w = zeros({3});
  for (int i = 0; i < 400; ++i) {
    auto [value, slope] = step(w);
    w = w - 0.5f * slope;
    eval(w);
  }
  std::cout << round(w, 2) << "\n";
}

// Output:
//   array([0.5, -1, 2], dtype=float32)
