// Shapes and strides, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/shape.h"
