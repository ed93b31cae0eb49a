// Integers wrap around wherever they are added up or multiplied; the sanitizers' build says whether
// that is by the language's rules.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tarn/tarn.h"

namespace tarn {
namespace {

template <class T>
class Integers : public testing::Test {};
using Signed = testing::Types<int8_t, int16_t, int32_t, int64_t>;
TYPED_TEST_SUITE(Integers, Signed);

template <class T>
std::vector<T> values_of(array a) {
  a.eval();
  return {a.data<T>(), a.data<T>() + a.size()};
}

TYPED_TEST(Integers, WrapAround) {
  using T = TypeParam;
  constexpr T top = std::numeric_limits<T>::max(), low = std::numeric_limits<T>::min();
  array line({top, T(1), T(2)}), column = reshape(line, {3, 1});
  Dtype t = line.dtype();
  EXPECT_EQ(values_of<T>(cumsum(line)), (std::vector<T>{top, low, low + 2}));
  EXPECT_EQ(values_of<T>(cumprod(line)), (std::vector<T>{top, top, T(-2)}));
  EXPECT_EQ(values_of<T>(astype(sum(line), t)), std::vector<T>{low + 2});
  EXPECT_EQ(values_of<T>(astype(sum(column, 0), t)), std::vector<T>{low + 2});
  EXPECT_EQ(values_of<T>(astype(prod(line), t)), std::vector<T>{T(-2)});
  EXPECT_EQ(values_of<T>(line + line), (std::vector<T>{T(-2), 2, 4}));
  EXPECT_EQ(values_of<T>(line * line), (std::vector<T>{1, 1, 4}));
  array at({0, 0, 1}), updates = reshape(line, {3, 1});
  EXPECT_EQ(values_of<T>(scatter_add(array({top, low}), at, updates, 0)),
            (std::vector<T>{T(-1), T(low + 2)}));
}

}  // namespace
}  // namespace tarn
