// What kernels of decompositions share. Eigen computes them, in the decompose_*.cpp only; workers
// share a batch by matrices, and each matrix is copied out of its strides first.
#pragma once

#include <cmath>
#include <complex>
#include <string>

#include "base/require.h"
#include "cpu/decompose.h"
#include "cpu/share.h"

#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

namespace tarn::cpu {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
template <class T>
using RowMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
template <class T>
using RealOf = typename Eigen::NumTraits<T>::Real;

// f(T{}) for the three dtypes that decompositions take.
template <class F>
void with_number(Dtype t, F f) {
  if (t == float64)
    f(double{});
  else if (t == complex64)
    f(complex64_t{});
  else
    f(float{});
}

inline int64_t rows(const Operand& o) { return o.shape[o.shape.size() - 2]; }
inline int64_t columns(const Operand& o) { return o.shape.back(); }

// Which matrix of the batch is worked on: for messages, and for where it lies.
struct Entry {
  const Step& step;
  int64_t index = 0, count = 0;
  int64_t at[2] = {0, 0};  // of the inputs, in elements

  std::string text() const {
    return count == 1 ? "the matrix" : fmt::format("matrix {} of the batch of {}", index, count);
  }
  // Input i's matrix in column order, converted to T.
  template <class T, class From = T>
  void load(size_t i, Matrix<T>& m) const {
    const Operand& o = step.in[i];
    const From* x = o.as<const From>() + at[i];
    int64_t down = o.strides[o.shape.size() - 2], along = o.strides.back();
    m.resize(rows(o), columns(o));
    for (int64_t c = 0; c < m.cols(); ++c)
      for (int64_t r = 0; r < m.rows(); ++r) m(r, c) = T(x[r * down + c * along]);
  }
  template <class T, class From = T>
  Matrix<T> loaded(size_t i) const {
    Matrix<T> m;
    load<T, From>(i, m);
    return m;
  }
  // The entry's part of the output, which is row-contiguous and has `size` elements an entry.
  template <class T>
  T* out() const {
    return step.out.as<T>() + index * (step.out.size() / count);
  }
};

// Writes a matrix in row order and moves `to` behind it.
template <class T, class M>
void store(T*& to, const M& m) {
  Eigen::Map<RowMatrix<T>>(to, m.rows(), m.cols()) = m.template cast<T>();
  to += m.size();
}

template <class M>
void require_finite(const char* op, const Entry& e, const M& m) {
  require(m.allFinite(), "[{}] {} holds NaN or infinity.", op, e.text());
}

// c, |c| = 1, by which a column is multiplied so that its largest element is real and positive.
template <class Column>
typename Column::Scalar gauge(const Column& v) {
  using T = typename Column::Scalar;
  Eigen::Index at = 0;
  for (Eigen::Index i = 1; i < v.size(); ++i)
    if (std::abs(v(i)) > std::abs(v(at))) at = i;
  auto size = std::abs(v(at));
  return size > 0 ? Eigen::numext::conj(v(at)) / T(size) : T(1);
}

// This worker's entries; `lead` are the leading axes of the output, to which inputs broadcast.
template <class F>
void each_matrix(const Step& s, const Shape& lead, int worker, int workers, F f) {
  int64_t count = 1;
  for (auto d : lead) count *= d;
  if (s.out.size() == 0) return;
  Strides steps[2];
  for (size_t i = 0; i < s.in.size(); ++i) {
    const Operand& o = s.in[i];
    steps[i].resize(lead.size(), 0);
    size_t own = o.shape.size() - 2, from = lead.size() - own;
    for (size_t a = 0; a < own; ++a)
      if (o.shape[a] != 1) steps[i][from + a] = o.strides[a];
  }
  Share part = share(count, worker, workers);
  for (int64_t index = part.from; index < part.to; ++index) {
    Entry e{s, index, count};
    for (size_t i = 0; i < s.in.size(); ++i) {
      Odometer walk(lead, steps[i]);
      walk.seek(index);
      e.at[i] = walk.offset();
    }
    f(e);
  }
}
// Of one input: its own leading axes.
template <class F>
void each_matrix(const Step& s, int worker, int workers, F f) {
  Shape lead(s.in[0].shape.begin(), s.in[0].shape.end() - 2);
  each_matrix(s, lead, worker, workers, f);
}

// Nanoseconds of `flops` per matrix, as a number of multiples of M N min(M, N).
template <int times>
double cubic_cost(const Step& s) {
  const Operand& a = s.in[0];
  double m = double(rows(a)), n = double(columns(a));
  double batch = double(a.size()) / std::max(m * n, 1.0);
  return batch * (500 + times * 0.3 * m * n * std::min(m, n));
}

inline Kernel decomposition(KernelFn run, double (*cost)(const Step&)) {
  return {.run = run, .accepts = Accepts::any, .cost = cost, .name = "Eigen"};
}

}  // namespace tarn::cpu
