// Streams, promotion and printing, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "mlx/array.h"
#include "tarn/device.h"
#if __has_include("tarn/limits.h")
#include "tarn/limits.h"
#endif
#if __has_include("tarn/print.h")
#include "tarn/print.h"
#endif
#if __has_include("tarn/version.h")
#include "tarn/version.h"
#endif
