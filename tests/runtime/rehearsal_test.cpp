// What a rehearsal counts, and that it leaves everything else alone.
#include <gtest/gtest.h>

#include "runtime/eval.h"
#include "tarn/memory.h"
#include "tarn/ops.h"

namespace tarn_test {
namespace {

using namespace tarn;

// Blocks of 4 MiB and more lie in large pages; these are smaller.
constexpr int64_t rows = 512, columns = 1024;
constexpr size_t bytes = rows * columns * sizeof(float);

TEST(Rehearsal, CountsResultsAndWorkspaceWithoutTakingThem) {
  array x = ones({rows, columns});
  x.eval();
  size_t active = get_active_memory();
  MemoryRehearsal rehearsal;
  array y = exp(x);
  y.eval();
  EXPECT_EQ(rehearsal.peak(), bytes);
  array z = softmax(matmul(y, transpose(y)), -1);
  z.eval();
  size_t product = rows * rows * sizeof(float);
  EXPECT_GE(rehearsal.peak(), bytes + 2 * product);  // a product and its softmax
  EXPECT_LT(rehearsal.peak(), bytes + 2 * product + 10 * bytes);
  EXPECT_GT(rehearsal.plans(), 1000u);
  EXPECT_LT(get_active_memory(), active + 100'000);
  EXPECT_EQ(z.shape(), (Shape{rows, rows}));
  EXPECT_EQ(sum(abs(y)).item<float>(), 0.0f);  // nothing was computed
}

TEST(Rehearsal, WhatIsFreedIsUsedAgain) {
  array x = ones({rows, columns});
  x.eval();
  MemoryRehearsal rehearsal;
  for (int i = 0; i < 20; ++i) {
    array y = x * array(static_cast<float>(i)) + x;
    y.eval();
  }
  EXPECT_EQ(rehearsal.peak(), bytes);
}

TEST(Rehearsal, UpdatesInPlaceTakeNothing) {
  MemoryRehearsal rehearsal;
  array x = zeros({rows, columns});
  x.eval();
  for (int i = 0; i < 8; ++i) {
    x = slice_update(x, ones({1, columns}), {i, 0}, {i + 1, columns});
    x.eval();
  }
  EXPECT_LE(rehearsal.peak(), bytes + 2 * columns * sizeof(float));  // and the row to write
}

TEST(Rehearsal, KeepsWhatIsKeptForReuseWithinItsLimit) {
  size_t limit = set_cache_limit(0);
  {
    MemoryRehearsal rehearsal;
    for (int64_t n : {100, 200, 300}) full({n, columns}, 2.0f).eval();
    EXPECT_EQ(rehearsal.peak(), 300 * columns * sizeof(float));
  }
  set_cache_limit(size_t{1} << 30);
  {
    MemoryRehearsal rehearsal;
    for (int64_t n : {100, 200, 300}) full({n, columns}, 2.0f).eval();
    EXPECT_EQ(rehearsal.peak(), 600 * columns * sizeof(float));
  }
  set_cache_limit(limit);
}

TEST(Rehearsal, RealEvaluationsBeforeAndAfterAreRight) {
  auto sum_of = [](float from) { return sum(full({64, 64}, from) + array(1.0f)).item<float>(); };
  EXPECT_EQ(sum_of(1), 2 * 64 * 64);
  {
    MemoryRehearsal rehearsal;
    EXPECT_EQ(sum_of(1), 0.0f);
    MemoryRehearsal inner;
    EXPECT_EQ(sum_of(2), 0.0f);
  }
  uint64_t plans = eval_counters().plans_made;
  EXPECT_EQ(sum_of(1), 2 * 64 * 64);
  EXPECT_EQ(sum_of(2), 3 * 64 * 64);
  EXPECT_EQ(eval_counters().plans_made, plans);  // the rehearsed plans are the real ones
}

}  // namespace
}  // namespace tarn_test
