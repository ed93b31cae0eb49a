// What inverses, solutions and triangular factors are, and their derivatives: Giles, "An extended
// collection of matrix derivative results for forward and reverse mode algorithmic differentiation"
// (2008), and the papers named at each. Cotangents pair without conjugation, so where a rule has
// adjoints they are taken of the conjugate cotangent.
#include <algorithm>

#include "ops/linalg.h"

namespace tarn::ops {
namespace {

array masked(const array& m, Triangle part) {
  if (part == Triangle::none) return m;
  return part == Triangle::lower ? tril(m) : triu(m);
}
ArraySpec like_first(std::span<const array> in) { return {in[0].shape(), in[0].dtype()}; }
ArraySpec solution(std::span<const array> in) {
  Shape a(in[0].shape().begin(), in[0].shape().end() - 2);
  Shape b(in[1].shape().begin(), in[1].shape().end() - 2);
  Shape shape = broadcast_shapes(a, b);
  shape.push_back(in[1].shape(-2)), shape.push_back(in[1].shape(-1));
  return {shape, in[1].dtype()};
}
ArraySpec packed_spec(const array& a, int64_t count) {
  Shape shape(a.shape().begin(), a.shape().end() - 2);
  shape.push_back(count);
  return {shape, a.dtype()};
}

}  // namespace

// --- inverses: dY = -Y dA Y

ArraySpec Inverse::infer(const Params&, std::span<const array> in) { return like_first(in); }
std::vector<Maybe> Inverse::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  const array& y = c.out[0];
  return {-matmul(y, matmul(masked(*t[0], c.params.as<P>().part), y))};
}
std::vector<Maybe> Inverse::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  array y = turned(c.out[0]);
  return {masked(-matmul(y, matmul(*g[0], y)), c.params.as<P>().part)};
}

// --- solutions: A dX = dB - dA X

ArraySpec Solve::infer(const Params&, std::span<const array> in) { return solution(in); }
std::vector<Maybe> Solve::jvp(const Call& c, std::span<const Maybe> t) {
  Maybe right = t[1];
  if (t[0]) {
    array moved = matmul(*t[0], c.out[0]);
    right = right ? *right - moved : -moved;
  }
  if (!right) return {Maybe{}};
  return {record(op_of<Solve>, {}, {c.in[0], *right}, {})};
}
std::vector<Maybe> Solve::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}, Maybe{}};
  array b = record(op_of<Solve>, {}, {turned(c.in[0]), *g[0]}, {});
  return {sum_to(-matmul(b, turned(c.out[0])), c.in[0].shape()), sum_to(b, c.in[1].shape())};
}

ArraySpec SolveTriangular::infer(const Params&, std::span<const array> in) { return solution(in); }
namespace {
// What of a tangent or cotangent of a triangular matrix counts.
array counting(const array& m, const SolveTriangular::P& p) {
  return p.upper ? triu(m, p.unit ? 1 : 0) : tril(m, p.unit ? -1 : 0);
}
}  // namespace
std::vector<Maybe> SolveTriangular::jvp(const Call& c, std::span<const Maybe> t) {
  const auto& p = c.params.as<P>();
  Maybe right = t[1];
  if (t[0]) {
    array moved = matmul(counting(*t[0], p), c.out[0]);
    right = right ? *right - moved : -moved;
  }
  if (!right) return {Maybe{}};
  return {triangular(c.in[0], *right, p.upper, p.unit)};
}
std::vector<Maybe> SolveTriangular::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}, Maybe{}};
  const auto& p = c.params.as<P>();
  array b = triangular(turned(c.in[0]), *g[0], !p.upper, p.unit);
  array a = counting(-matmul(b, turned(c.out[0])), p);
  return {sum_to(a, c.in[0].shape()), sum_to(b, c.in[1].shape())};
}

// --- Cholesky: dL = L half_lower(L^-1 dA L^-H). Murray, "Differentiation of the Cholesky
// decomposition" (2016)

ArraySpec Cholesky::infer(const Params&, std::span<const array> in) { return like_first(in); }
std::vector<Maybe> Cholesky::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  bool upper = c.params.as<P>().upper;
  array l = upper ? adjoint(c.out[0]) : c.out[0];
  array left = triangular(l, hermitian(*t[0], upper), false);
  array dl = matmul(l, half_lower(triangular(l, adjoint(left), false)));
  return {upper ? adjoint(dl) : dl};
}
std::vector<Maybe> Cholesky::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  bool upper = c.params.as<P>().upper;
  array l = upper ? adjoint(c.out[0]) : c.out[0], lh = adjoint(l);
  array gl = upper ? turned(*g[0]) : conjugate(*g[0]);
  array middle = half_lower(matmul(lh, tril(gl)));
  array left = triangular(lh, middle, true);
  array whole = adjoint(triangular(lh, adjoint(left), true));
  return {conjugate(triangle_of(whole, upper))};
}

// --- LU: with M = L^-1 dA U^-1, dL = L tril(M, -1) and dU = triu(M) U. Rows below the square:
// Z = dA U^-1, dL = Z - L triu(M).

ArraySpec LuFactor::infer(const Params&, std::span<const array> in) {
  int64_t m = in[0].shape(-2), n = in[0].shape(-1);
  return packed_spec(in[0], m * n + m + n);
}
namespace {
struct Lu {
  int64_t m = 0, n = 0;
  array factors, order;  // (M, N), (M,) as indices
  array l() const { return tril(factors, -1) + eye(int(m), int(n), 0, factors.dtype()); }
  array u() const { return triu(square()); }
  array square() const { return rows_of(factors, 0, n); }
  Lu(const array& a, const array& packed)
      : m(a.shape(-2)), n(a.shape(-1)), factors(packed), order(packed) {
    int64_t at = 0;
    factors = unpacked(packed, at, m, n);
    order = astype(real_part(stop_gradient(unpacked(packed, at, m))), int64);
  }
};
array in_order(const array& m, const array& order) {
  return take_along_axis(m, expand_dims(order, -1), -2);
}
}  // namespace
std::vector<Maybe> LuFactor::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  Lu lu(c.in[0], c.out[0]);
  array z = turned(triangular(turned(lu.square()), turned(in_order(*t[0], lu.order)), false));
  array top = triu(triangular(lu.square(), rows_of(z, 0, lu.n), false, true));
  array dl = tril(z - matmul(lu.l(), top), -1);
  array factors = dl + with_size(triu(matmul(top, lu.u())), lu.m, lu.n);
  Shape rest(t[0]->shape().begin(), t[0]->shape().end() - 2);
  size_t lead = rest.size();
  rest.push_back(lu.m + lu.n);
  return {packed_of({factors, zeros(rest, factors.dtype())}, lead)};
}
std::vector<Maybe> LuFactor::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  Lu lu(c.in[0], c.out[0]);
  int64_t at = 0;
  array both = unpacked(*g[0], at, lu.m, lu.n);
  array gl = tril(both, -1), gu = triu(rows_of(both, 0, lu.n));
  array top = triu(matmul(gu, turned(lu.u())) - matmul(turned(lu.l()), gl));
  array z = gl + with_size(triangular(turned(lu.square()), top, true, true), lu.m, lu.n);
  array ordered = turned(triangular(lu.square(), turned(z), true));
  return {in_order(ordered, astype(argsort(lu.order, -1), int64))};
}

// --- QR: Walter and Lehmann, "Algorithmic differentiation of linear algebra functions with
// application in optimum experimental design" (2010)

ArraySpec Qr::infer(const Params&, std::span<const array> in) {
  int64_t m = in[0].shape(-2), n = in[0].shape(-1);
  return packed_spec(in[0], m * n + n * n);
}
std::vector<Maybe> Qr::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  int64_t m = c.in[0].shape(-2), n = c.in[0].shape(-1), at = 0;
  array q = unpacked(c.out[0], at, m, n), r = unpacked(c.out[0], at, n, n);
  array z = turned(triangular(turned(r), turned(*t[0]), false));  // dA R^-1
  array inside = matmul(adjoint(q), z), below = tril(inside, -1);
  array turn = below - adjoint(below);
  if (q.dtype() == complex64) {
    array d = diagonal_of(inside);
    turn = turn + diagonal_matrix(d - real_part(d));  // R's diagonal stays real
  }
  array dq = z + matmul(q, turn - inside), dr = triu(matmul(inside - turn, r));
  return {packed_of({dq, dr}, t[0]->ndim() - 2)};
}
std::vector<Maybe> Qr::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  int64_t m = c.in[0].shape(-2), n = c.in[0].shape(-1), at = 0;
  array q = unpacked(c.out[0], at, m, n), r = unpacked(c.out[0], at, n, n);
  at = 0;
  array gq = conjugate(unpacked(*g[0], at, m, n)), gr = conjugate(unpacked(*g[0], at, n, n));
  array middle = matmul(triu(gr), adjoint(r)) - matmul(adjoint(q), gq);
  // Whole from its upper triangle, the diagonal real.
  array whole = gq + matmul(q, hermitian(middle, true));
  return {conjugate(adjoint(triangular(r, adjoint(whole), true)))};
}

// --- exp: the derivative in direction E is the upper right block of exp([[A, E], [0, A]]).
// Al-Mohy and Higham, "Computing the Frechet derivative of the matrix exponential" (2009)

ArraySpec MatrixExp::infer(const Params&, std::span<const array> in) { return like_first(in); }
namespace {
array along(const array& a, const array& direction) {
  int64_t n = a.shape(-1);
  array above = concatenate({a, direction}, -1);
  array below = concatenate({zeros_like(a), a}, -1);
  array e = record(op_of<MatrixExp>, {}, {concatenate({above, below}, -2)}, {});
  return columns_of(rows_of(e, 0, n), n, 2 * n);
}
}  // namespace
std::vector<Maybe> MatrixExp::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  return {along(c.in[0], *t[0])};
}
std::vector<Maybe> MatrixExp::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  return {along(turned(c.in[0]), *g[0])};
}

}  // namespace tarn::ops
