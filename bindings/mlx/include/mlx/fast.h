// The parts of a transformer, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/fast.h"
