// Graphs as text, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/array.h"
#if __has_include("tarn/graph.h")
#include "tarn/graph.h"
#endif
