// Cholesky, QR and the exponential.
#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <Eigen/QR>

#include "cpu/decompose_batch.h"
#include "ops/linalg.h"

namespace tarn::cpu {
namespace {

void run_cholesky(const Step& s, int worker, int workers) {
  bool upper = s.params->as<ops::Cholesky::P>().upper;
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    each_matrix(s, worker, workers, [&](const Entry& e) {
      Matrix<T> a = e.loaded<T>(0);
      if (upper) a = a.adjoint().eval();
      Eigen::LLT<Eigen::Ref<Matrix<T>>> llt(a);
      require(llt.info() == Eigen::Success, "[cholesky] {} is not positive definite.", e.text());
      Matrix<T> l = llt.matrixL();
      T* to = e.out<T>();
      upper ? store(to, l.adjoint()) : store(to, l);
    });
  });
}

void run_qr(const Step& s, int worker, int workers) {
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    each_matrix(s, worker, workers, [&](const Entry& e) {
      Matrix<T> a = e.loaded<T>(0);
      int64_t m = a.rows(), n = a.cols();
      Eigen::HouseholderQR<Eigen::Ref<Matrix<T>>> qr(a);
      Matrix<T> q = qr.householderQ() * Matrix<T>::Identity(m, n);
      Matrix<T> r = qr.matrixQR().topRows(n).template triangularView<Eigen::Upper>();
      T* to = e.out<T>();
      store(to, q);
      store(to, r);
    });
  });
}

// Higham's algorithm 10.20 with the approximant of degree 13, whose error is below the rounding of
// doubles while the 1-norm is at most 5.37.
template <class T>
Matrix<T> exponential(Matrix<T> a) {
  constexpr double b[] = {64764752532480000.,
                          32382376266240000.,
                          7771770303897600.,
                          1187353796428800.,
                          129060195264000.,
                          10559470521600.,
                          670442572800.,
                          33522128640.,
                          1323241920.,
                          40840800.,
                          960960.,
                          16380.,
                          182.,
                          1.};
  double size = a.cwiseAbs().colwise().sum().maxCoeff();
  // At most 1100: the sum of finite numbers may be infinite.
  int halvings =
      size > 5.37 ? static_cast<int>(std::min(std::ceil(std::log2(size / 5.37)), 1100.0)) : 0;
  a *= std::ldexp(1.0, -halvings);
  auto one = Matrix<T>::Identity(a.rows(), a.cols());
  Matrix<T> a2 = a * a, a4 = a2 * a2, a6 = a4 * a2;
  Matrix<T> inner = b[13] * a6 + b[11] * a4 + b[9] * a2;
  Matrix<T> odd = a6 * inner + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one;
  inner = b[12] * a6 + b[10] * a4 + b[8] * a2;
  Matrix<T> even = a6 * inner + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one;
  Matrix<T> u = a * odd;
  Matrix<T> e = (even - u).partialPivLu().solve(even + u);
  for (int i = 0; i < halvings; ++i) e = (e * e).eval();
  return e;
}
// Computed in doubles whatever the dtype: squaring doubles the error as often as it is done.
void run_exponential(const Step& s, int worker, int workers) {
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    using Wide = std::conditional_t<std::is_same_v<T, complex64_t>, std::complex<double>, double>;
    each_matrix(s, worker, workers, [&](const Entry& e) {
      auto a = e.loaded<Wide, T>(0);
      require_finite("matrix_exp", e, a);
      T* to = e.out<T>();
      store(to, exponential<Wide>(a));
    });
  });
}

}  // namespace

void add_factors(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Cholesky>, decomposition(run_cholesky, cubic_cost<1>));
  t.add(op_of<Qr>, decomposition(run_qr, cubic_cost<4>));
  t.add(op_of<MatrixExp>, decomposition(run_exponential, cubic_cost<40>));
}
void add_decompositions(KernelTable& t) {
  add_solvers(t);
  add_factors(t);
  add_singular_values(t);
  add_eigenvalues(t);
}

}  // namespace tarn::cpu
