// The card's table, without a card: what is said to run there has a row, and every formula a block.
#include "cuda/table.h"

#include <gtest/gtest.h>

#include "cuda/chain_source.h"
#include "graph/node.h"
#include "ops/all.h"
#include "ops/communications.h"
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
  add_scans(b.table);
  add_sorts(b.table);
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
                           "view",
                           "sort",
                           "argsort",
                           "searchsorted",
                           "cumsum",
                           "cumprod",
                           "cummax",
                           "cummin",
                           "logcumsumexp",
                           "random_bits"}) {
    bool found = false;
    for (const Op* op : ops::all()) found |= op->name == name && !b.table.rows(*op).empty();
    if (!found) without += std::string(" ") + name;
  }
  EXPECT_EQ(without, "");
}

// By what a group of so many cards makes this of an array of one axis; empty: the host does.
std::string communicated_by(const Op& op, Dtype t, int64_t size, int cards) {
  Backend b;
  add_communications(b.table);
  Params params(ops::GroupParams{nullptr, cards});
  Operand x;
  x.dtype = t, x.shape = {size}, x.strides = {1};
  Step s;
  s.op = &op, s.params = &params;
  s.in = {&x, 1}, s.out = x;
  const Kernel* k = b.table.find(s);
  return k ? std::string(k->name) : "";
}
// NCCL's own only where they have the bits of sums in rank order, and NaN wins.
TEST(Table, HasCommunicationsForGroupsWithCards) {
  using namespace ops;
  constexpr int64_t few = 16384, many = 16385;
  EXPECT_EQ(communicated_by(op_of<AllSum>, float32, few, 0), "");
  EXPECT_EQ(communicated_by(op_of<AllSum>, float32, few, 2), "direct");
  EXPECT_EQ(communicated_by(op_of<AllSum>, float32, few, 8), "direct");
  EXPECT_EQ(communicated_by(op_of<AllSum>, float32, many, 2), "nccl");
  EXPECT_EQ(communicated_by(op_of<AllSum>, bfloat16, few, 2), "nccl");
  EXPECT_EQ(communicated_by(op_of<AllSum>, float32, many, 3), "exchange and fold");
  EXPECT_EQ(communicated_by(op_of<AllSum>, int64, many, 3), "nccl");
  EXPECT_EQ(communicated_by(op_of<AllSum>, int16, few, 2), "exchange and fold");
  EXPECT_EQ(communicated_by(op_of<AllSum>, bool_, few, 2), "exchange and fold");
  EXPECT_EQ(communicated_by(op_of<AllSum>, complex64, few, 2), "");
  EXPECT_EQ(communicated_by(op_of<AllMax>, float32, few, 2), "exchange and fold");
  EXPECT_EQ(communicated_by(op_of<AllMin>, uint8, few, 4), "nccl");
  EXPECT_EQ(communicated_by(op_of<SumScatter>, float16, few, 2), "nccl");
  EXPECT_EQ(communicated_by(op_of<SumScatter>, float16, few, 4), "exchange and fold");
  EXPECT_EQ(communicated_by(op_of<AllGather>, complex64, few, 2), "nccl");
  EXPECT_EQ(communicated_by(op_of<AllGather>, complex64, few, 0), "");
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
