// The elementwise formulas as loops over blocks, one table per instruction set.
#pragma once

#include <stddef.h>

namespace tarn::cpu {

// y[i] = f(a[i], b[i], c[i]) for i < n; unused operands are ignored, y may be a, b or c.
using Block = void (*)(const void* a, const void* b, const void* c, void* y, size_t n);

inline constexpr int block_dtypes = 14;  // the columns, in the order of Dtype::Val
struct BlockRow {
  Block of[block_dtypes];  // null: the op does not compute in that dtype
};

// Rows follow ops::UnaryOps, BinaryOps and TernaryOps; cast[from][to] leaves out pairs of halves,
// which go through float.
struct Blocks {
  const BlockRow *unary, *binary, *ternary, *cast;
};
extern const Blocks blocks_baseline, blocks_avx2, blocks_avx512;

}  // namespace tarn::cpu
