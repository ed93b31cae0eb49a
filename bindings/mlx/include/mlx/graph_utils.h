// Graphs as text, by MLX's path.
#pragma once

#include "mlx/api.h"
#include "tarn/array.h"
#include "tarn/graph.h"
