// Products with a few columns beside many rows, as low-rank terms have them: float32.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tarn::cuda {

inline constexpr int most_thin = 16;  // columns

// y = x b, or y = x^T b, with x of (rows, cols), its rows `lead` numbers apart from multiples of 16
// bytes on, and b of `width` columns. b_row and b_col are b's strides, y_row and y_col y's.
struct ThinCall {
  const float *x = nullptr, *b = nullptr;
  float *y = nullptr, *scratch = nullptr;
  int64_t rows = 0, cols = 0, lead = 0;
  int64_t b_row = 0, b_col = 0, y_row = 0, y_col = 0;
  int width = 0;
  int parts = 1;  // of the rows, of which x^T b adds up sums; `scratch` has parts * width * cols
};
// Products of the same x, of at most most_slots times eight columns, each b beginning a new eight.
inline constexpr int most_slots = 4;
struct ThinCalls {
  ThinCall of[most_slots];
  int count = 0;
};
void launch_thin(const ThinCalls& calls, cudaStream_t queue);
void launch_thin_turned(const ThinCalls& calls, cudaStream_t queue);

}  // namespace tarn::cuda
