// Evaluations inside a function that is being differentiated: what the derivative needs stays.
#include <gtest/gtest.h>

#include "tarn/tarn.h"

namespace tarn {
namespace {

// square's derivative reads x, so the update may not take over its memory.
TEST(History, AnUpdateLeavesWhatTheDerivativeReads) {
  auto f = [](const array& a) {
    array x = a * array(3.0f);
    x.eval();
    array y = sum(square(x)) + sum(slice_update(x, full({1}, 100.0f), {0}, {1}));
    x = array(0.0f);
    y.eval();
    return y;
  };
  array slope = grad(f)(ones({2}));
  EXPECT_EQ(slope.data<float>()[0], 18);  // 2 * 3 * 3; the update cuts its own way off
  EXPECT_EQ(slope.data<float>()[1], 21);
}

TEST(History, AnAsynchronousEvaluationKeepsIt) {
  auto f = [](const array& a) {
    array y = sum(square(a));
    async_eval(y);
    synchronize();
    return y;
  };
  EXPECT_EQ(grad(f)(array({3.0f})).item<float>(), 6);
}

}  // namespace
}  // namespace tarn
