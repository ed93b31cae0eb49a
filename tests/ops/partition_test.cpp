// Partitions: what is promised beyond MLX's, and the k largest beside a whole sort.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tarn/tarn.h"

namespace tarn {
namespace {

template <class T>
std::vector<T> values_of(array a) {
  a = contiguous(a);
  a.eval();
  return {a.data<T>(), a.data<T>() + a.size()};
}

TEST(Partition, KeepsTheOrderOnEitherSide) {
  array a({5, 1, 3, 9, 3, 0, 3, 7, 2});
  EXPECT_EQ(values_of<int32_t>(partition(a, 4)), (std::vector{1, 3, 0, 2, 3, 5, 9, 3, 7}));
  EXPECT_EQ(values_of<uint32_t>(argpartition(a, 4)),
            (std::vector<uint32_t>{1, 2, 5, 8, 4, 0, 3, 6, 7}));
}

TEST(Partition, PutsNanBehindAll) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  array a({nan, 2.0f, nan, -1.0f, std::numeric_limits<float>::infinity()});
  EXPECT_EQ(values_of<uint32_t>(argpartition(a, 2)), (std::vector<uint32_t>{1, 3, 4, 0, 2}));
  EXPECT_EQ(values_of<uint32_t>(argpartition(a, 3)), (std::vector<uint32_t>{1, 3, 4, 0, 2}));
  EXPECT_EQ(values_of<uint32_t>(argpartition(a, 4)), (std::vector<uint32_t>{0, 1, 3, 4, 2}));
}

// Numbers with many ties, along either axis and for every k.
TEST(Partition, EveryElementBelongsWhereItStands) {
  array a = random::randint(-6, 7, {5, 17}, int32, random::key(3));
  for (int axis : {0, 1}) {
    int n = static_cast<int>(a.shape(axis));
    array sorted = sort(a, axis);
    for (int k = 0; k < n; ++k) {
      array parts = partition(a, k, axis);
      array pivot = take(sorted, array({k}), axis);
      EXPECT_TRUE(array_equal(take(parts, array({k}), axis), pivot).item<bool>()) << k;
      EXPECT_TRUE(array_equal(sort(parts, axis), sorted).item<bool>()) << k;
      array place = arange(0, n, int32), column = axis == 0 ? reshape(place, {n, 1}) : place;
      array stands =
          where(less(column, array(k)), less_equal(parts, pivot), greater_equal(parts, pivot));
      EXPECT_TRUE(all(stands).item<bool>()) << k;
      EXPECT_TRUE(
          array_equal(take_along_axis(a, argpartition(a, k, axis), axis), parts).item<bool>())
          << k;
    }
  }
}

TEST(Partition, TheLargestComeInRisingOrder) {
  array a = random::normal({3, 50}, float32, 0.0f, 1.0f, random::key(4));
  for (int k : {0, 1, 7, 25, 26, 50}) {
    array all = sort(a, 1);
    EXPECT_TRUE(array_equal(topk(a, k, 1), slice(all, {0, 50 - k}, {3, 50})).item<bool>()) << k;
  }
}

// The derivative of a partition takes each cotangent to where its element came from.
TEST(Partition, HasTheDerivativeOfItsOrder) {
  array a({0.5f, -2.0f, 4.0f, 1.0f, 3.0f}), weights({1.0f, 10.0f, 100.0f, 1000.0f, 10000.0f});
  auto loss = [&](const array& x) { return sum(partition(x, 2) * weights); };
  EXPECT_EQ(values_of<float>(partition(a, 2)), (std::vector{0.5f, -2.0f, 1.0f, 4.0f, 3.0f}));
  EXPECT_EQ(values_of<float>(grad(loss)(a)), (std::vector{1.0f, 10.0f, 1000.0f, 100.0f, 10000.0f}));
}

}  // namespace
}  // namespace tarn
