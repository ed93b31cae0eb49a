// Whether Metal can be used: never, here.
#pragma once

#include "mlx/api.h"

namespace mlx::core::metal {

inline bool is_available() { return false; }

}  // namespace mlx::core::metal
