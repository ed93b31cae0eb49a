// Arrays in files, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/io.h"
