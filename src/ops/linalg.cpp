// Decompositions of matrices: checks, and results out of packed values.
#include "tarn/linalg.h"

#include <algorithm>
#include <cmath>

#include "ops/linalg.h"

namespace tarn::linalg {

using namespace ops;

namespace {

void check_dtype(const char* op, const array& a) {
  Dtype t = a.dtype();
  require(t == float32 || t == float64 || t == complex64,
          "[{}] a is {}: it must be float32, float64 or complex64. Use astype.", op, name_of(t));
}
void check_matrix(const char* op, const array& a) {
  require<ShapeError>(a.ndim() >= 2, "[{}] a has shape {}: it needs at least 2 axes.", op,
                      text_of(a.shape()));
}
void check_square(const char* op, const array& a) {
  check_matrix(op, a);
  require<ShapeError>(a.shape(-1) == a.shape(-2),
                      "[{}] a has shape {}: its matrices must be square.", op, text_of(a.shape()));
}
void check(const char* op, const array& a) {
  check_square(op, a);
  check_dtype(op, a);
}
// The factors of a system, of one dtype, and b with a column axis.
std::pair<array, array> system(const char* op, const array& a, const array& b, StreamOrDevice s) {
  check_square(op, a);
  Dtype t = result_type(a, b);
  require(t == float32 || t == float64 || t == complex64,
          "[{}] a is {} and b {}: they must promote to float32, float64 or complex64. Use astype.",
          op, name_of(a.dtype()), name_of(b.dtype()));
  require<ShapeError>(b.ndim() > 0 && b.shape(b.ndim() == 1 ? -1 : -2) == a.shape(-1),
                      "[{}] a has shape {} and b {}: b must be (..., {n}, K) or ({n},).", op,
                      text_of(a.shape()), text_of(b.shape()), fmt::arg("n", a.shape(-1)));
  array column = b.ndim() == 1 ? expand_dims(b, 1, s) : b;
  Shape of_a(a.shape().begin(), a.shape().end() - 2);
  broadcast_shapes(of_a, Shape(column.shape().begin(), column.shape().end() - 2));
  return {astype(a, t, s), astype(column, t, s)};
}
array without_column(const array& x, const array& b, StreamOrDevice s) {
  return b.ndim() == 1 ? squeeze(x, -1, s) : x;
}
array transposed(const array& m, StreamOrDevice s) { return conjugate(swapaxes(m, -1, -2, s), s); }

// The order of rows, the pivots and the factors of a wide or tall matrix.
struct Factors {
  array packed, order, pivots;
};
Factors factors_of(const char* op, const array& a, StreamOrDevice s) {
  check_matrix(op, a);
  check_dtype(op, a);
  int64_t m = a.shape(-2), n = a.shape(-1), k = std::min(m, n);
  require<ShapeError>(m <= 1 << 24, "[{}] a has shape {}: more than 2^24 rows are not supported.",
                      op, text_of(a.shape()));
  array both = record(op_of<LuFactor>, {}, {columns_of(a, 0, k)}, s);
  int64_t at = 0;
  array left = unpacked(both, at, m, k);
  auto whole = [&](const array& x) { return astype(real_part(stop_gradient(x, s)), uint32, s); };
  array order = whole(unpacked(both, at, m)), pivots = whole(unpacked(both, at, k));
  if (n == k) return {left, order, pivots};
  // Columns beyond the square one: U = L^-1 P a.
  array rest = take_along_axis(columns_of(a, k, n), expand_dims(order, -1, s), -2, s);
  return {concatenate({left, triangular(left, rest, false, true)}, -1, s), order, pivots};
}
// Of the diagonal of U: by how many exchanges the determinant changed its sign.
array parity(const array& pivots, Dtype t, StreamOrDevice s) {
  array own = arange(0.0, double(pivots.shape(-1)), uint32, s);
  array odd =
      remainder(sum(astype(not_equal(pivots, own, s), int32, s), -1, false, s), array(2), s);
  return subtract(array(1, t), multiply(array(2, t), astype(odd, t, s), s), s);
}
array lu_input(const char* op, const array& a, StreamOrDevice s) {
  check_square(op, a);
  array x = issubdtype(a.dtype(), inexact) ? a : astype(a, float32, s);
  check_dtype(op, x);
  return x;
}

bool is_upper(const char* op, const std::string& uplo) {
  require(uplo == "L" || uplo == "U", "[{}] UPLO is \"{}\"; it must be \"L\" or \"U\".", op, uplo);
  return uplo == "U";
}

}  // namespace

std::pair<array, array> qr(const array& a, StreamOrDevice s) {
  check_matrix("qr", a);
  check_dtype("qr", a);
  int64_t m = a.shape(-2), n = a.shape(-1), k = std::min(m, n), at = 0;
  array both = record(op_of<Qr>, {}, {columns_of(a, 0, k)}, s);
  array q = unpacked(both, at, m, k), r = unpacked(both, at, k, k);
  if (n == k) return {q, r};
  return {q, concatenate({r, matmul(transposed(q, s), columns_of(a, k, n), s)}, -1, s)};
}

std::vector<array> svd(const array& a, bool compute_uv, StreamOrDevice s) {
  check_matrix("svd", a);
  check_dtype("svd", a);
  array all = record(op_of<Svd>, Svd::P{compute_uv, compute_uv}, {a}, s);
  if (!compute_uv) return {all};
  int64_t m = a.shape(-2), n = a.shape(-1), at = 0;
  array u = unpacked(all, at, m, m), values = unpacked(all, at, std::min(m, n));
  return {u, real_part(values), unpacked(all, at, n, n)};
}

array inv(const array& a, StreamOrDevice s) {
  check("inv", a);
  return record(op_of<Inverse>, Inverse::P{}, {a}, s);
}
array tri_inv(const array& a, bool upper, StreamOrDevice s) {
  check("tri_inv", a);
  return record(op_of<Inverse>, Inverse::P{upper ? Triangle::upper : Triangle::lower}, {a}, s);
}
array cholesky(const array& a, bool upper, StreamOrDevice s) {
  check("cholesky", a);
  return record(op_of<Cholesky>, Cholesky::P{upper}, {a}, s);
}
array cholesky_inv(const array& a, bool upper, StreamOrDevice s) {
  check("cholesky_inv", a);
  array root = tri_inv(a, upper, s);
  return upper ? matmul(root, transposed(root, s), s) : matmul(transposed(root, s), root, s);
}
array pinv(const array& a, StreamOrDevice s) {
  check_matrix("pinv", a);
  check_dtype("pinv", a);
  return record(op_of<PseudoInverse>, {}, {a}, s);
}

std::vector<array> lu(const array& a, StreamOrDevice s) {
  auto [packed, order, pivots] = factors_of("lu", a, s);
  auto m = static_cast<int>(a.shape(-2));
  auto k = static_cast<int>(std::min(a.shape(-1), a.shape(-2)));
  array l = add(tril(columns_of(packed, 0, k), -1, s), eye(m, k, 0, packed.dtype(), s), s);
  return {argsort(order, -1, s), l, triu(rows_of(packed, 0, k), 0, s)};
}
std::pair<array, array> lu_factor(const array& a, StreamOrDevice s) {
  auto [packed, order, pivots] = factors_of("lu_factor", a, s);
  return {packed, pivots};
}

array solve(const array& a, const array& b, StreamOrDevice s) {
  auto [left, right] = system("solve", a, b, s);
  return without_column(record(op_of<Solve>, {}, {left, right}, s), b, s);
}
array solve_triangular(const array& a, const array& b, bool upper, StreamOrDevice s) {
  auto [left, right] = system("solve_triangular", a, b, s);
  array x = record(op_of<SolveTriangular>, SolveTriangular::P{upper, false}, {left, right}, s);
  return without_column(x, b, s);
}

array eigvals(const array& a, StreamOrDevice s) {
  check("eigvals", a);
  return record(op_of<Eig>, Eig::P{false}, {a}, s);
}
std::pair<array, array> eig(const array& a, StreamOrDevice s) {
  check("eig", a);
  array both = record(op_of<Eig>, Eig::P{true}, {a}, s);
  int64_t n = a.shape(-1), at = 0;
  array values = unpacked(both, at, n);
  return {values, unpacked(both, at, n, n)};
}
array eigvalsh(const array& a, std::string UPLO, StreamOrDevice s) {
  check("eigvalsh", a);
  return record(op_of<Eigh>, Eigh::P{is_upper("eigvalsh", UPLO), false}, {a}, s);
}
std::pair<array, array> eigh(const array& a, std::string UPLO, StreamOrDevice s) {
  check("eigh", a);
  array both = record(op_of<Eigh>, Eigh::P{is_upper("eigh", UPLO), true}, {a}, s);
  int64_t n = a.shape(-1), at = 0;
  array values = real_part(unpacked(both, at, n));
  return {values, unpacked(both, at, n, n)};
}

array det(const array& a, StreamOrDevice s) {
  array x = lu_input("det", a, s);
  auto [packed, order, pivots] = factors_of("det", x, s);
  return multiply(parity(pivots, x.dtype(), s), prod(diagonal_of(packed), -1, false, s), s);
}
std::pair<array, array> slogdet(const array& a, StreamOrDevice s) {
  array x = lu_input("slogdet", a, s);
  auto [packed, order, pivots] = factors_of("slogdet", x, s);
  array d = diagonal_of(packed), odd = parity(pivots, x.dtype(), s);
  if (x.dtype() != complex64)
    return {multiply(odd, prod(sign(d, s), -1, false, s), s), sum(log(abs(d, s), s), -1, false, s)};
  // log d is log |d| + i times the phase.
  array logs = sum(log(d, s), -1, false, s), size = real_part(logs);
  array i = array(complex64_t{0, 1});
  array phase = exp(multiply(i, real_part(multiply(negative(i, s), logs, s)), s), s);
  array zero = any(equal(d, array(0, complex64), s), -1, false, s);
  return {where(zero, array(0, complex64), multiply(odd, phase, s), s),
          where(zero, array(-INFINITY), size, s)};
}

array matrix_exp(const array& a, StreamOrDevice s) {
  check("matrix_exp", a);
  return record(op_of<MatrixExp>, {}, {a}, s);
}

}  // namespace tarn::linalg
