// Comparing arrays of any dtype: words for the law tests.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include "laws/samples.h"

namespace tarn::laws {

// The elements in row order; a complex one as two numbers.
inline std::vector<double> values(const array& a) {
  if (a.dtype() == complex64) {
    auto re = values(real(a)), im = values(imag(a));
    re.insert(re.end(), im.begin(), im.end());
    return re;
  }
  array wide = a.dtype() == float64 ? contiguous(a) : astype(contiguous(a), float64);
  wide = contiguous(wide);
  const double* from = wide.data<double>();
  return {from, from + wide.size()};
}

// Relative, for values of the dtype's own precision.
inline double precision(Dtype t) {
  if (t == float16) return 2e-3;
  if (t == bfloat16) return 1.6e-2;
  if (t == float32) return 1e-6;
  if (t == complex64) return 4e-6;
  return t == float64 ? 1e-13 : 0;
}
// What an op's results may differ by when computed in another way.
inline double tolerance(const Op& op, Dtype t) {
  double own = table().find(op.name)->second.tolerance;
  // Half weights are rounded once more before they are multiplied.
  if (op.kind == Kind::contraction && (t == float16 || t == bfloat16)) own = 4 * precision(t);
  return t == float64 ? 1e-11 : is_float(t) || t == complex64 ? std::max(own, precision(t)) : 0;
}

// How many results the laws have looked at; said at the end of a run.
inline std::atomic<int64_t> compared{0};
class SaysHowMany : public testing::Environment {
 public:
  void TearDown() override {
    if (compared > 0) fmt::print("{} results compared.\n", compared.load());
  }
};
inline testing::Environment* const says_how_many =
    testing::AddGlobalTestEnvironment(new SaysHowMany);

inline std::string text(const Shape& s) { return fmt::format("({})", joined(s, ",")); }

// Relative to the largest magnitude near an element: cancellation may lose digits of one element.
inline testing::AssertionResult close(const array& got, const array& want, double rel,
                                      double absolute = 0) {
  ++compared;
  if (got.shape() != want.shape() || got.dtype() != want.dtype())
    return testing::AssertionFailure()
           << name_of(got.dtype()) << text(got.shape()) << " instead of " << name_of(want.dtype())
           << text(want.shape());
  auto a = values(got), b = values(want);
  double scale = 0;
  for (double x : b)
    if (std::isfinite(x)) scale = std::max(scale, std::abs(x));
  for (size_t i = 0; i < a.size(); ++i) {
    bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    double bound = rel * (std::abs(b[i]) + 0.25 * scale) + absolute;
    if (!same && !(std::abs(a[i] - b[i]) <= bound))
      return testing::AssertionFailure()
             << fmt::format("element {} of {}{}: {:.9g} instead of {:.9g}", i, name_of(got.dtype()),
                            text(got.shape()), a[i], b[i]);
  }
  return testing::AssertionSuccess();
}

inline double dot(const array& a, const array& b) {
  auto x = values(a), y = values(b);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

// What to say about a sample that fails.
inline std::string name(const Op& op, Dtype t, const Sample& s) {
  return fmt::format("{} {} {}", op.name, name_of(t), s.label);
}

}  // namespace tarn::laws
