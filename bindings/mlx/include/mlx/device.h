// Devices, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/device.h"
