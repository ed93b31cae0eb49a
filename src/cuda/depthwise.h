// Convolutions of each channel alone, as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tarn::cuda {

// y (n, out..., channels) of x (n, size..., channels) and w (channels, kernel...), all contiguous
// float32; of fewer than three axes the first are 1.
struct DepthwiseCall {
  const float *x = nullptr, *w = nullptr;
  float* y = nullptr;
  int64_t count = 0;  // numbers of y
  int channels = 1;
  int size[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, lo[3] = {};
  bool flip = false;
};
void launch_depthwise(const DepthwiseCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
