// Normal numbers with a covariance.
#include "ops/kinds.h"
#include "tarn/linalg.h"
#include "tarn/random.h"

namespace tarn::random {

array multivariate_normal(const array& mean, const array& cov, const Shape& shape, Dtype dtype,
                          const std::optional<array>& key, StreamOrDevice s) {
  using ops::text_of;
  require(dtype == float32 || dtype == float64,
          "[multivariate_normal] dtype is {}; it must be float32 or float64.", name_of(dtype));
  require<ShapeError>(mean.ndim() >= 1 && cov.ndim() >= 2 && cov.shape(-1) == cov.shape(-2) &&
                          cov.shape(-1) == mean.shape(-1),
                      "[multivariate_normal] mean has shape {} and cov {}: they must be (..., N) "
                      "and (..., N, N).",
                      text_of(mean.shape()), text_of(cov.shape()));
  Shape lead(mean.shape().begin(), mean.shape().end() - 1);
  Shape of_cov(cov.shape().begin(), cov.shape().end() - 2);
  auto fits = [&] {
    try {
      return broadcast_shapes(shape, broadcast_shapes(lead, of_cov)) == shape;
    } catch (const ShapeError&) {
      return false;
    }
  };
  require<ShapeError>(fits(),
                      "[multivariate_normal] mean {} and cov {} do not broadcast to the shape {}.",
                      text_of(mean.shape()), text_of(cov.shape()), text_of(shape));
  auto parts = linalg::svd(astype(cov, dtype, s), s);  // cov may be singular
  Shape drawn = shape;
  drawn.push_back(mean.shape(-1));
  array x = multiply(normal(drawn, dtype, key, s), sqrt(parts[1], s), s);
  if (of_cov.empty()) return add(matmul(x, parts[2], s), astype(mean, dtype, s), s);
  array rows = matmul(expand_dims(x, -2, s), parts[2], s);
  return add(squeeze(rows, -2, s), astype(mean, dtype, s), s);
}

}  // namespace tarn::random
