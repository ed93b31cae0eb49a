// Groups of processes, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/distributed.h"
