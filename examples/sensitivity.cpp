// Transforms compose: a second derivative, one for every row, and a Jacobian from batched vjps.
#include <iostream>

#include <tarn/tarn.h>

using namespace tarn;

int main() {
  auto cube_sum = [](const array& x) { return sum(x * x * x); };
  auto second = [&](const array& x) {
    auto slope = [&](const array& t) { return sum(grad(cube_sum)(t)); };
    return grad(slope)(x);
  };
  array rows = reshape(arange(6.0), {2, 3});
  std::cout << vmap(second)(rows) << "\n";

  auto rotate = [](const array& x) {
    return concatenate({slice(x, {1}, {3}), -slice(x, {0}, {1})});
  };
  array at({1.0f, 2.0f, 3.0f});
  auto row_of_jacobian = [&](const array& e) { return vjp(rotate, at, e).second; };
  std::cout << vmap(row_of_jacobian)(eye(3)) << "\n";
}

// Output:
//   array([[0, 6, 12],
//          [18, 24, 30]], dtype=float32)
//   array([[0, 1, 0],
//          [0, 0, 1],
//          [-1, 0, 0]], dtype=float32)
