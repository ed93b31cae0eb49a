// The version of MLX whose C++ API these headers answer. `version()` is Tarn's own.
#pragma once

#include "mlx/api.h"
#include "tarn/version.h"

#define MLX_VERSION_MAJOR 0
#define MLX_VERSION_MINOR 32
#define MLX_VERSION_PATCH 4
#define MLX_VERSION_NUMERIC \
  (100000 * MLX_VERSION_MAJOR + 1000 * MLX_VERSION_MINOR + MLX_VERSION_PATCH)
