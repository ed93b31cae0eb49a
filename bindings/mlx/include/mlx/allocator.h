// Memory, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/memory.h"
#if __has_include("tarn/allocator.h")
#include "tarn/allocator.h"
#endif
