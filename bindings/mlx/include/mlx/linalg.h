// Linear algebra, by MLX's path.
#pragma once

#include "mlx/api.h"
#if __has_include("tarn/linalg.h")
#include "tarn/linalg.h"
#endif
