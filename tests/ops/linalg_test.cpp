// Linear algebra by its public functions: identities, derivatives, limits and messages.
#include "tarn/linalg.h"

#include <gtest/gtest.h>

#include <cmath>

#include "error_of.h"
#include "laws/compare.h"

namespace tarn::laws {
namespace {

using tarn_test::error_of;

namespace la = linalg;
using Function = std::function<array(const array&)>;

array spd(const Shape& shape, Dtype t) {
  array m = matrices(shape, t, 1);
  return matmul(m, conjugate(swapaxes(m, -1, -2))) + astype(eye(int(shape.back())), t);
}
array hermitian(const array& m) { return m + conjugate(swapaxes(m, -1, -2)); }
array difference(const Function& f, const array& x, const array& t, double h) {
  array step = constant(x, h);
  array by = f(x + t * step) - f(x - t * step);
  return by * constant(by, 0.5 / h);
}
// Re of the sum of conj(a) b: how cotangents and tangents pair.
double paired(const array& a, const array& b) {
  return sum(astype(astype(conjugate(a) * b,
                           a.dtype() == complex64 || b.dtype() == complex64 ? float32 : a.dtype()),
                    float64))
      .item<double>();
}

TEST(Linalg, FactorsMultiplyToTheMatrix) {
  for (Dtype t : decomposed)
    for (auto shape : std::vector<Shape>{{3, 3}, {5, 3}, {3, 5}, {2, 3, 4, 2}, {1, 4}, {0, 3}}) {
      SCOPED_TRACE(name_of(t) + text(shape));
      array a = flip(matrices(shape, t, 1), -2);
      double near = t == float64 ? 1e-12 : 2e-5;
      auto [q, r] = la::qr(a);
      EXPECT_TRUE(close(matmul(q, r), a, near, near));
      EXPECT_TRUE(close(triu(r), r, 0));
      auto parts = la::lu(a);
      if (a.size() > 0) {
        array l = take_along_axis(parts[1], expand_dims(astype(parts[0], int64), -1), -2);
        EXPECT_TRUE(close(matmul(l, parts[2]), a, near, near));
      }
      auto usv = la::svd(a);
      int64_t k = std::min(a.shape(-1), a.shape(-2));
      array s = astype(usv[1], t);
      array thin = ops::columns_of(usv[0], 0, k) * expand_dims(s, -2);
      EXPECT_TRUE(close(matmul(thin, ops::rows_of(usv[2], 0, k)), a, near, near));
      EXPECT_TRUE(close(la::svd(a, false)[0], usv[1], near, near));
      array p = la::pinv(a);
      EXPECT_TRUE(close(matmul(a, matmul(p, a)), a, near, near));
    }
}

TEST(Linalg, SquareMatrices) {
  for (Dtype t : decomposed)
    for (auto shape : std::vector<Shape>{{4, 4}, {2, 3, 3}, {1, 1}, {40, 40}}) {
      SCOPED_TRACE(name_of(t) + text(shape));
      double near = t == float64 ? 1e-11 : 5e-4;
      array a = flip(matrices(shape, t, 6), -1),
            one = broadcast_to(astype(eye(int(shape.back())), t), shape);
      EXPECT_TRUE(close(matmul(a, la::inv(a)), one, near, near));
      EXPECT_TRUE(close(matmul(a, la::solve(a, a)), a, near, near));
      array p = spd(shape, t), l = la::cholesky(p), u = la::cholesky(p, true);
      EXPECT_TRUE(close(matmul(l, conjugate(swapaxes(l, -1, -2))), p, near, near));
      EXPECT_TRUE(close(conjugate(swapaxes(l, -1, -2)), u, near, near));
      EXPECT_TRUE(close(matmul(la::cholesky_inv(l), p), one, near, near));
      EXPECT_TRUE(close(matmul(la::cholesky_inv(u, true), p), one, near, near));
      EXPECT_TRUE(close(matmul(la::tri_inv(l), l), one, near, near));
      EXPECT_TRUE(close(la::solve_triangular(u, matmul(u, a), true), a, near, near));
      for (std::string uplo : {"L", "U"}) {
        array h = hermitian(matrices(shape, t, 0, 1));
        auto [w, v] = la::eigh(uplo == "L" ? tril(h) : triu(h), uplo);
        EXPECT_TRUE(close(matmul(h, v), v * astype(expand_dims(w, -2), t), near, near));
        EXPECT_TRUE(close(la::eigvalsh(h, uplo), w, near, near));
      }
      auto [w, v] = la::eig(a);
      EXPECT_TRUE(close(matmul(astype(a, complex64), v), v * expand_dims(w, -2), 5e-4, 5e-4));
      EXPECT_TRUE(close(la::eigvals(a), w, 5e-4, 5e-4));
      auto [sign, size] = la::slogdet(a);
      if (shape.back() < 40) {
        EXPECT_TRUE(close(sign * astype(exp(size), t), la::det(a), near));
      }
      array b = a * array(0.05, t == complex64 ? float32 : t);
      EXPECT_TRUE(close(matmul(la::matrix_exp(b), la::matrix_exp(negative(b))), one, near, near));
    }
}

// --- derivatives of what is put together from ops, in float64 against differences, twice

struct Named {
  const char* name;
  Function f;
  array x;
};
std::vector<Named> functions() {
  array square = matrices({3, 3}, float64, 3), wide = matrices({2, 4}, float64, 2, 0.3, 1);
  array tall = matrices({2, 4, 3}, float64, 2), positive = spd({3, 3}, float64);
  array v = numbers({2, 3}, float64, -2, 2);
  auto packed = [](const std::vector<array>& parts) {
    std::vector<array> flat;
    for (const auto& p : parts) flat.push_back(flatten(p));
    return concatenate(flat, 0);
  };
  std::vector<Named> out{
      {"det", [](const array& a) { return la::det(a); }, square},
      {"det of a batch", [](const array& a) { return la::det(a); },
       flip(matrices({2, 3, 3}, float64, 2), -2)},
      {"slogdet", [](const array& a) { return la::slogdet(a).second; }, negative(square)},
      {"inv", [](const array& a) { return la::inv(a); }, square},
      {"solve", [v](const array& a) { return la::solve(a, swapaxes(v, 0, 1)); }, square},
      {"cholesky", [](const array& a) { return la::cholesky(a); }, positive},
      {"cholesky_inv", [](const array& a) { return la::cholesky_inv(a, true); }, square},
      {"eigh",
       [packed](const array& a) {
         auto [w, u] = la::eigh(a, "U");
         return packed({w, u});
       },
       matrices({3, 3}, float64, 0, 3)},
      {"qr wide",
       [packed](const array& a) {
         auto [q, r] = la::qr(a);
         return packed({q, r});
       },
       wide},
      {"lu wide",
       [packed](const array& a) {
         auto p = la::lu(a);
         return packed({p[1], p[2]});
       },
       wide},
      {"lu_factor", [](const array& a) { return la::lu_factor(a).first; }, tall},
      {"svd", [packed](const array& a) { return packed(la::svd(a)); }, tall},
      {"svd of few", [](const array& a) { return la::svd(a, false)[0]; }, wide},
      {"pinv", [](const array& a) { return la::pinv(a); }, tall},
      {"matrix_exp", [](const array& a) { return la::matrix_exp(a); }, square},
      {"cross", [](const array& a) { return la::cross(a, a * a); }, v},
      {"norm", [](const array& a) { return la::norm(a); }, v},
      {"fro", [](const array& a) { return la::norm(a, "fro"); }, wide},
      {"nuc", [](const array& a) { return la::norm(a, "nuc"); }, wide},
  };
  double inf = INFINITY;
  for (double ord : {1.0, -1.0, 2.0, -2.0, inf, -inf})
    out.push_back({"matrix norm", [ord](const array& a) { return la::norm(a, ord); }, wide});
  for (double ord : {1.0, 2.0, 3.0, -2.0, 0.5, inf})
    out.push_back({"vector norm", [ord](const array& a) { return la::norm(a, ord, 1, true); }, v});
  return out;
}

TEST(Linalg, DerivativesAreWhatDifferencesSay) {
  for (const auto& [name, f, x] : functions()) {
    SCOPED_TRACE(name);
    array t = numbers(x.shape(), float64, -1, 1, 3);
    auto [out, pushed] = jvp(f, x, t);
    EXPECT_TRUE(close(pushed, difference(f, x, t, 1e-6), 1e-6, 1e-8));
    array g = numbers(out.shape(), float64, -1, 1, 4);
    Function slope = [&f = f, g](const array& a) { return vjp(f, a, g).second; };
    EXPECT_NEAR(paired(slope(x), t), paired(g, pushed), 1e-9 * (1 + std::abs(paired(g, pushed))));
    EXPECT_TRUE(close(jvp(slope, x, t).second, difference(slope, x, t, 1e-6), 2e-5, 1e-6));
  }
}

// A third derivative, and the order of transforms.
TEST(Linalg, DerivativesOfDerivatives) {
  array x = matrices({2, 2}, float64, 2), t = numbers({2, 2}, float64, -1, 1, 3);
  Function f = [](const array& a) { return sum(la::inv(a)); };
  Function first = [&](const array& a) { return sum(grad(f)(a) * t); };
  Function second = [&](const array& a) { return sum(grad(first)(a) * t); };
  EXPECT_TRUE(close(jvp(second, x, t).second, difference(second, x, t, 1e-6), 1e-6));
  Function det = [](const array& a) { return la::det(a); };
  array many = matrices({4, 3, 3}, float64, 3);
  array each = vmap(grad(det))(many);
  EXPECT_TRUE(
      close(each, expand_dims(expand_dims(la::det(many), -1), -1) * swapaxes(la::inv(many), -1, -2),
            1e-11));
  auto compiled = compile(
      [&](const std::vector<array>& in) { return std::vector<array>{vmap(grad(det))(in[0])}; });
  EXPECT_TRUE(close(compiled({many})[0], each, 1e-12));
  EXPECT_TRUE(close(compiled({many})[0], each, 1e-12));
}

// --- complex matrices: functions without a phase of their own

TEST(Linalg, DerivativesOfComplexMatrices) {
  std::vector<Named> all;
  array square = matrices({3, 3}, complex64, 3), tall = matrices({4, 2}, complex64, 2);
  array h = matrices({3, 3}, complex64, 0, 3);
  auto projector = [](const array& v, int64_t from, int64_t to) {
    array part = ops::columns_of(v, from, to);
    return matmul(part, conjugate(swapaxes(part, -1, -2)));
  };
  all.push_back({"inv", [](const array& a) { return la::inv(a); }, square});
  all.push_back({"solve", [=](const array& a) { return la::solve(a, square); }, square});
  all.push_back(
      {"cholesky", [](const array& a) { return la::cholesky(a); }, spd({3, 3}, complex64)});
  all.push_back(
      {"upper", [](const array& a) { return la::cholesky(a, true); }, spd({3, 3}, complex64)});
  all.push_back({"qr", [](const array& a) { return la::qr(a).first; }, tall});
  all.push_back({"r", [](const array& a) { return la::qr(a).second; }, square});
  all.push_back({"lu", [](const array& a) { return la::lu_factor(a).first; }, tall});
  all.push_back({"pinv", [](const array& a) { return la::pinv(a); }, tall});
  all.push_back({"matrix_exp", [](const array& a) { return la::matrix_exp(a); }, h * array(0.2f)});
  all.push_back({"det", [](const array& a) { return la::det(a); }, square});
  all.push_back({"slogdet", [](const array& a) { return la::slogdet(a).first; }, square});
  all.push_back({"logdet", [](const array& a) { return la::slogdet(a).second; }, square});
  all.push_back({"norm", [](const array& a) { return la::norm(a, 1.0); }, square});
  all.push_back({"nuc", [](const array& a) { return la::norm(a, "nuc"); }, tall});
  all.push_back({"eigvalsh", [](const array& a) { return la::eigvalsh(a); }, h});
  all.push_back(
      {"eigh", [=](const array& a) { return projector(la::eigh(a, "U").second, 0, 1); }, h});
  all.push_back({"u", [=](const array& a) { return projector(la::svd(a)[0], 0, 1); }, tall});
  all.push_back(
      {"outside u", [=](const array& a) { return projector(la::svd(a)[0], 2, 4); }, tall});
  all.push_back({"uv",
                 [](const array& a) {
                   auto p = la::svd(a);
                   return matmul(ops::columns_of(p[0], 0, 2), p[2]);
                 },
                 tall});
  all.push_back({"eigvals", [](const array& a) { return la::eigvals(a); }, h});
  all.push_back({"eig", [=](const array& a) { return projector(la::eig(a).second, 0, 1); }, h});
  for (const auto& [name, f, x] : all) {
    SCOPED_TRACE(name);
    array t = numbers(x.shape(), complex64, -1, 1, 3);
    auto [out, pushed] = jvp(f, x, t);
    EXPECT_TRUE(close(pushed, difference(f, x, t, 4e-3), 5e-3, 5e-3));
    array g = numbers(out.shape(), out.dtype(), -1, 1, 4);
    double want = paired(g, pushed);
    EXPECT_NEAR(paired(vjp(f, x, g).second, t), want, 2e-4 * (1 + std::abs(want)));
  }
}

TEST(Linalg, DerivativesOfEigenvaluesOfRealMatrices) {
  for (Dtype t : {float32, float64}) {
    array x = matrices({3, 3}, t, 0, 3), d = numbers({3, 3}, t, -1, 1, 3);
    for (auto f : std::vector<Function>{[](const array& a) { return la::eigvals(a); },
                                        [](const array& a) { return la::eig(a).second; },
                                        [](const array& a) { return la::eigvals(matmul(a, a)); }}) {
      auto [out, pushed] = jvp(f, x, d);
      EXPECT_TRUE(close(pushed, difference(f, x, d, 4e-3), 2e-3, 2e-3));
      array g = numbers(out.shape(), complex64, -1, 1, 4);
      array pulled = vjp(f, x, g).second;
      EXPECT_EQ(pulled.dtype(), t);
      EXPECT_NEAR(paired(pulled, d), paired(g, pushed), 1e-3);
    }
  }
  // Eigenvalues off the real axis, where a cotangent and its conjugate are not the same.
  array spiral = array({0.5, -2.0, 1.5, 0.3}, Shape{2, 2}, float64);
  array d = numbers({2, 2}, float64, -1, 1, 3), g = numbers({2}, complex64, -1, 1, 4);
  Function values = [](const array& a) { return la::eigvals(a); };
  array pushed = jvp(values, spiral, d).second, pulled = vjp(values, spiral, g).second;
  EXPECT_NEAR(paired(pulled, d), paired(g, pushed), 1e-5);
  // A rotation: i and -i.
  array turn = array({0.f, -1.f, 1.f, 0.f}, Shape{2, 2});
  EXPECT_TRUE(close(abs(la::eigvals(turn)), ones({2}, float32), 1e-6));
}

TEST(Linalg, DerivativesWhereValuesAreEqual) {
  array one = eye(3, float64), w = numbers({3, 3}, float64, -1, 1);
  EXPECT_TRUE(close(grad([](const array& a) { return sum(la::eigvalsh(a)); })(one), one, 1e-14));
  EXPECT_TRUE(close(grad([](const array& a) { return sum(la::eigh(a).first); })(one), one, 1e-14));
  EXPECT_TRUE(close(grad([](const array& a) { return la::norm(a, "nuc"); })(one), one, 1e-14));
  EXPECT_TRUE(close(jvp([](const array& a) { return la::pinv(a); }, one, w).second, -w, 1e-14));
  array zero = zeros({3}, float64);
  EXPECT_TRUE(close(grad([](const array& a) { return la::norm(a); })(zero), zero, 0));
  array turned = grad([&](const array& a) { return sum(la::eigh(a).second * w); })(one);
  EXPECT_FALSE(all(isfinite(turned)).item<bool>());
}

// --- edges

TEST(Linalg, EmptyAndSingular) {
  array none = zeros({0, 0}, float32);
  EXPECT_EQ(la::det(none).item<float>(), 1);
  EXPECT_EQ(la::slogdet(none).second.item<float>(), 0);
  EXPECT_EQ(la::det(zeros({0, 2, 2}, float32)).shape(), Shape{0});
  EXPECT_EQ(la::norm(zeros({0}, float32)).item<float>(), 0);
  auto wide = la::svd(zeros({0, 2}, float32));
  EXPECT_TRUE(close(wide[2], eye(2), 0));
  EXPECT_EQ(la::qr(zeros({0, 2}, float32)).second.shape(), (Shape{0, 2}));
  array flat = array({1.f, 2.f, 2.f, 4.f}, Shape{2, 2});
  EXPECT_EQ(la::det(flat).item<float>(), 0);
  auto [sign, size] = la::slogdet(flat);
  EXPECT_EQ(sign.item<float>(), 0);
  EXPECT_EQ(size.item<float>(), -INFINITY);
  EXPECT_FLOAT_EQ(la::det(array({1, 2, 3, 4}, Shape{2, 2})).item<float>(), -2);
  EXPECT_TRUE(close(la::pinv(zeros({2, 3}, float32)), zeros({3, 2}, float32), 0));
}

// NaN ends in NaN or in a sentence, and ends.
TEST(Linalg, NotANumber) {
  for (Dtype t : decomposed)
    for (int n : {1, 2, 5, 40}) {
      array a = full({n, n}, array(NAN), t);
      for (auto f : std::vector<Function>{[](const array& m) { return la::inv(m); },
                                          [](const array& m) { return la::det(m); },
                                          [](const array& m) { return la::cholesky(m); },
                                          [](const array& m) { return la::qr(m).second; },
                                          [](const array& m) { return la::lu_factor(m).first; },
                                          [](const array& m) { return la::solve(m, m); }})
        EXPECT_TRUE(any(isnan(f(a))).item<bool>());
      EXPECT_EQ(error_of([&] { la::svd(a)[0].eval(); }), "[svd] the matrix holds NaN or infinity.");
      EXPECT_EQ(error_of([&] { la::pinv(a).eval(); }), "[pinv] the matrix holds NaN or infinity.");
      EXPECT_EQ(error_of([&] { la::eigh(a).first.eval(); }),
                "[eigh] the matrix holds NaN or infinity.");
      EXPECT_EQ(error_of([&] { la::eigvalsh(a).eval(); }),
                "[eigvalsh] the matrix holds NaN or infinity.");
      EXPECT_EQ(error_of([&] { la::eig(a).first.eval(); }),
                "[eig] the matrix holds NaN or infinity.");
      EXPECT_EQ(error_of([&] { la::matrix_exp(a).eval(); }),
                "[matrix_exp] the matrix holds NaN or infinity.");
    }
}

// The largest and the smallest numbers end as well, whatever is left of them.
TEST(Linalg, ExtremeNumbers) {
  for (double size : {1.7e308, 1e300, 1e-300, 5e-324, 0.0})
    for (int n : {1, 3, 20}) {
      array a = matrices({n, n}, float64, 0) * array(size, float64);
      array flat = full({n, n}, array(size, float64));
      for (const auto& m : {a, flat})
        for (auto f : std::vector<Function>{
                 [](const array& x) { return la::svd(x)[0]; },
                 [](const array& x) { return la::eigh(x).second; },
                 [](const array& x) { return la::eig(x).second; },
                 [](const array& x) { return la::eig(astype(x, complex64)).second; },
                 [](const array& x) { return la::qr(x).first; },
                 [](const array& x) { return la::pinv(x); },
                 [](const array& x) { return la::inv(x); },
                 [](const array& x) { return la::cholesky(x); },
                 [](const array& x) { return la::matrix_exp(x); }}) {
          std::string said = error_of([&] { f(m).eval(); });
          EXPECT_TRUE(said == "no error" || said.find("the matrix") != std::string::npos) << said;
        }
    }
}

TEST(Linalg, MessagesNameTheMatrix) {
  array good = matrices({3, 2, 2}, float32, 3);
  array bad = concatenate({good, zeros({1, 2, 2}, float32), good}, 0);
  EXPECT_EQ(error_of([&] { la::inv(bad).eval(); }),
            "[inv] matrix 3 of the batch of 7 is singular.");
  EXPECT_EQ(error_of([&] { la::tri_inv(bad).eval(); }),
            "[tri_inv] matrix 3 of the batch of 7 is singular.");
  EXPECT_EQ(error_of([&] { la::solve(bad, ones({2})).eval(); }),
            "[solve] matrix 3 of the batch of 7 is singular.");
  EXPECT_EQ(error_of([&] { la::solve_triangular(bad, bad).eval(); }),
            "[solve_triangular] matrix 3 of the batch of 7 is singular.");
  EXPECT_EQ(error_of([&] { la::cholesky(bad).eval(); }),
            "[cholesky] matrix 3 of the batch of 7 is not positive definite.");
  EXPECT_EQ(error_of([&] { la::inv(zeros({2, 2})).eval(); }), "[inv] the matrix is singular.");
}

TEST(Linalg, MessagesOfWhatIsNotTaken) {
  array m = ones({2, 3}), v = ones({3}), half = ones({2, 2}, float16), sq = ones({2, 2});
  EXPECT_EQ(error_of([&] { la::inv(m); }),
            "[inv] a has shape (2, 3): its matrices must be square.");
  EXPECT_EQ(error_of([&] { la::svd(v); }), "[svd] a has shape (3,): it needs at least 2 axes.");
  EXPECT_EQ(error_of([&] { la::cholesky(half); }),
            "[cholesky] a is float16: it must be float32, float64 or complex64. Use astype.");
  EXPECT_EQ(error_of([&] {
              la::qr(ones({2, 2}, int32));
            }),
            "[qr] a is int32: it must be float32, float64 or complex64. Use astype.");
  EXPECT_EQ(
      error_of([&] { la::solve(half, half); }),
      "[solve] a is float16 and b float16: they must promote to float32, float64 or complex64. "
      "Use astype.");
  EXPECT_EQ(error_of([&] { la::solve(sq, v); }),
            "[solve] a has shape (2, 2) and b (3,): b must be (..., 2, K) or (2,).");
  EXPECT_EQ(error_of([&] { la::eigh(sq, "X"); }),
            "[eigh] UPLO is \"X\"; it must be \"L\" or \"U\".");
  EXPECT_EQ(
      error_of([&] { la::norm(m, 3.0); }),
      "[norm] ord is 3 for matrices: it must be 1, -1, 2, -2, inf, -inf, \"fro\" or \"nuc\".");
  EXPECT_EQ(error_of([&] { la::norm(m, "x"); }),
            "[norm] ord is \"x\": as a word it must be \"fro\", \"f\" or \"nuc\".");
  EXPECT_EQ(error_of([&] { la::norm(v, "fro"); }),
            "[norm] ord \"fro\" is for matrices: it needs 2 axes, not 1.");
  EXPECT_EQ(
      error_of([&] {
        la::norm(ones({2, 2, 2}), 2.0);
      }),
      "[norm] 3 axes of an array of shape (2, 2, 2): a norm is over 1 axis or 2 different ones.");
  EXPECT_EQ(error_of([&] { la::cross(ones({4}), ones({4})); }),
            "[cross] a has shape (4,) and b (4,): both need size 2 or 3 on axis -1.");
}

TEST(Linalg, NormalNumbersWithACovariance) {
  array cov = array({2.f, 0.5f, 0.5f, 1.f}, Shape{2, 2}), mean = array({3.f, -1.f});
  for (Dtype t : {float32, float64}) {
    array x = random::multivariate_normal(mean, cov, {20000}, t, random::key(1));
    EXPECT_EQ(x.shape(), (Shape{20000, 2}));
    EXPECT_EQ(x.dtype(), t);
    array middle = tarn::mean(x, 0);
    array off = x - middle;
    EXPECT_TRUE(close(middle, astype(mean, t), 0, 0.05));
    EXPECT_TRUE(
        close(matmul(transpose(off), off) * constant(x, 1 / 20000.0), astype(cov, t), 0, 0.05));
  }
  array rows = random::multivariate_normal(zeros({4, 2}), cov, {3, 4}, float32, random::key(0));
  EXPECT_EQ(rows.shape(), (Shape{3, 4, 2}));
  EXPECT_EQ(error_of([&] { random::multivariate_normal(mean, cov, {3}, float16); }),
            "[multivariate_normal] dtype is float16; it must be float32 or float64.");
  EXPECT_EQ(error_of([&] {
              random::multivariate_normal(mean, zeros({3, 3}), {3}, float32);
            }),
            "[multivariate_normal] mean has shape (2,) and cov (3, 3): they must be (..., N) and "
            "(..., N, N).");
  EXPECT_EQ(error_of([&] {
              random::multivariate_normal(zeros({4, 2}), cov, {3}, float32);
            }),
            "[multivariate_normal] mean (4, 2) and cov (2, 2) do not broadcast to the shape (3,).");
}

}  // namespace
}  // namespace tarn::laws
