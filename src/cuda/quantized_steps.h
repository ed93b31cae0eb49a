// Steps of quantised products as calls, and their kernel for many rows of packed tiles.
#pragma once

#include "cuda/matmul.h"
#include "runtime/backend.h"

namespace tarn::cuda {

// Of a step of ops::QuantizedMatmul.
QuantizedCall quantized_call(const Step& s);
// Whether products of one x can be a launch.
bool joins_rows(const Step& first, const Step& other);
void add_many_rows(KernelTable& t);

}  // namespace tarn::cuda
