// Whether CUDA can be used.
#pragma once

#include "mlx/api.h"
#include "tarn/device.h"

namespace mlx::core::cu {

inline bool is_available() { return device_count(Device::gpu) > 0; }

}  // namespace mlx::core::cu
