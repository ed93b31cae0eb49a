// Singular values, and the pseudo-inverse by them.
#include <Eigen/SVD>
#include <limits>

#include "cpu/decompose_batch.h"
#include "ops/linalg.h"

namespace tarn::cpu {
namespace {

// Float32 and complex64 are computed in doubles as well: the template is large, and compiled twice
// instead of three times.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, complex64_t>, std::complex<double>, double>;
template <class T>
using Svd = Eigen::BDCSVD<Matrix<Wide<T>>>;

template <class T>
Svd<T> decomposed(const char* op, const Entry& e, unsigned vectors) {
  auto a = e.loaded<Wide<T>, T>(0);
  require_finite(op, e, a);
  Svd<T> svd(a, vectors);
  require(svd.info() == Eigen::Success, "[{}] {} has singular values that are not found.", op,
          e.text());
  return svd;
}

template <class T>
void store_vectors(const Step& s, const Entry& e, bool full) {
  using namespace Eigen;
  unsigned vectors = full ? ComputeFullU | ComputeFullV : ComputeThinU | ComputeThinV;
  auto svd = decomposed<T>("svd", e, vectors);
  Matrix<Wide<T>> u = svd.matrixU(), v = svd.matrixV();
  int64_t k = std::min(rows(s.in[0]), columns(s.in[0]));
  for (int64_t i = 0; i < u.cols(); ++i) {
    auto turn = gauge(u.col(i));
    u.col(i) *= turn;
    if (i < k) v.col(i) *= turn;
  }
  for (int64_t i = k; i < v.cols(); ++i) v.col(i) *= gauge(v.col(i));
  T* to = e.out<T>();
  store(to, u);
  store(to, svd.singularValues());
  store(to, v.adjoint());
}

void run_svd(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Svd::P>();
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    each_matrix(s, worker, workers, [&](const Entry& e) {
      if (p.vectors && s.in[0].size() == 0) {
        T* to = e.out<T>();
        store(to, Matrix<T>::Identity(rows(s.in[0]), rows(s.in[0])));
        store(to, Matrix<T>::Identity(columns(s.in[0]), columns(s.in[0])));
        return;
      }
      if (p.vectors) return store_vectors<T>(s, e, p.full);
      auto* to = e.out<RealOf<T>>();
      store(to, decomposed<T>("svd", e, 0).singularValues());
    });
  });
}

void run_pinv(const Step& s, int worker, int workers) {
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    using Real = RealOf<T>;
    each_matrix(s, worker, workers, [&](const Entry& e) {
      auto svd = decomposed<T>("pinv", e, Eigen::ComputeThinU | Eigen::ComputeThinV);
      Vector<double> values = svd.singularValues();
      int64_t longest = std::max(rows(s.in[0]), columns(s.in[0]));
      double least = 10.0 * double(longest) * std::numeric_limits<Real>::epsilon() * values(0);
      for (auto& x : values) x = x > least ? 1 / x : 0;
      Matrix<Wide<T>> left = svd.matrixV() * values.asDiagonal();
      T* to = e.out<T>();
      store(to, Matrix<Wide<T>>(left * svd.matrixU().adjoint()));
    });
  });
}

}  // namespace

void add_singular_values(KernelTable& t) {
  t.add(ops::op_of<ops::Svd>, decomposition(run_svd, cubic_cost<30>));
  t.add(ops::op_of<ops::PseudoInverse>, decomposition(run_pinv, cubic_cost<30>));
}

}  // namespace tarn::cpu
