// Functions in files, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/transforms.h"
#if __has_include("tarn/export.h")
#include "tarn/export.h"
#endif
