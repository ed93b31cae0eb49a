// What makes `mlx::core` Tarn's names. The namespace can be reopened; its inner namespaces (fast,
// random, linalg, fft, distributed) are Tarn's own and are reopened as `namespace tarn::fast`.
#pragma once

#define MLX_API

namespace tarn {}
namespace mlx::core {
using namespace tarn;
}
