// complex64_t, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/dtype.h"
