#include "tarn/nn/pooling.h"

#include <limits>

#include "base/require.h"
#include "tarn/ops.h"

namespace tarn::nn::detail {
namespace {

using Sizes = std::vector<int>;

void check(const char* layer, const array& x, const Sizes& size, const Sizes& stride,
           const Sizes& padding) {
  require<ShapeError>(x.ndim() == size.size() + 2,
                      "[{}] x has shape {}: {} axes are needed, channels last.", layer,
                      text_of(x.shape()), size.size() + 2);
  for (size_t i = 0; i < size.size(); ++i) {
    require(size[i] > 0 && stride[i] > 0 && padding[i] >= 0,
            "[{}] kernel_size {}, stride {} and padding {}: the first two must be positive, the "
            "last not negative.",
            layer, size[i], stride[i], padding[i]);
    int64_t there = x.shape(static_cast<int>(i) + 1) + 2 * int64_t{padding[i]};
    require<ShapeError>(there >= size[i],
                        "[{}] x has shape {}: a window of {} does not fit into {} positions.",
                        layer, text_of(x.shape()), size[i], there);
  }
}

array padded(const array& x, Pool pool, const Sizes& padding) {
  std::vector<std::pair<int, int>> width{{0, 0}};
  bool any = false;
  for (int p : padding) {
    width.push_back({p, p});
    any |= p > 0;
  }
  width.push_back({0, 0});
  if (!any) return x;
  bool low = pool == Pool::max && issubdtype(x.dtype(), floating);
  return pad(x, width, array(low ? -std::numeric_limits<float>::infinity() : 0.f, x.dtype()));
}

// The windows side by side: (N, windows..., size..., C). Windows that share no elements are a
// reshape; others a view with strides of its own.
array windows(const array& x, const Sizes& size, const Sizes& stride) {
  size_t n = size.size();
  Strides step(x.ndim(), 1);
  for (size_t i = x.ndim() - 1; i-- > 0;) step[i] = step[i + 1] * x.shape(static_cast<int>(i) + 1);
  Shape shape{x.shape(0)}, split{x.shape(0)};
  Strides strides{step[0]};
  std::vector<int> order{0};
  bool apart = true;
  for (size_t i = 0; i < n; ++i) {
    int64_t count = (x.shape(static_cast<int>(i) + 1) - size[i]) / stride[i] + 1;
    apart &= stride[i] == size[i] && count * size[i] == x.shape(static_cast<int>(i) + 1);
    shape.push_back(count);
    strides.push_back(step[i + 1] * stride[i]);
    split.push_back(count);
    split.push_back(size[i]);
    order.push_back(static_cast<int>(2 * i + 1));
  }
  for (size_t i = 0; i < n; ++i) {
    shape.push_back(size[i]);
    strides.push_back(step[i + 1]);
    order.push_back(static_cast<int>(2 * i + 2));
  }
  shape.push_back(x.shape(-1)), strides.push_back(1), split.push_back(x.shape(-1));
  order.push_back(static_cast<int>(2 * n + 1));
  if (apart) return transpose(reshape(x, split), order);
  return as_strided(contiguous(x), shape, strides, 0);
}

}  // namespace

array pooled(const char* layer, Pool pool, const array& x, const Sizes& size, const Sizes& stride,
             const Sizes& padding) {
  check(layer, x, size, stride, padding);
  array w = windows(padded(x, pool, padding), size, stride);
  std::vector<int> axes;
  for (size_t i = 0; i < size.size(); ++i) axes.push_back(static_cast<int>(size.size() + 1 + i));
  return pool == Pool::max ? max(w, axes) : mean(w, axes);
}

}  // namespace tarn::nn::detail
