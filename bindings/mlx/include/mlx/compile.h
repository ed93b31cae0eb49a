// Compiled functions, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/transforms.h"
