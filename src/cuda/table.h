// The files that add rows to the card's table.
#pragma once

#include "runtime/backend.h"

namespace tarn::cuda {

void add_chains(Backend& b);
void add_reductions(KernelTable& t);
void add_movements(KernelTable& t);
void add_products(KernelTable& t);
// What takes any two matrices.
void multiply_dense(const Step& s);
// Parts of add_products, in front of what takes any shape.
void add_bfloat_products(KernelTable& t);
void add_thin(KernelTable& t);
void add_rows(KernelTable& t);
void add_derivatives(KernelTable& t);
void add_communications(KernelTable& t);
void add_custom(KernelTable& t);
void add_convolutions(KernelTable& t);
void add_scans(KernelTable& t);
void add_sorts(KernelTable& t);
// An op that only plans have: what several values were folded into.
inline Op op_of_plans(const char* name, Kind kind) {
  Op op{};
  op.name = name, op.kind = kind;
  return op;
}
// Backend::fold.
void fold_values(std::vector<Value>& values);

}  // namespace tarn::cuda
