// Communications, by MLX's path.
#pragma once

#include "mlx/distributed/distributed.h"
