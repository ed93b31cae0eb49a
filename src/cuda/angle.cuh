// Rotations by positions.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace tarn::cuda {

// The rotation of a pair of columns. Turns are counted in double, and what is left of the last in
// float.
struct Angle {
  float cosine = 1, sine = 0;
};
__device__ inline Angle angle_of(double rate, int64_t position) {
  constexpr double turns = 0.15915494309189535;  // 1 / (2 pi)
  double turn = static_cast<double>(position) * rate * turns;
  Angle a;
  sincospif(static_cast<float>(2 * (turn - rint(turn))), &a.sine, &a.cosine);
  return a;
}
}  // namespace tarn::cuda
