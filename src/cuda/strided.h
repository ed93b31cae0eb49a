// Where elements lie, as kernels are told: by value, up to eight axes.
#pragma once

#include <cstdint>

namespace tarn::cuda {

inline constexpr int most_axes = 8;
inline constexpr int most_calls = 4;  // of one launch; runtime/backend.h's most_joined
struct Strided {
  int axes = 0;
  int64_t size[most_axes] = {}, stride[most_axes] = {};  // in elements
};

}  // namespace tarn::cuda
