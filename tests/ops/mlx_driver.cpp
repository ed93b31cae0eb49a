// Computes the cases of tests/oracle/mlx_test.py, see mlx_driver.h.
#include "ops/mlx_driver.h"

int main(int count, char** words) {
  return tarn::mlx_test::run_driver(tarn::mlx_test::every_call(), count, words);
}
