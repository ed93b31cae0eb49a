// Streams, promotion and printing, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "mlx/array.h"
#include "tarn/device.h"
#include "tarn/limits.h"
#include "tarn/print.h"
#include "tarn/version.h"
