// Convolutions as the card expands them, without a card: what the CPU's kernels make of that is
// what they make of the convolution.
#include "ops/conv.h"

#include <gtest/gtest.h>

#include "cuda/table.h"
#include "laws/samples.h"

namespace tarn::cuda {
namespace {

Operand shaped(const array& x) {
  Operand o;
  o.dtype = x.dtype(), o.shape = x.shape(), o.strides = row_strides(x.shape());
  return o;
}

TEST(Convolutions, AreWhatTheirExpansionsMake) {
  Backend b;
  add_convolutions(b.table);
  const Op& op = ops::op_of<ops::Convolution>;
  std::map<std::string_view, int> by;
  for (const auto& s : laws::convolutions(float32)) {
    array want = laws::call(op, s.params, s.in);
    std::vector<Operand> in{shaped(s.in[0]), shaped(s.in[1])};
    Step step;
    step.op = &op, step.params = &s.params, step.in = in, step.out = shaped(want);
    const Kernel* k = b.table.find(step);
    if (!k) continue;
    ++by[k->name];
    if (!k->expand) continue;
    array got = k->expand(s.params, s.in)[0];
    ASSERT_EQ(got.shape(), want.shape()) << s.label;
    EXPECT_TRUE(allclose(got, want, 1e-4, 1e-5).item<bool>()) << s.label;
  }
  EXPECT_EQ(by["a thread a number"], 4);
  EXPECT_EQ(by["windows"], 11);
}

}  // namespace
}  // namespace tarn::cuda
