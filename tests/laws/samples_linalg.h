// Samples of decompositions. Included by samples.h. Singular and eigenvalues lie apart, and no two
// elements of a vector are of one size: what is compared is unique.
#pragma once

namespace tarn::laws {

inline const std::vector<Dtype> decomposed{float32, float64, complex64};

// Mixed numbers with `ahead` + i * `apart` added at (i, i).
inline array matrices(const Shape& shape, Dtype t, double ahead, double apart = 0, int seed = 0) {
  int rows = static_cast<int>(shape[shape.size() - 2]), columns = static_cast<int>(shape.back());
  array d = eye(rows, columns, 0, float64) *
            (array(ahead, float64) + arange(0.0, double(columns), float64) * array(apart, float64));
  array m = numbers(shape, t, -1, 1, seed) + astype(d, t);
  m.eval();
  return m;
}
inline std::string label(const Shape& shape) { return fmt::format("({})", joined(shape, ",")); }
inline Sample of_matrix(const Shape& shape, const Params& p, const array& a, const char* how = "") {
  return {label(shape) + how, p, {a}, {0}, {}, true};
}

inline std::vector<Sample> inverses(Dtype t) {
  using P = ops::Inverse::P;
  std::vector<Sample> out;
  for (auto shape : std::vector<Shape>{{3, 3}, {2, 4, 4}, {1, 1}, {0, 0}, {0, 2, 2}})
    for (auto part : {ops::Triangle::none, ops::Triangle::lower, ops::Triangle::upper})
      out.push_back(of_matrix(shape, P{part}, matrices(shape, t, 3)));
  out.push_back(of_matrix({5, 5}, P{}, flip(matrices({5, 5}, t, 3), 0), " turned over"));
  return out;
}
inline std::vector<Sample> solutions(Dtype t, const std::vector<Params>& how) {
  std::vector<Sample> out;
  for (const auto& p : how)
    for (auto [a, b] : std::vector<std::pair<Shape, Shape>>{{{3, 3}, {3, 2}},
                                                            {{2, 4, 4}, {2, 4, 3}},
                                                            {{3, 3}, {2, 3, 1}},
                                                            {{2, 1, 2, 2}, {3, 2, 2}},
                                                            {{1, 1}, {1, 1}},
                                                            {{0, 0}, {0, 2}},
                                                            {{2, 2}, {2, 0}}})
      out.push_back(
          {label(a) + label(b), p, {matrices(a, t, 3), numbers(b, t, -1, 1, 1)}, {0, 1}, {}, true});
  return out;
}
inline std::vector<Sample> roots(Dtype t) {
  std::vector<Sample> out;
  for (bool upper : {false, true})
    for (auto shape : std::vector<Shape>{{3, 3}, {2, 5, 5}, {1, 1}, {0, 0}})
      out.push_back(
          of_matrix(shape, ops::Cholesky::P{upper}, matrices(shape, t, 5), upper ? " upper" : ""));
  return out;
}
inline std::vector<Sample> of_tall(Dtype t, double ahead) {
  std::vector<Sample> out;
  for (auto shape : std::vector<Shape>{{3, 3}, {5, 3}, {2, 4, 2}, {1, 1}, {3, 1}, {0, 0}, {3, 0}})
    out.push_back(of_matrix(shape, {}, flip(matrices(shape, t, ahead), -2)));
  return out;
}
inline std::vector<Sample> singulars(Dtype t) {
  using P = ops::Svd::P;
  std::vector<Sample> out;
  for (auto p : {P{true, true}, P{true, false}, P{false, false}})
    for (auto shape : std::vector<Shape>{{3, 3}, {4, 3}, {3, 4}, {2, 2, 3}, {1, 1}, {0, 0}})
      out.push_back(of_matrix(shape, p, matrices(shape, t, 1, 2),
                              p.full      ? " full"
                              : p.vectors ? " thin"
                                          : " values"));
  for (auto shape : std::vector<Shape>{{5, 2}, {2, 5}})
    out.push_back(of_matrix(shape, P{true, false}, matrices(shape, t, 1, 2), " thin"));
  return out;
}
inline std::vector<Sample> pseudo_inverses(Dtype t) {
  std::vector<Sample> out;
  for (auto shape : std::vector<Shape>{{3, 3}, {4, 2}, {2, 4}, {2, 3, 2}, {1, 1}, {0, 3}})
    out.push_back(of_matrix(shape, {}, matrices(shape, t, 2)));
  // Equal singular values: the inverse has a derivative there.
  out.push_back(of_matrix({3, 3}, {}, astype(eye(3), t), " identity"));
  return out;
}
inline std::vector<Sample> spectra(Dtype t) {
  std::vector<Sample> out;
  for (bool vectors : {true, false})
    for (bool upper : {false, true})
      for (auto shape : std::vector<Shape>{{3, 3}, {2, 4, 4}, {1, 1}, {0, 0}})
        out.push_back(of_matrix(shape, ops::Eigh::P{upper, vectors}, matrices(shape, t, 0, 3),
                                vectors ? "" : " values"));
  return out;
}
// Results are complex64, too short for differences: tests/ops/linalg_test.cpp looks at derivatives.
inline std::vector<Sample> general_spectra(Dtype t) {
  std::vector<Sample> out;
  for (bool vectors : {true, false})
    for (auto shape : std::vector<Shape>{{3, 3}, {2, 4, 4}, {1, 1}, {0, 0}}) {
      auto s = of_matrix(shape, ops::Eig::P{vectors}, matrices(shape, t, 0, 3));
      s.smooth.clear();
      out.push_back(s);
    }
  return out;
}
inline std::vector<Sample> exponentials(Dtype t) {
  std::vector<Sample> out;
  for (auto shape : std::vector<Shape>{{3, 3}, {2, 2, 2}, {1, 1}, {0, 0}})
    out.push_back(of_matrix(shape, {}, matrices(shape, t, 0)));
  out.push_back(of_matrix({2, 2}, {}, matrices({2, 2}, t, -7), " halved"));
  return out;
}

inline void add_decompositions(Table& t) {
  t["inv"] = {decomposed, inverses, 1e-5};
  t["solve"] = {decomposed, [](Dtype d) { return solutions(d, {Params()}); }, 1e-5};
  t["solve_triangular"] = {
      decomposed,
      [](Dtype d) {
        using P = ops::SolveTriangular::P;
        return solutions(d, {P{false, false}, P{true, false}, P{false, true}, P{true, true}});
      },
      1e-5};
  t["cholesky"] = {decomposed, roots, 1e-5};
  t["lu_factor"] = {decomposed, [](Dtype d) { return of_tall(d, 3); }, 1e-5};
  t["qr"] = {decomposed, [](Dtype d) { return of_tall(d, 2); }, 1e-5};
  t["svd"] = {decomposed, singulars, 1e-5};
  t["pinv"] = {decomposed, pseudo_inverses, 1e-5};
  t["eigh"] = {decomposed, spectra, 1e-5};
  t["eig"] = {decomposed, general_spectra, 1e-5};
  t["matrix_exp"] = {decomposed, exponentials, 1e-5};
}

}  // namespace tarn::laws
