#include <iostream>

#include "mlx/mlx.h"

namespace mx = mlx::core;

int main() {
  mx::array x({1.0f, 2.0f, 3.0f});
  std::cout << x + x << "\n";
}
