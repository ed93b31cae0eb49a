// Launches that begin before the kernel in front of them in the queue has ended.
//
// Such a kernel calls wait_for_queue() before it reads or writes anything but what it prefetches,
// so that its blocks are on the card, and what it prefetches on its way, when its turn comes. What
// is in front of it says by let_next_begin() that there is room. Both are of sm_90 and later; other
// kernels are launched as ever.
#pragma once

#include <cuda_runtime.h>

namespace tarn::cuda {

__device__ inline void wait_for_queue() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// After wait_for_queue(): so all that lies two kernels back is done when a kernel begins. Not by
// kernels that may make codes or their factors, which products prefetch.
__device__ inline void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

template <class Kernel>
bool can_begin_early(Kernel kernel) {
  cudaFuncAttributes a{};
  return cudaFuncGetAttributes(&a, kernel) == cudaSuccess && a.ptxVersion >= 90;
}
template <class... Arguments>
void launch_early(void (*kernel)(Arguments...), bool early, dim3 grid, unsigned threads,
                  size_t shared, cudaStream_t queue, const Arguments&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid, config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared, config.stream = queue;
  config.attrs = &attribute, config.numAttrs = early ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, arguments...);  // the caller asks for the last error
}

}  // namespace tarn::cuda
