#include "ops/formula_rows.h"

#include <unordered_map>

namespace tarn::ops {

FormulaRow formula_row(const Op* op) {
  static const auto* const rows = [] {
    auto* m = new std::unordered_map<const Op*, FormulaRow>;
    int row = 0;
    auto add = [&]<class T>(type<T>) { m->emplace(&op_of<T>, FormulaRow{T::arity, row++}); };
    UnaryOps::each(add);
    row = 0;
    BinaryOps::each(add);
    row = 0;
    TernaryOps::each(add);
    return m;
  }();
  auto it = rows->find(op);
  return it == rows->end() ? FormulaRow{} : it->second;
}

}  // namespace tarn::ops
