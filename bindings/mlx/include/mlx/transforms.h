// Derivatives, batches and evaluation, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "mlx/array.h"
#include "tarn/transforms.h"
