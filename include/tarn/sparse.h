// Sparse matrices by rows: compressed sparse rows (CSR) and coordinates (COO). (Not in MLX.)
#pragma once

#include <utility>

#include "tarn/array.h"

namespace tarn::sparse {

// A matrix by its non-zero elements, row after row. Elements of one place add up.
struct Csr {
  array row_starts{};  // (rows + 1,), int64: where each row begins in `columns` and `values`
  array columns{};     // (count,), int64
  array values{};      // (count,), a float or complex dtype
  int64_t rows = 0, cols = 0;
};
// The same by coordinates, in any order.
struct Coo {
  array row{}, column{};  // (count,), int64
  array values{};
  int64_t rows = 0, cols = 0;
};

// Sorted by rows; the order of a row's elements is kept. Throws ShapeError when the three arrays
// have different lengths.
Csr to_csr(const Coo& m, StreamOrDevice s = {});
Coo to_coo(const Csr& m, StreamOrDevice s = {});
// The elements of a dense matrix that are not zero. Evaluates it, see ops/dynamic.h.
Csr from_dense(const array& a, StreamOrDevice s = {});
array to_dense(const Csr& m, StreamOrDevice s = {});
Csr transpose(const Csr& m, StreamOrDevice s = {});
// m x for x of shape (m.cols,) or (m.cols, n), in x's and the values' common dtype; sums run in
// double. Derivatives of every order with respect to the values and x. Throws ShapeError when the
// sizes differ and IndexError, when it is evaluated, for an index outside the matrix.
array matmul(const Csr& m, const array& x, StreamOrDevice s = {});

}  // namespace tarn::sparse
