// Functions in files, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/transforms.h"
#include "tarn/export.h"
