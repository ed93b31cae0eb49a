// Products of dense matrices.
#pragma once

#include <vector>

#include "tarn/array.h"

namespace tarn {

// NumPy's matmul: (..., M, K) x (..., K, N) with broadcast batches; 1-d operands get an axis that
// is dropped again. Floats only, accumulated in at least float32.
array matmul(const array& a, const array& b, StreamOrDevice s = {});
// alpha * (a @ b) + beta * c.
array addmm(array c, array a, array b, const float& alpha = 1.f, const float& beta = 1.f,
            StreamOrDevice s = {});
array inner(const array& a, const array& b, StreamOrDevice s = {});
array outer(const array& a, const array& b, StreamOrDevice s = {});
array tensordot(const array& a, const array& b, int axis = 2, StreamOrDevice s = {});
array tensordot(const array& a, const array& b, const std::vector<int>& axes_a,
                const std::vector<int>& axes_b, StreamOrDevice s = {});

// The sum of conj(a) b along an axis, which has one size in both; the others broadcast.
array vecdot(const array& a, const array& b, int axis = -1, StreamOrDevice s = {});
// Kronecker's product: every element of a times all of b, as blocks. Axes are aligned at the end.
array kron(const array& a, const array& b, StreamOrDevice s = {});

}  // namespace tarn
