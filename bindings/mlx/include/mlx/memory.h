// How much memory arrays hold, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/memory.h"
