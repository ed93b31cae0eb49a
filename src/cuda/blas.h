// Products by cuBLASLt, which is loaded when the first is made and need not be there.
#pragma once

#include "cuda/matmul.h"

namespace tarn::cuda {

// How a product's matrices lie for the library: leading dimensions, and whether they are turned.
struct BlasShape {
  int64_t a_lead = 0, b_lead = 0, a_step = 0, b_step = 0;  // steps from one batch to the next
  bool a_turned = false, b_turned = false;
};
bool has_blas();
// Whether the product was queued; false when the library is not there or does not take it.
bool multiply_by_blas(const MatmulCall& call, const BlasShape& shape);

}  // namespace tarn::cuda
