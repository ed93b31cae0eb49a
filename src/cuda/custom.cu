#include "cuda/custom.h"

#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
constexpr int complex_column = 13;

__global__ void fill(void* y, int column, int64_t n, float number) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= n) return;
  if (column == complex_column)
    static_cast<math::c64*>(y)[i] = {number, 0.f};
  else
    write_number(y, column, i, static_cast<double>(number));
}

}  // namespace

void launch_fill(void* y, int column, int64_t n, float number, cudaStream_t queue) {
  if (n > 0)
    fill<<<static_cast<unsigned>((n + threads - 1) / threads), threads, 0, queue>>>(y, column, n,
                                                                                    number);
}

}  // namespace tarn::cuda
