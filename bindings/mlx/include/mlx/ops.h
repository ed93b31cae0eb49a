// Array operations, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/ops.h"
