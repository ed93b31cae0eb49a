// LU with partial pivoting, and what is solved with it or with triangles.
#include <Eigen/Core>
#include <utility>
#include <vector>

#include "cpu/decompose_batch.h"
#include "ops/linalg.h"

namespace tarn::cpu {
namespace {

template <class T>
using Block = Eigen::Ref<Matrix<T>, 0, Eigen::OuterStride<>>;

template <class T>
void exchange(Block<T> a, const int64_t* pivots, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (pivots[i] != i) a.row(i).swap(a.row(pivots[i]));
}
// One column: the largest element becomes the pivot and divides those below it. A column of zeros
// stays as it is.
template <class T>
void eliminate_column(Block<T> a, int64_t* pivot) {
  int64_t best = 0;
  for (int64_t r = 1; r < a.rows(); ++r)
    if (std::abs(a(r, 0)) > std::abs(a(best, 0))) best = r;
  *pivot = best;
  if (best != 0) std::swap(a(0, 0), a(best, 0));
  if (a(0, 0) != T(0)) a.col(0).tail(a.rows() - 1) /= a(0, 0);
}
// L and U in place of a with at least as many rows as columns, by halves of the columns so that
// products do most of the work (Toledo, "Locality of reference in LU decomposition with partial
// pivoting", 1997).
template <class T>
void eliminate(Block<T> a, int64_t* pivots) {
  int64_t m = a.rows(), n = a.cols(), h = n / 2;
  if (n == 1) return eliminate_column<T>(a, pivots);
  eliminate<T>(a.leftCols(h), pivots);
  Block<T> right = a.rightCols(n - h);
  exchange<T>(right, pivots, h);
  a.topLeftCorner(h, h).template triangularView<Eigen::UnitLower>().solveInPlace(right.topRows(h));
  Block<T> rest = right.bottomRows(m - h);
  rest.noalias() -= a.bottomLeftCorner(m - h, h) * right.topRows(h);
  eliminate<T>(rest, pivots + h);
  exchange<T>(a.bottomLeftCorner(m - h, h), pivots + h, n - h);
  for (int64_t i = h; i < n; ++i) pivots[i] += h;
}

template <class T>
struct Eliminated {
  Matrix<T> factors{};
  std::vector<int64_t> pivots{};
  void take(const Entry& e) {
    e.load(0, factors);
    pivots.assign(static_cast<size_t>(factors.cols()), 0);
    eliminate<T>(factors, pivots.data());
  }
  bool singular() const {
    for (int64_t i = 0; i < factors.cols(); ++i)
      if (factors(i, i) == T(0)) return true;
    return false;
  }
  void solve(Matrix<T>& b) const {
    exchange<T>(b, pivots.data(), factors.cols());
    factors.template triangularView<Eigen::UnitLower>().solveInPlace(b);
    factors.template triangularView<Eigen::Upper>().solveInPlace(b);
  }
};

void run_lu(const Step& s, int worker, int workers) {
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    Eliminated<T> lu;
    each_matrix(s, worker, workers, [&](const Entry& e) {
      T* to = e.out<T>();
      if (columns(s.in[0]) > 0) {
        lu.take(e);
        store(to, lu.factors);
      }
      std::vector<int64_t> order(static_cast<size_t>(rows(s.in[0])));
      for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
      size_t n = static_cast<size_t>(columns(s.in[0]));
      for (size_t i = 0; i < n; ++i) std::swap(order[i], order[static_cast<size_t>(lu.pivots[i])]);
      for (int64_t row : order) *to++ = T(static_cast<RealOf<T>>(row));
      for (size_t i = 0; i < n; ++i) *to++ = T(static_cast<RealOf<T>>(lu.pivots[i]));
    });
  });
}

Shape lead_of(const Step& s) { return Shape(s.out.shape.begin(), s.out.shape.end() - 2); }

void run_solve(const Step& s, int worker, int workers) {
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    Eliminated<T> lu;
    int64_t done = -1;  // where the matrix lies whose factors there are: right sides may share it
    each_matrix(s, lead_of(s), worker, workers, [&](const Entry& e) {
      if (e.at[0] != done) lu.take(e);
      done = e.at[0];
      require(!lu.singular(), "[solve] {} is singular.", e.text());
      Matrix<T> b = e.loaded<T>(1);
      lu.solve(b);
      T* to = e.out<T>();
      store(to, b);
    });
  });
}

template <class T>
bool zero_on_diagonal(const Matrix<T>& m) {
  for (int64_t i = 0; i < m.cols(); ++i)
    if (m(i, i) == T(0)) return true;
  return false;
}
template <unsigned mode, class T>
void solve_triangle(const Matrix<T>& a, Matrix<T>& b) {
  a.template triangularView<mode>().solveInPlace(b);
}

void run_triangular(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::SolveTriangular::P>();
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    each_matrix(s, lead_of(s), worker, workers, [&](const Entry& e) {
      Matrix<T> a = e.loaded<T>(0), b = e.loaded<T>(1);
      require(p.unit || !zero_on_diagonal(a), "[solve_triangular] {} is singular.", e.text());
      if (p.unit)
        p.upper ? solve_triangle<Eigen::UnitUpper>(a, b) : solve_triangle<Eigen::UnitLower>(a, b);
      else
        p.upper ? solve_triangle<Eigen::Upper>(a, b) : solve_triangle<Eigen::Lower>(a, b);
      T* to = e.out<T>();
      store(to, b);
    });
  });
}

void run_inverse(const Step& s, int worker, int workers) {
  auto part = s.params->as<ops::Inverse::P>().part;
  with_number(s.in[0].dtype, [&](auto number) {
    using T = decltype(number);
    Eliminated<T> lu;
    each_matrix(s, worker, workers, [&](const Entry& e) {
      Matrix<T> b = Matrix<T>::Identity(rows(s.in[0]), columns(s.in[0]));
      if (part == ops::Triangle::none) {
        lu.take(e);
        require(!lu.singular(), "[inv] {} is singular.", e.text());
        lu.solve(b);
      } else {
        Matrix<T> a = e.loaded<T>(0);
        require(!zero_on_diagonal(a), "[tri_inv] {} is singular.", e.text());
        part == ops::Triangle::upper ? solve_triangle<Eigen::Upper>(a, b)
                                     : solve_triangle<Eigen::Lower>(a, b);
      }
      T* to = e.out<T>();
      store(to, b);
    });
  });
}

double solve_cost(const Step& s) {
  return cubic_cost<1>(s) + 0.6 * double(s.out.size()) * double(columns(s.in[0]));
}

}  // namespace

void add_solvers(KernelTable& t) {
  using namespace ops;
  t.add(op_of<LuFactor>, decomposition(run_lu, cubic_cost<1>));
  t.add(op_of<Solve>, decomposition(run_solve, solve_cost));
  t.add(op_of<SolveTriangular>, decomposition(run_triangular, solve_cost));
  t.add(op_of<Inverse>, decomposition(run_inverse, cubic_cost<3>));
}

}  // namespace tarn::cpu
