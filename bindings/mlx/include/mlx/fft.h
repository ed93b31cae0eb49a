// Fourier transforms, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/fft.h"
