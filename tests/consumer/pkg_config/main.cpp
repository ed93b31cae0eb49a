#include <iostream>

#include <tarn/tarn.h>

int main() {
  tarn::array x({1.0f, 2.0f, 3.0f});
  std::cout << x + x << "\n";
}
