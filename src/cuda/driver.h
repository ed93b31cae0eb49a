// The driver's own functions, found through the runtime: linking them would need the driver.
#pragma once

#include "base/require.h"
#include "cuda/device.h"

namespace tarn::cuda {

template <class Function>
Function* driver(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult how{};
  check(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &how), name);
  require<DeviceError>(found != nullptr, "[cuda] the driver has no {}: it needs CUDA 12.", name);
  return reinterpret_cast<Function*>(found);
}

}  // namespace tarn::cuda
