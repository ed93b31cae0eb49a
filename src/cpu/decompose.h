// Kernels of decompositions.
#pragma once

#include "runtime/backend.h"

namespace tarn::cpu {
void add_decompositions(KernelTable& t);
void add_solvers(KernelTable& t);          // decompose_solve.cpp
void add_factors(KernelTable& t);          // decompose_factor.cpp
void add_singular_values(KernelTable& t);  // decompose_svd.cpp
void add_eigenvalues(KernelTable& t);      // decompose_eig.cpp
}  // namespace tarn::cpu
