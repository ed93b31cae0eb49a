// Where elements lie, as kernels are told: by value, up to eight axes.
#pragma once

#include <cstdint>

namespace tarn::cuda {

inline constexpr int most_axes = 8;
struct Strided {
  int axes = 0;
  int64_t size[most_axes] = {}, stride[most_axes] = {};  // in elements
};

}  // namespace tarn::cuda
