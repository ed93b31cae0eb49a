// Fourier transforms, by MLX's path.
#pragma once

#include "mlx/api.h"
#if __has_include("tarn/fft.h")
#include "tarn/fft.h"
#endif
