// Kernels that fold axes, and those of derivatives.
#pragma once

#include "cpu/heavy.h"
#include "runtime/backend.h"

namespace tarn::cpu {

void add_reductions(KernelTable& t);
void add_derivatives(KernelTable& t);
inline bool is_store(Dtype t) { return t == float32 || t == float16 || t == bfloat16; }
Store store_of(Dtype t);  // of one that is_store

}  // namespace tarn::cpu
