// Linear algebra by name. Included by mlx_calls.h. What is unique up to signs, phases or order
// comes back as what it multiplies to.
#pragma once

namespace tarn::mlx_test {

inline array without_phase(const array& left, const array& values, const array& right) {
  int64_t k = values.shape(-1);
  Shape whole = left.shape(), rest = right.shape(), none(whole.size(), 0), also(rest.size(), 0);
  whole.back() = k, rest[rest.size() - 2] = k;
  array scaled = slice(left, none, whole) * astype(expand_dims(values, -2), left.dtype());
  return matmul(scaled, slice(right, also, rest));
}
inline array adjoint(const array& m) { return conjugate(swapaxes(m, -1, -2)); }
inline Arrays norms(const Case& c) {
  std::optional<std::vector<int>> axes;
  if (c.has("axes")) axes = c.list("axes");
  bool keep = c.flag("keepdims");
  if (!c.has("ord")) return {linalg::norm(c[0], axes, keep)};
  if (c.args["ord"].is_number()) return {linalg::norm(c[0], c.real("ord"), axes, keep)};
  std::string word = c.word("ord");
  if (word == "inf" || word == "-inf") return {linalg::norm(c[0], std::stod(word), axes, keep)};
  return {linalg::norm(c[0], word, axes, keep)};
}

inline void add_linalg(Calls& calls) {
  namespace la = linalg;
#define TARN_MATRIX(op) calls["linalg_" #op] = [](const Case& c) { return Arrays{la::op(c[0])}; };
  TARN_MATRIX(inv)
  TARN_MATRIX(pinv)
  TARN_MATRIX(det)
#undef TARN_MATRIX
#define TARN_TRIANGLE(op) \
  calls["linalg_" #op] = [](const Case& c) { return Arrays{la::op(c[0], c.flag("upper"))}; };
  TARN_TRIANGLE(tri_inv)
  TARN_TRIANGLE(cholesky)
  TARN_TRIANGLE(cholesky_inv)
#undef TARN_TRIANGLE
  calls["linalg_norm"] = norms;
  calls["linalg_slogdet"] = [](const Case& c) {
    auto [sign, size] = la::slogdet(c[0]);
    return Arrays{sign, size};
  };
  calls["linalg_qr"] = [](const Case& c) {
    auto [q, r] = la::qr(c[0]);
    return Arrays{matmul(q, r), abs(q), abs(r)};
  };
  calls["linalg_svd"] = [](const Case& c) {
    auto p = la::svd(c[0]);
    return Arrays{without_phase(p[0], p[1], p[2]), p[1],
                  array(1, p[1].dtype()) + matmul(p[0], adjoint(p[0])),
                  array(1, p[1].dtype()) + matmul(p[2], adjoint(p[2]))};
  };
  calls["linalg_svd_values"] = [](const Case& c) { return la::svd(c[0], false); };
  calls["linalg_lu"] = [](const Case& c) { return la::lu(c[0]); };
  calls["linalg_lu_factor"] = [](const Case& c) {
    auto [factors, pivots] = la::lu_factor(c[0]);
    return Arrays{factors, pivots};
  };
  calls["linalg_solve"] = [](const Case& c) { return Arrays{la::solve(c[0], c[1])}; };
  calls["linalg_solve_triangular"] = [](const Case& c) {
    return Arrays{la::solve_triangular(c[0], c[1], c.flag("upper"))};
  };
  calls["linalg_cross"] = [](const Case& c) {
    return Arrays{la::cross(c[0], c[1], c.number("axis", -1))};
  };
  calls["linalg_eigh"] = [](const Case& c) {
    auto [w, v] = la::eigh(c[0], c.word("uplo", "L"));
    return Arrays{w, without_phase(v, w, adjoint(v))};
  };
  calls["linalg_eigvalsh"] = [](const Case& c) {
    return Arrays{la::eigvalsh(c[0], c.word("uplo", "L"))};
  };
  calls["linalg_eig"] = [](const Case& c) {
    auto [w, v] = la::eig(c[0]);
    return Arrays{sort(real(w), -1), matmul(v * expand_dims(w, -2), la::inv(v))};
  };
  calls["linalg_eigvals"] = [](const Case& c) { return Arrays{sort(real(la::eigvals(c[0])), -1)}; };
}

}  // namespace tarn::mlx_test
