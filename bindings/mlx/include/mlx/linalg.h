// Linear algebra, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/linalg.h"
