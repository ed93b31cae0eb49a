// Kernels that fold axes.
#pragma once

#include "cpu/heavy.h"
#include "runtime/backend.h"

namespace tarn::cpu {

void add_reductions(KernelTable& t);
Store store_of(Dtype t);  // float32, float16 or bfloat16

}  // namespace tarn::cpu
