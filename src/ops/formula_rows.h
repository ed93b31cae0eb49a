// Where the tables of formulas that backends make have an elementwise op.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

// The row in the table of UnaryOps, BinaryOps or TernaryOps, by arity; arity 0: in none.
struct FormulaRow {
  int arity = 0, row = 0;
};
FormulaRow formula_row(const Op* op);

}  // namespace tarn::ops
