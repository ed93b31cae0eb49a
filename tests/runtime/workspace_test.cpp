// What evaluations work in, kept from one to the next.
#include <gtest/gtest.h>

#include "tarn/memory.h"
#include "tarn/ops.h"

namespace tarn_test {
namespace {

using namespace tarn;

// Needs 4 n n bytes to work in and more, for matrices that nobody keeps.
float product_sum(int64_t n) {
  array total = sum(matmul(full({n, n}, 0.5f), full({n, n}, 2.0f)));
  return total.item<float>();
}
float sum_of(int64_t n) { return static_cast<float>(n * n * n); }

class Workspace : public testing::Test {
 protected:
  void SetUp() override {
    limit_ = set_cache_limit(0);
    clear_cache();
    for (int64_t n : {64, 256, 512, 1024}) product_sum(n);  // plans hold constants of their own
  }
  void TearDown() override { set_cache_limit(limit_); }

 private:
  size_t limit_ = 0;
};

TEST_F(Workspace, StaysWhileTheScopeLives) {
  size_t before = get_active_memory();
  {
    WorkspaceScope scope;
    EXPECT_EQ(product_sum(512), sum_of(512));
    size_t kept = get_active_memory() - before;
    EXPECT_GE(kept, size_t{4} * 512 * 512);
    EXPECT_EQ(product_sum(64), sum_of(64));  // in the same block
    EXPECT_EQ(get_active_memory() - before, kept);
    reset_peak_memory();
    EXPECT_EQ(product_sum(1024), sum_of(1024));  // instead of it
    EXPECT_LT(get_peak_memory() - before, kept + (get_active_memory() - before));
    EXPECT_GE(get_active_memory() - before, size_t{4} * 1024 * 1024);
  }
  EXPECT_EQ(get_active_memory(), before);
}

TEST_F(Workspace, ScopesNest) {
  size_t before = get_active_memory();
  {
    WorkspaceScope outer;
    product_sum(512);
    size_t kept = get_active_memory();
    {
      WorkspaceScope inner;
      product_sum(256);
      EXPECT_EQ(get_active_memory(), kept);
      product_sum(1024);
      EXPECT_GT(get_active_memory(), kept);
      kept = get_active_memory();
    }
    EXPECT_EQ(get_active_memory(), kept);
  }
  EXPECT_EQ(get_active_memory(), before);
}

TEST_F(Workspace, AFailedEvaluationLeavesItUsable) {
  WorkspaceScope scope;
  array a = full({256, 256}, 1.0f);
  array wrong = take_along_axis(matmul(a, a), full({256, 1}, 300, int32), 1);
  EXPECT_THROW(sum(wrong).eval(), std::out_of_range);
  EXPECT_EQ(product_sum(256), sum_of(256));
}

}  // namespace
}  // namespace tarn_test
