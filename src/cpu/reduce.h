// Kernels that fold axes, and those of derivatives.
#pragma once

#include "cpu/heavy.h"
#include "runtime/backend.h"

namespace tarn::cpu {

void add_reductions(KernelTable& t);
void add_derivatives(KernelTable& t);
Store store_of(Dtype t);  // float32, float16 or bfloat16

}  // namespace tarn::cpu
