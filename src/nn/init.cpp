#include "tarn/nn/init.h"

#include <algorithm>
#include <cmath>

#include "base/require.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn::nn::init {
namespace {

struct Fans {
  double in = 0, out = 0;
};

Fans fans_of(const char* name, const Shape& shape) {
  require<ShapeError>(shape.size() >= 2,
                      "[{}] shape {} has no fan in and fan out: 2 sizes or more are needed.", name,
                      text_of(shape));
  double field = 1;
  for (size_t i = 1; i + 1 < shape.size(); ++i) field *= static_cast<double>(shape[i]);
  return {field * static_cast<double>(shape.back()), field * static_cast<double>(shape.front())};
}

void check_matrix(const char* name, const Shape& shape) {
  require<ShapeError>(shape.size() == 2, "[{}] shape {} is not a matrix's.", name, text_of(shape));
}

// The first `columns` columns of an (n, n) matrix made orthonormal from left to right, which is Q
// of the QR decomposition whose R has a positive diagonal. Twice, so that rounding of the first
// pass is taken out again (Giraud et al. 2005).
std::vector<double> orthonormal(const float* from, int64_t n, int64_t columns) {
  std::vector<double> q(static_cast<size_t>(n * columns));
  for (int64_t c = 0; c < columns; ++c) {
    double* v = q.data() + c * n;
    for (int64_t i = 0; i < n; ++i) v[i] = static_cast<double>(from[i * n + c]);
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t k = 0; k < c; ++k) {
        const double* u = q.data() + k * n;
        double along = 0;
        for (int64_t i = 0; i < n; ++i) along += u[i] * v[i];
        for (int64_t i = 0; i < n; ++i) v[i] -= along * u[i];
      }
    double length = 0;
    for (int64_t i = 0; i < n; ++i) length += v[i] * v[i];
    for (int64_t i = 0; i < n; ++i) v[i] /= std::sqrt(length);
  }
  return q;
}

array symmetric(const Shape& shape, const array& key, double limit, Dtype dtype) {
  return random::uniform(array(-limit), array(limit), shape, dtype, key);
}

}  // namespace

array constant(const Shape& shape, double value, Dtype dtype) {
  return full(shape, array(value, dtype));
}
array normal(const Shape& shape, const array& key, double mean, double std, Dtype dtype) {
  return random::normal(shape, dtype, static_cast<float>(mean), static_cast<float>(std), key);
}
array uniform(const Shape& shape, const array& key, double low, double high, Dtype dtype) {
  return random::uniform(array(low), array(high), shape, dtype, key);
}
array identity(const Shape& shape, Dtype dtype) {
  require<ShapeError>(shape.size() == 2 && shape[0] == shape[1],
                      "[identity] shape {} is not square.", text_of(shape));
  return eye(static_cast<int>(shape[0]), dtype);
}

array glorot_normal(const Shape& shape, const array& key, double gain, Dtype dtype) {
  auto [in, out] = fans_of("glorot_normal", shape);
  return normal(shape, key, 0, gain * std::sqrt(2 / (in + out)), dtype);
}
array glorot_uniform(const Shape& shape, const array& key, double gain, Dtype dtype) {
  auto [in, out] = fans_of("glorot_uniform", shape);
  return symmetric(shape, key, gain * std::sqrt(6 / (in + out)), dtype);
}
array he_normal(const Shape& shape, const array& key, Fan fan, double gain, Dtype dtype) {
  auto [in, out] = fans_of("he_normal", shape);
  return normal(shape, key, 0, gain / std::sqrt(fan == Fan::in ? in : out), dtype);
}
array he_uniform(const Shape& shape, const array& key, Fan fan, double gain, Dtype dtype) {
  auto [in, out] = fans_of("he_uniform", shape);
  return symmetric(shape, key, gain * std::sqrt(3 / (fan == Fan::in ? in : out)), dtype);
}

array sparse(const Shape& shape, const array& key, double sparsity, double mean, double std,
             Dtype dtype) {
  check_matrix("sparse", shape);
  require(sparsity >= 0 && sparsity <= 1, "[sparse] sparsity is {}; it lies in [0, 1].", sparsity);
  auto [order_key, value_key] = random::split(key);
  // A column's rank among random numbers: the lowest ranks of a row are its zeros.
  array rank = argsort(argsort(random::uniform(shape, order_key), 1), 1);
  array zeros_in_row(static_cast<uint32_t>(std::ceil(sparsity * static_cast<double>(shape[1]))));
  array values = normal(shape, value_key, mean, std, dtype);
  return where(rank < zeros_in_row, array(0, dtype), values);
}

array orthogonal(const Shape& shape, const array& key, double gain, Dtype dtype) {
  check_matrix("orthogonal", shape);
  int64_t rows = shape[0], columns = shape[1], n = std::max(rows, columns);
  array numbers = contiguous(random::normal({n, n}, key));
  std::vector<double> q = orthonormal(numbers.data<float>(), n, columns);
  array transposed = slice(array(q.begin(), {columns, n}, float64), {0, 0}, {columns, rows});
  return astype(transpose(transposed) * array(gain, float64), dtype);
}

std::vector<array> keys(const array& key, int n) {
  std::vector<array> all;
  for (const array& one : random::split(key, n)) all.push_back(one);
  return all;
}

}  // namespace tarn::nn::init
