// Streams, promotion and printing, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "mlx/array.h"
#include "tarn/device.h"
#if __has_include("tarn/utils.h")
#include "tarn/utils.h"
#endif
