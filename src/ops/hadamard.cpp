// Hadamard's transform as products with small matrices.
#include <array>
#include <bit>
#include <cmath>
#include <string_view>
#include <vector>

#include "ops/kinds.h"
#include "tarn/ops/products.h"

namespace tarn {

using namespace ops;

namespace {

using Square = std::vector<float>;

// Sylvester's matrix of order n, a power of two.
Square sylvester(int n) {
  Square h;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j)
      h.push_back(std::popcount(static_cast<unsigned>(i & j)) % 2 ? -1.f : 1.f);
  return h;
}
// Paley's second construction over the field of 5 (R. Paley, On orthogonal matrices, 1933): blocks
// of a symmetric conference matrix of order 6.
Square paley_12() {
  auto sign = [](int i, int j) {
    if (i == 0 || j == 0) return 1;
    int difference = (i - j + 5) % 5;
    return difference == 1 || difference == 4 ? 1 : -1;
  };
  Square h(144);
  for (int i = 0; i < 12; ++i)
    for (int j = 0; j < 12; ++j) {
      bool low = i % 2 == 1, right = j % 2 == 1;
      int value =
          i / 2 == j / 2 ? (low || right ? -1 : 1) : sign(i / 2, j / 2) * (low && right ? -1 : 1);
      h[static_cast<size_t>(i * 12 + j)] = static_cast<float>(value);
    }
  return h;
}
// J. Williamson's construction (1944): four by four circulant blocks, given by their first rows.
Square williamson(int n, const std::array<std::string_view, 16>& rows) {
  int side = n / 4;
  Square h;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      std::string_view row = rows[static_cast<size_t>(i / side * 4 + j / side)];
      h.push_back(row[static_cast<size_t>((j % side - i % side + side) % side)] == '+' ? 1.f
                                                                                       : -1.f);
    }
  return h;
}
Square williamson_20() {
  return williamson(20, {"+----", "+----", "++--+", "+-++-", "-++++", "+----", "-+--+", "++--+",
                         "--++-", "+-++-", "+----", "-++++", "-+--+", "--++-", "+----", "+----"});
}
Square williamson_28() {
  return williamson(
      28, {"+------", "++----+", "+-+--+-", "+--++--", "--++++-", "+------", "-++--++", "+-+--+-",
           "-+-++-+", "+--++--", "+------", "--++++-", "-++--++", "-+-++-+", "++----+", "+------"});
}

// x (..., left * n * right) times h (n, n) along the middle axis.
array times(const array& x, const Square& h, int64_t n, int64_t right, StreamOrDevice s) {
  array matrix = astype(array(h.begin(), {n, n}, float32), x.dtype(), s);
  if (right > 1) return matmul(matrix, reshape(x, {-1, n, right}, s), s);
  return matmul(reshape(x, {-1, n}, s), transpose(matrix, s), s);
}

}  // namespace

array hadamard_transform(const array& a, std::optional<float> scale, StreamOrDevice s) {
  int64_t n = a.ndim() == 0 ? 1 : a.shape(-1), odd = n;
  while (odd > 0 && odd % 2 == 0) odd /= 2;
  int64_t m = odd == 1 ? 1 : odd * 4;
  require<ShapeError>(
      n > 0 && (m == 1 || m == 12 || m == 20 || m == 28) && n % m == 0,
      "[hadamard_transform] a has shape {}; its last size must be m * 2^k with m 1, "
      "12, 20 or 28.",
      text_of(a.shape()));
  Dtype t = issubdtype(a.dtype(), inexact) ? a.dtype() : float32;
  bool half = t == float16 || t == bfloat16;
  array x = astype(a, half ? float32 : t, s);
  if (a.size() == 0) return astype(x, t, s);
  // In pieces of at most 32: each a product that a matrix kernel does.
  for (int64_t right = 1, rest = n / m; rest > 1;) {
    int64_t piece = std::min<int64_t>(rest, 32);
    x = times(x, sylvester(static_cast<int>(piece)), piece, right, s);
    right *= piece;
    rest /= piece;
  }
  if (m > 1)
    x = times(x, m == 12 ? paley_12() : m == 20 ? williamson_20() : williamson_28(), m, n / m, s);
  double factor = scale ? double{*scale} : 1 / std::sqrt(static_cast<double>(n));
  return astype(multiply(reshape(x, a.shape(), s), constant(x, factor), s), t, s);
}

}  // namespace tarn
