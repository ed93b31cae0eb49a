// Whether there is a GPU, and how many.
#pragma once

#include "mlx/api.h"
#include "tarn/device.h"

namespace mlx::core::gpu {

inline int device_count() { return core::device_count(Device::gpu); }
inline bool is_available() { return device_count() > 0; }

}  // namespace mlx::core::gpu
