// The card's table, without a card: what is said to run there has a row, and every formula a block.
#include "cuda/table.h"

#include <gtest/gtest.h>

#include "cuda/chain_source.h"
#include "graph/node.h"
#include "ops/all.h"
#include "ops/kinds.h"

namespace tarn::cuda {
namespace {

TEST(Table, HasARowOfEachOpWithAKernel) {
  Backend b;
  add_chains(b);
  add_reductions(b.table);
  add_movements(b.table);
  add_products(b.table);
  add_rows(b.table);
  EXPECT_NE(b.fused.run, nullptr);
  std::string without;
  for (const char* name : {"sum",
                           "prod",
                           "max",
                           "min",
                           "all",
                           "any",
                           "argmax",
                           "argmin",
                           "softmax",
                           "logsumexp",
                           "rms_norm",
                           "layer_norm",
                           "rope",
                           "attention",
                           "matmul",
                           "quantized_matmul",
                           "dequantize",
                           "gather",
                           "take_along_axis",
                           "slice_update",
                           "concatenate",
                           "view"}) {
    bool found = false;
    for (const Op* op : ops::all()) found |= op->name == name && !b.table.rows(*op).empty();
    if (!found) without += std::string(" ") + name;
  }
  EXPECT_EQ(without, "");
}

// In float32 each elementwise op that computes there is a program for the interpreter.
TEST(Table, InterpretsEveryElementwiseOp) {
  int programs = 0;
  for (const Op* op : ops::all()) {
    if (op->kind != Kind::elementwise) continue;
    Operand x;
    x.dtype = float32, x.shape = {100}, x.strides = {1};
    for (int arity : {1, 2, 3}) {
      FusedOp f{op, {~0, ~1, ~2}, arity, float32, float32};
      std::vector<Operand> in(static_cast<size_t>(arity), x);
      programs += program_of({&f, 1}, in).has_value();
    }
  }
  EXPECT_GT(programs, 60);
}

}  // namespace
}  // namespace tarn::cuda
