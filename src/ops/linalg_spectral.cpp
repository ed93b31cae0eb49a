// What singular values, eigenvalues and pseudo-inverses are, and their derivatives. Cotangents pair
// without conjugation, so adjoints are taken of the conjugate cotangent.
#include <algorithm>

#include "ops/linalg.h"

namespace tarn::ops {
namespace {

ArraySpec packed_spec(const array& a, int64_t count, Dtype t) {
  Shape shape(a.shape().begin(), a.shape().end() - 2);
  shape.push_back(count);
  return {shape, t};
}
array cast(const array& x, Dtype t) { return astype(x, t); }
// x / gap off the diagonal and outside a corner of columns without a value, where nothing turns.
array over_gaps(const array& x, const array& gap, int64_t valued) {
  int n = static_cast<int>(x.shape(-1));
  array turns = logical_not(eye(n, bool_));
  if (valued < n) {
    array i = arange(n), bound = array(static_cast<int>(valued));
    turns = logical_and(turns, logical_or(i < bound, expand_dims(i, -1) < bound));
  }
  return ratio(where(turns, x, constant(x, 0)), gap);
}
array differences(const array& v) { return expand_dims(v, -2) - expand_dims(v, -1); }

}  // namespace

// --- A = V diag(w) V^H: with P = V^H dA V, dw = diag P and dV = V (P_ij / (w_j - w_i)).
// Giles (2008); Seeger et al., "Auto-differentiating linear algebra" (2017)

ArraySpec Eigh::infer(const Params& params, std::span<const array> in) {
  int64_t n = in[0].shape(-1);
  if (params.as<P>().vectors) return packed_spec(in[0], n + n * n, in[0].dtype());
  return packed_spec(in[0], n, real_of(in[0].dtype()));
}
namespace {
struct Spectrum {
  int64_t n = 0;
  bool upper = false, vectors = false;
  array w, v;
  explicit Spectrum(const Call& c) : n(c.in[0].shape(-1)) {
    const auto& p = c.params.as<Eigh::P>();
    upper = p.upper, vectors = p.vectors;
    array all = vectors ? c.out[0] : record(op_of<Eigh>, Eigh::P{upper, true}, {c.in[0]}, {});
    int64_t at = 0;
    w = real_part(unpacked(all, at, n));
    v = unpacked(all, at, n, n);
  }
};
}  // namespace
std::vector<Maybe> Eigh::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  Spectrum s(c);
  array moved = matmul(hermitian(*t[0], s.upper), s.v);
  if (!s.vectors) return {real_part(sum(conjugate(s.v) * moved, -2))};
  array p = matmul(adjoint(s.v), moved);
  array dw = cast(real_part(diagonal_of(p)), p.dtype());
  return {packed_of({dw, matmul(s.v, over_gaps(p, differences(s.w), s.n))}, t[0]->ndim() - 2)};
}
std::vector<Maybe> Eigh::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  Spectrum s(c);
  int64_t at = 0;
  array gw = real_part(unpacked(*g[0], at, s.n)), vh = adjoint(s.v);
  array inside = times_columns(s.v, gw);
  if (s.vectors) {
    array gv = conjugate(unpacked(*g[0], at, s.n, s.n));
    inside = inside + matmul(s.v, over_gaps(matmul(vh, gv), differences(s.w), s.n));
  }
  return {conjugate(triangle_of(matmul(inside, vh), s.upper))};
}

// --- A V = V diag(w): with P = V^-1 dA V, dw = diag P; dV = V C with C_ij = P_ij / (w_j - w_i),
// less what would change a column's length or phase. Boeddeker et al. (2017)

ArraySpec Eig::infer(const Params& params, std::span<const array> in) {
  int64_t n = in[0].shape(-1);
  return packed_spec(in[0], params.as<P>().vectors ? n + n * n : n, complex64);
}
namespace {
struct GeneralSpectrum {
  int64_t n = 0;
  bool vectors = false;
  array w, v;
  explicit GeneralSpectrum(const Call& c) : n(c.in[0].shape(-1)) {
    vectors = c.params.as<Eig::P>().vectors;
    array all = vectors ? c.out[0] : record(op_of<Eig>, Eig::P{true}, {c.in[0]}, {});
    int64_t at = 0;
    w = unpacked(all, at, n);
    v = unpacked(all, at, n, n);
  }
};
array solved(const array& a, const array& b) { return record(op_of<Solve>, {}, {a, b}, {}); }
}  // namespace
std::vector<Maybe> Eig::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  GeneralSpectrum s(c);
  array p = solved(s.v, matmul(cast(*t[0], complex64), s.v));
  array dw = diagonal_of(p);
  if (!s.vectors) return {dw};
  array dv = matmul(s.v, over_gaps(p, differences(s.w), s.n));
  array along = sum(conjugate(s.v) * dv, -2);
  return {packed_of({dw, dv - times_columns(s.v, along)}, t[0]->ndim() - 2)};
}
std::vector<Maybe> Eig::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  GeneralSpectrum s(c);
  int64_t at = 0;
  array inside = diagonal_matrix(conjugate(unpacked(*g[0], at, s.n))), vh = adjoint(s.v);
  if (s.vectors) {
    array gv = conjugate(unpacked(*g[0], at, s.n, s.n));
    gv = gv - times_columns(s.v, sum(conjugate(s.v) * gv, -2));
    inside = inside + over_gaps(matmul(vh, gv), conjugate(differences(s.w)), s.n);
  }
  array whole = conjugate(matmul(solved(vh, inside), vh));
  return {cast(whole, c.in[0].dtype())};
}

// --- A = U diag(s) V^H: with P = U^H dA V, ds = diag P, dU = U X and dV = V Y, where
// X_ij = (P S^T + S P^H)_ij / (s_j^2 - s_i^2) and Y alike of A^H. Columns without a value have
// s = 0. Townsend, "Differentiating the singular value decomposition" (2016)

ArraySpec Svd::infer(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  int64_t m = in[0].shape(-2), n = in[0].shape(-1), k = std::min(m, n);
  if (!p.vectors) return packed_spec(in[0], k, real_of(in[0].dtype()));
  return packed_spec(in[0], p.full ? m * m + k + n * n : m * k + k + k * n, in[0].dtype());
}
namespace {
struct Singular {
  int64_t m = 0, n = 0, k = 0, left = 0, right = 0;  // left, right: columns of U and V
  bool vectors = false;
  array u, s, v;
  explicit Singular(const Call& c) : m(c.in[0].shape(-2)), n(c.in[0].shape(-1)) {
    auto p = c.params.as<Svd::P>();
    k = std::min(m, n), vectors = p.vectors;
    p.full = p.full && vectors;
    array all = vectors ? c.out[0] : record(op_of<Svd>, Svd::P{true, false}, {c.in[0]}, {});
    left = p.full ? m : k, right = p.full ? n : k;
    int64_t at = 0;
    u = unpacked(all, at, m, left);
    s = real_part(unpacked(all, at, k));
    v = adjoint(unpacked(all, at, right, n));
  }
  // x (rows x left or right) times S or S^T: columns scaled, then cut or filled up.
  array scaled(const array& x, int64_t columns) const {
    return with_size(times_columns(columns_of(x, 0, k), s), x.shape(-2), columns);
  }
  // s_j^2 - s_i^2 for `size` columns.
  array gaps(int64_t size) const {
    array long_s = s;
    if (size > k) {
      Shape rest = s.shape();
      rest.back() = size - k;
      long_s = concatenate({s, zeros(rest, s.dtype())}, -1);
    }
    return differences(long_s) * (expand_dims(long_s, -2) + expand_dims(long_s, -1));
  }
  // i times the imaginary part of the diagonal, over s: by how much phases turn.
  array phases(const array& x, int64_t size) const {
    array d = diagonal_of(columns_of(rows_of(x, 0, k), 0, k));
    return with_size(diagonal_matrix(ratio(d - cast(real_part(d), d.dtype()), s)), size, size);
  }
};
// What x has outside the columns of an orthonormal u.
array outside(const array& u, const array& x) { return x - matmul(u, matmul(adjoint(u), x)); }
array over_columns(const array& x, const array& s) { return ratio(x, expand_dims(s, -2)); }
}  // namespace
std::vector<Maybe> Svd::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  Singular d(c);
  array moved = matmul(*t[0], d.v);
  if (!d.vectors) return {real_part(sum(conjugate(d.u) * moved, -2))};
  array p = matmul(adjoint(d.u), moved), ph = adjoint(p);
  array ps = d.scaled(p, d.left), pv = d.scaled(ph, d.right);
  array x = over_gaps(ps + adjoint(ps), d.gaps(d.left), d.k);
  array y = over_gaps(pv + adjoint(pv), d.gaps(d.right), d.k);
  if (p.dtype() == complex64) x = x + d.phases(p, d.left);
  array du = matmul(d.u, x), dv = matmul(d.v, y);
  if (d.left < d.m) du = du + over_columns(outside(d.u, moved), d.s);
  if (d.right < d.n) dv = dv + over_columns(outside(d.v, matmul(adjoint(*t[0]), d.u)), d.s);
  array ds = cast(real_part(diagonal_of(p)), p.dtype());
  return {packed_of({du, ds, adjoint(dv)}, t[0]->ndim() - 2)};
}
std::vector<Maybe> Svd::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  Singular d(c);
  array vh = adjoint(d.v);
  if (!d.vectors) return {conjugate(matmul(times_columns(d.u, *g[0]), vh))};
  int64_t at = 0;
  array gu = conjugate(unpacked(*g[0], at, d.m, d.left));
  array gs = real_part(unpacked(*g[0], at, d.k));
  array gv = turned(unpacked(*g[0], at, d.right, d.n));
  array in_u = matmul(adjoint(d.u), gu), x = over_gaps(in_u, d.gaps(d.left), d.k);
  array y = over_gaps(matmul(vh, gv), d.gaps(d.right), d.k);
  array p = d.scaled(x + adjoint(x), d.right) + adjoint(d.scaled(y + adjoint(y), d.left));
  p = p + with_size(diagonal_matrix(gs), d.left, d.right);
  if (p.dtype() == complex64)
    p = p + with_size(columns_of(rows_of(d.phases(in_u, d.left), 0, d.k), 0, d.k), d.left, d.right);
  array whole = matmul(d.u, matmul(p, vh));
  if (d.left < d.m) whole = whole + matmul(over_columns(outside(d.u, gu), d.s), vh);
  if (d.right < d.n) whole = whole + matmul(d.u, adjoint(over_columns(outside(d.v, gv), d.s)));
  return {conjugate(whole)};
}

// --- Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
// problems whose variables separate" (1973): with Y = A^+,
// dY = -Y dA Y + Y Y^H dA^H (1 - A Y) + (1 - Y A) dA^H Y^H Y.

ArraySpec PseudoInverse::infer(const Params&, std::span<const array> in) {
  Shape shape = in[0].shape();
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return {shape, in[0].dtype()};
}
std::vector<Maybe> PseudoInverse::jvp(const Call& c, std::span<const Maybe> t) {
  if (!t[0]) return {Maybe{}};
  const array &a = c.in[0], &y = c.out[0];
  array th = adjoint(*t[0]), yh = adjoint(y);
  array right = matmul(matmul(y, yh), th), left = matmul(matmul(th, yh), y);
  return {right - matmul(matmul(right, a), y) + left - matmul(y, matmul(a, left)) -
          matmul(y, matmul(*t[0], y))};
}
std::vector<Maybe> PseudoInverse::vjp(const Call& c, std::span<const Maybe> g) {
  if (!g[0]) return {Maybe{}};
  const array &a = c.in[0], &y = c.out[0];
  array gy = conjugate(*g[0]), gh = turned(*g[0]), yh = adjoint(y);
  array left = matmul(gh, matmul(y, yh)), right = matmul(matmul(yh, y), gh);
  return {conjugate(left - matmul(a, matmul(y, left)) + right - matmul(matmul(right, y), a) -
                    matmul(yh, matmul(gy, yh)))};
}

}  // namespace tarn::ops
