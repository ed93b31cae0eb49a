// The array, by MLX's path, and the traits that MLX programs constrain templates with.
#pragma once

#include <type_traits>

#include "mlx/api.h"
#include "tarn/array.h"

namespace mlx::core {

template <class T>
inline constexpr bool is_array_v = std::is_same_v<std::remove_cvref_t<T>, array>;
template <class... T>
inline constexpr bool is_arrays_v = (is_array_v<T> && ...);
template <class... T>
using enable_for_arrays_t = std::enable_if_t<is_arrays_v<T...>>;

}  // namespace mlx::core
