// float16_t and bfloat16_t, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/dtype.h"
