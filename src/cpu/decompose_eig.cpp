// Eigenvalues and eigenvectors, computed in doubles whatever the dtype: two instantiations instead
// of three of a large template, and vectors that are right to the last digit of a float.
#include <Eigen/Eigenvalues>

#include "cpu/decompose_batch.h"
#include "ops/linalg.h"

namespace tarn::cpu {
namespace {

void run_eigh(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Eigh::P>();
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    using Wide = std::conditional_t<std::is_same_v<T, complex64_t>, std::complex<double>, double>;
    Eigen::SelfAdjointEigenSolver<Matrix<Wide>> solver;
    each_matrix(s, worker, workers, [&](const Entry& e) {
      auto a = e.loaded<Wide, T>(0);
      const char* op = p.vectors ? "eigh" : "eigvalsh";
      // The other triangle is not read, and may hold anything.
      Matrix<Wide> lower = p.upper ? Matrix<Wide>(a.adjoint()) : a;
      lower.template triangularView<Eigen::StrictlyUpper>().setZero();
      require_finite(op, e, lower);
      solver.compute(lower, p.vectors ? Eigen::ComputeEigenvectors : Eigen::EigenvaluesOnly);
      require(solver.info() == Eigen::Success, "[{}] {} has eigenvalues that are not found.", op,
              e.text());
      if (!p.vectors) {
        auto* to = e.out<RealOf<T>>();
        return store(to, solver.eigenvalues());
      }
      Matrix<Wide> v = solver.eigenvectors();
      for (int64_t i = 0; i < v.cols(); ++i) v.col(i) *= gauge(v.col(i));
      T* to = e.out<T>();
      store(to, solver.eigenvalues());
      store(to, v);
    });
  });
}

// Results are complex64 for float64 input as well.
template <class Solver, class Wide, class T>
void store_spectrum(const Entry& e, Solver& solver, bool vectors) {
  auto a = e.loaded<Wide, T>(0);
  const char* op = vectors ? "eig" : "eigvals";
  require_finite(op, e, a);
  solver.compute(a, vectors);
  require(solver.info() == Eigen::Success, "[{}] {} has eigenvalues that are not found.", op,
          e.text());
  auto* to = e.out<complex64_t>();
  store(to, solver.eigenvalues());
  if (!vectors) return;
  Matrix<std::complex<double>> v = solver.eigenvectors();
  for (int64_t i = 0; i < v.cols(); ++i) v.col(i) *= gauge(v.col(i)) / v.col(i).norm();
  store(to, v);
}
void run_eig(const Step& s, int worker, int workers) {
  bool vectors = s.params->as<ops::Eig::P>().vectors;
  if (s.in[0].dtype == complex64) {
    Eigen::ComplexEigenSolver<Matrix<std::complex<double>>> solver;
    each_matrix(s, worker, workers, [&](const Entry& e) {
      store_spectrum<decltype(solver), std::complex<double>, complex64_t>(e, solver, vectors);
    });
    return;
  }
  Eigen::EigenSolver<Matrix<double>> solver;
  each_matrix(s, worker, workers, [&](const Entry& e) {
    if (s.in[0].dtype == float64)
      store_spectrum<decltype(solver), double, double>(e, solver, vectors);
    else
      store_spectrum<decltype(solver), double, float>(e, solver, vectors);
  });
}

}  // namespace

void add_eigenvalues(KernelTable& t) {
  t.add(ops::op_of<ops::Eigh>, decomposition(run_eigh, cubic_cost<20>));
  t.add(ops::op_of<ops::Eig>, decomposition(run_eig, cubic_cost<60>));
}

}  // namespace tarn::cpu
