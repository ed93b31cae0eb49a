// Steps of quantised products as calls, and their kernels for many rows.
#pragma once

#include "cuda/matmul.h"
#include "runtime/backend.h"

namespace tarn::cuda {

// Whether scales and biases, the inputs from `scales` on, are floats of one type and so is the
// result, none of it float64.
bool affine_floats(const Step& s, size_t scales);
// Of a step of ops::QuantizedMatmul.
QuantizedCall quantized_call(const Step& s);
// Whether products of one x can be a launch.
bool joins_rows(const Step& first, const Step& other);
void add_many_rows(KernelTable& t);

}  // namespace tarn::cuda
