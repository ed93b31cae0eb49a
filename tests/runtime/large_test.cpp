// Arrays of more than 2^31 elements: sizes and offsets are 64 bits wide everywhere.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tarn/tarn.h"

namespace tarn {
namespace {

constexpr int64_t many = (int64_t{1} << 31) + 5;

TEST(Large, ElementsBehindTheTwoThousandMillionthAreThere) {
  double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
  if (memory < 8e9) GTEST_SKIP() << "needs a machine with 8 GB of memory; this one has " << memory;
  array x = zeros({many}, uint8);
  x = slice_update(x, array({3, 4, 5}, uint8), {many - 3}, {many});
  eval(x);
  EXPECT_EQ(x.size(), static_cast<size_t>(many));
  EXPECT_EQ(x.data<uint8_t>()[many - 2], 4);
  EXPECT_EQ(sum(x).item<uint32_t>(), 12u);
  EXPECT_EQ(argmax(x).item<uint32_t>(), static_cast<uint32_t>(many - 1));
  EXPECT_EQ(max(x).item<uint8_t>(), 5);
  EXPECT_EQ(take(x, array(many - 3, int64)).item<uint8_t>(), 3);
  EXPECT_EQ(slice(x, {many - 1}, {many}).item<uint8_t>(), 5);
  EXPECT_EQ(slice(x, {many - 1}, {many - 2}, {-1}).item<uint8_t>(), 5);
  array odd = slice(x, {0}, {many}, {2});
  EXPECT_EQ(odd.size(), static_cast<size_t>(many / 2 + 1));
  EXPECT_EQ(sum(astype(slice(odd, {many / 2 - 3}, {many / 2 + 1}), int32)).item<int32_t>(), 8);
  x = x + array(1, uint8);
  eval(x);
  EXPECT_EQ(x.data<uint8_t>()[many - 1], 6);
  EXPECT_EQ(x.data<uint8_t>()[0], 1);
}

TEST(Large, ViewsOfFewElementsMaySpanMore) {
  array row = array({1, 2, 3}, int8);
  array wide = broadcast_to(row, {int64_t{1} << 32, 3});
  EXPECT_EQ(wide.shape(0), int64_t{1} << 32);
  array corner = slice(wide, {(int64_t{1} << 32) - 1, 1}, {int64_t{1} << 32, 3});
  EXPECT_EQ(sum(astype(corner, int32)).item<int32_t>(), 5);
  EXPECT_EQ(flatten(slice(wide, {5, 0}, {6, 3})).shape(), (Shape{3}));
}

}  // namespace
}  // namespace tarn
