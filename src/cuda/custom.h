// What programs' own kernels need of the card beside themselves.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tarn::cuda {

// y = n times the number of the dtype in that column.
void launch_fill(void* y, int column, int64_t n, float number, cudaStream_t queue);

}  // namespace tarn::cuda
