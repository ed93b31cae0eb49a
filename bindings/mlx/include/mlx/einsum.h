// Einstein sums, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/ops.h"
#if __has_include("tarn/einsum.h")
#include "tarn/einsum.h"
#endif
