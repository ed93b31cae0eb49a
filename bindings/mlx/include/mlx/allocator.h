// Memory, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/memory.h"
#include "tarn/allocator.h"
