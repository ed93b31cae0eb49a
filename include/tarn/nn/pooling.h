// Pooling over windows of the positions of x (N, positions..., C).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

// A number for each of N axes; one number stands for all.
template <size_t N>
struct PerAxis {
  std::array<int, N> of{};
  PerAxis() = default;
  PerAxis(int all) { of.fill(all); }
  PerAxis(std::array<int, N> each) : of(each) {}
  template <class... I>
  requires(sizeof...(I) == N && N > 1) PerAxis(I... each) : of{each...} {}
};

namespace detail {
enum class Pool : uint8_t { max, average };
array pooled(const char* layer, Pool pool, const array& x, const std::vector<int>& size,
             const std::vector<int>& stride, const std::vector<int>& padding);
template <size_t N>
std::vector<int> list(const PerAxis<N>& p) {
  return {p.of.begin(), p.of.end()};
}
}  // namespace detail

// The largest element of each window of kernel_size, which moves on by `stride` (by kernel_size
// unless given). `padding` positions of -infinity (average: of zeros, which count) stand on either
// side. Throws ShapeError for an x of other than N + 2 axes or smaller than a window.
#define TARN_POOL(Name, N, pool)                                                                \
  struct Name {                                                                                 \
    PerAxis<N> kernel_size{1};                                                                  \
    std::optional<PerAxis<N>> stride{};                                                         \
    PerAxis<N> padding{0};                                                                      \
    TARN_FIELDS()                                                                               \
    array operator()(const array& x) const {                                                    \
      return detail::pooled(#Name, pool, x, detail::list(kernel_size),                          \
                            detail::list(stride.value_or(kernel_size)), detail::list(padding)); \
    }                                                                                           \
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
