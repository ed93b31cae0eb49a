// Pooling over windows of the positions of x (N, positions..., C).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/nn/per_axis.h"

namespace tarn::nn {

namespace detail {
enum class Pool : uint8_t { max, average };
array pooled(const char* layer, Pool pool, const array& x, const std::vector<int>& size,
             const std::vector<int>& stride, const std::vector<int>& padding);
}  // namespace detail

// The largest element of each window of kernel_size, which moves on by `stride` (by kernel_size
// unless given). `padding` positions of -infinity (average: of zeros, which count) stand on either
// side. Throws ShapeError for an x of other than N + 2 axes or smaller than a window.
#define TARN_POOL(Name, N, pool)                                                  \
  struct Name {                                                                   \
    PerAxis<N> kernel_size{1};                                                    \
    std::optional<PerAxis<N>> stride{};                                           \
    PerAxis<N> padding{0};                                                        \
    TARN_FIELDS()                                                                 \
    array operator()(const array& x) const {                                      \
      return detail::pooled(#Name, pool, x, kernel_size.list(),                   \
                            stride.value_or(kernel_size).list(), padding.list()); \
    }                                                                             \
  };
TARN_POOL(MaxPool1d, 1, detail::Pool::max)
TARN_POOL(MaxPool2d, 2, detail::Pool::max)
TARN_POOL(MaxPool3d, 3, detail::Pool::max)
// The mean of each window.
TARN_POOL(AvgPool1d, 1, detail::Pool::average)
TARN_POOL(AvgPool2d, 2, detail::Pool::average)
TARN_POOL(AvgPool3d, 3, detail::Pool::average)
#undef TARN_POOL

}  // namespace tarn::nn
