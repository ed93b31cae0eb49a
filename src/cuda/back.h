// Derivatives of rows, and losses, as kernels are told of them: float32, row-contiguous.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/fault.h"

namespace tarn::cuda {

// y (rows, cols): the cotangent of x, where rms_norm(x, weight) has the cotangent g.
struct NormBackCall {
  const float *x = nullptr, *g = nullptr, *weight = nullptr;  // weight: null for none
  float* y = nullptr;
  int64_t rows = 0, cols = 0;
  float eps = 0;
};
void launch_rms_norm_back(const NormBackCall& call, cudaStream_t queue);

// The cross entropy of a row of logits x (rows, classes) with its target: y (rows); or back, the
// cotangent of x from that of the entropy, g (rows): y (rows, classes).
struct EntropyCall {
  const float *x = nullptr, *g = nullptr;
  const void* target = nullptr;
  float* y = nullptr;
  Fault* fault = nullptr;
  int64_t rows = 0, classes = 0;
  int axis = 0, target_type = 0;  // of the classes, for the fault; a dtype, as column
};
void launch_cross_entropy(const EntropyCall& call, cudaStream_t queue);
void launch_cross_entropy_back(const EntropyCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
