// Derivatives of eigenvalues and eigenvectors, by what is known of them.
#include <gtest/gtest.h>

#include "laws/compare.h"
#include "tarn/linalg.h"

namespace tarn::laws {
namespace {

namespace la = linalg;

// What differences of complex64 results are too coarse for: with A = V diag(w) V^-1, the sum of w^k
// is the trace of A^k, and V diag(w^2) V^-1 is A A; the derivatives of both are known.
TEST(Linalg, DerivativesOfEigenvaluesByIdentities) {
  for (Dtype t : decomposed) {
    SCOPED_TRACE(name_of(t));
    array a = matrices({4, 4}, t, 0, 3), adjoint = conjugate(swapaxes(a, -1, -2));
    array want = eye(4, t);
    for (int k = 1; k <= 4; ++k) {
      auto power_sum = [&](const array& x) { return sum(real(power(la::eigvals(x), array(k)))); };
      array scaled = want * constant(want, k), got = grad(power_sum)(a);
      double size = max(abs(scaled)).item<double>();
      EXPECT_TRUE(close(got, scaled, 5e-6 * size)) << k;
      want = matmul(want, adjoint);
    }
    array c = numbers({4, 4}, t, -1, 1, 5);
    auto squared = [&](const array& x) {
      auto [w, v] = la::eig(x);
      array product = matmul(v * expand_dims(square(w), 0), la::inv(v));
      return sum(real(conjugate(astype(c, complex64)) * product));
    };
    EXPECT_TRUE(close(grad(squared)(a), matmul(c, adjoint) + matmul(adjoint, c), 5e-5));
  }
}

}  // namespace
}  // namespace tarn::laws
