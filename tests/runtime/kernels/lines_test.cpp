// Sorts, partitions, searches, scans and random bits: what a device computes of lines of every
// length, layout and dtype is what the CPU computes, to the last bit where nothing is rounded.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/second_memory.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

class Lines : public tarn_test::OnDevice {};
class LinesOf : public tarn_test::OnDevice, public testing::WithParamInterface<Dtype> {};

const std::vector<Dtype> sortable{bool_, uint8, uint16,  uint32,  uint64,  int8,    int16,
                                  int32, int64, float16, float32, float64, bfloat16};

// Numbers in no order, of which many are equal; floats have NaN, both zeros and both infinities.
array mixed(const Shape& shape, Dtype t, int64_t distinct = 251) {
  int64_t n = 1;
  for (auto d : shape) n *= d;
  std::vector<double> values(static_cast<size_t>(n));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double inf = std::numeric_limits<double>::infinity();
  const double odd[] = {0.0, -0.0, nan, inf, -inf, -nan};
  for (int64_t i = 0; i < n; ++i) {
    int64_t k = (i * i * 31 + i * 17) % distinct;
    double v = static_cast<double>(k - distinct / 2) * (distinct > 1000 ? 0.013 : 0.75);
    bool unsigned_ = t == bool_ || issubdtype(t, unsignedinteger);
    if (issubdtype(t, floating) && i % 13 == 5) v = odd[i / 13 % 6];
    values[static_cast<size_t>(i)] = unsigned_ ? std::abs(v) : v;
  }
  array x = astype(array(values.begin(), shape, float64), t);
  // Of 64 bits, numbers that no double tells apart.
  if (t == int64 || t == uint64)
    x = x * array(int64_t{1} << 54, t) +
        reshape(arange(0.0, static_cast<double>(n), t), shape) % array(3, t);
  x.eval();
  return x;
}
// Bits, so that -0 and NaN have to be where the CPU has them.
array bits(const array& x) {
  return view(x, x.dtype().size == 1 ? uint8 : x.dtype().size == 2 ? uint16 : uint32);
}

template <class F>
void expect_same(const char* what, const array& x, F f, bool bit_by_bit = true) {
  array want = [&] {
    StreamContext scope{Device::cpu};
    array y = f(x);
    y.eval();
    return y;
  }();
  StreamContext scope{Device::gpu};
  array got = f(x);
  got.eval();
  array same = bit_by_bit ? array_equal(bits(got), bits(want), Device::cpu)
                          : array_equal(got, want, true, Device::cpu);
  EXPECT_TRUE(same.item<bool>()) << what << " of " << name_of(x.dtype()) << " " << x.shape();
}

struct Layouts {
  Shape shape{};
  int axis = -1;
};
// A block of each size, a long line, several, many, columns, and lines of a transposed matrix.
const std::vector<Layouts> layouts{{{1}},          {{5, 33}},        {{3, 129}},  {{2, 4096}},
                                   {{9001}},       {{3, 5000}},      {{7, 4500}}, {{130, 6}, 0},
                                   {{4500, 6}, 0}, {{2, 300, 5}, 1}, {{0, 7}},    {{7, 0}, 0}};

TEST_P(LinesOf, AreSortedAsOnTheCpu) {
  for (const auto& [shape, axis] : layouts) {
    array x = mixed(shape, GetParam());
    expect_same("argsort", x, [&, a = axis](const array& v) { return argsort(v, a); });
    expect_same("sort", x, [&, a = axis](const array& v) { return sort(v, a); });
  }
}

TEST_P(LinesOf, ArePartitionedAsOnTheCpu) {
  for (const auto& [shape, axis] : layouts) {
    array x = mixed(shape, GetParam());
    int64_t n = x.shape(axis);
    for (int64_t kth : {int64_t{0}, n / 3, n - 1}) {
      if (n == 0) continue;
      auto k = static_cast<int>(kth);
      expect_same("argpartition", x,
                  [&, a = axis](const array& v) { return argpartition(v, k, a); });
      expect_same("partition", x, [&, a = axis](const array& v) { return partition(v, k, a); });
    }
  }
  array pieces = mixed({2, 40000}, GetParam());
  for (int kth : {0, 20000, 39999})
    expect_same("argpartition", pieces, [&](const array& v) { return argpartition(v, kth); });
}

TEST_F(Lines, OfManyNumbersHaveTheLargestOfThem) {
  array x = mixed({2, 30000}, float32, 29989);
  expect_same("argpartition", x, [](const array& v) { return argpartition(v, 29900); });
  expect_same("topk", x, [](const array& v) { return topk(v, 40); });
}

TEST_P(LinesOf, AreSearchedAsOnTheCpu) {
  array line = sort(mixed({500}, GetParam())), wanted = mixed({3, 70}, GetParam());
  line.eval();
  for (const char* side : {"left", "right"})
    expect_same("searchsorted", wanted,
                [&](const array& v) { return searchsorted(line, v, side); });
}

// A thread a line, a warp, a block, and pieces of lines and columns.
const std::vector<Layouts> scanned{
    {{1}},          {{5, 33}},      {{1030, 70}},     {{3, 5000}}, {{40000}}, {{2, 20000}},
    {{300, 70}, 0}, {{3000, 6}, 0}, {{2, 300, 5}, 1}, {{900, 3}},  {{0, 7}},  {{7, 0}, 0}};

// Exact where numbers are integers, also as floats. Nothing is said of a NaN's bits.
TEST_P(LinesOf, AreScannedAsOnTheCpu) {
  Dtype t = GetParam();
  for (const auto& [shape, axis] : scanned)
    for (int way = 0; way < 4; ++way) {
      bool reverse = way % 2 == 1, inclusive = way < 2;
      array x = mixed(shape, t);
      auto same = [&, a = axis](const char* what, auto scan, const array& of) {
        expect_same(
            what, of, [&](const array& v) { return scan(v, a, reverse, inclusive); }, false);
      };
      same(
          "cummax", [](auto&... p) { return cummax(p...); }, x);
      same(
          "cummin", [](auto&... p) { return cummin(p...); }, x);
      if (issubdtype(t, floating))
        x = astype(astype(nan_to_num(x, 0.f, 1.f, 1.f), int32) % array(3), t);
      array signs = where(equal(x, array(0, t)), array(1, t), array(-1, t));
      eval(x, signs);
      same(
          "cumsum", [](auto&... p) { return cumsum(p...); }, x);
      same(
          "cumprod", [](auto&... p) { return cumprod(p...); }, signs);
    }
}

INSTANTIATE_TEST_SUITE_P(All, LinesOf, testing::ValuesIn(sortable),
                         [](const auto& t) { return std::string(name_of(t.param)); });

TEST_F(Lines, OfRoundedNumbersAreScannedAsOnTheCpu) {
  for (Dtype t : {float32, float64, complex64})
    for (const auto& [shape, axis] :
         std::vector<Layouts>{{{40000}}, {{1100, 40}}, {{3000, 6}, 0}, {{3, 5000}}})
      for (bool reverse : {false, true}) {
        array x = astype(mixed(shape, int32) % 7, t) * array(0.01f);
        x = astype(x, t);
        x.eval();
        auto both = [&, a = axis](auto f) {
          array want = f(x, a, Device::cpu), got = f(x, a, Device::gpu);
          eval(want, got);
          EXPECT_TRUE(allclose(got, want, 1e-5, 1e-7, false, Device::cpu).item<bool>())
              << name_of(t) << " " << shape;
        };
        both([&](auto& v, int i, auto s) { return cumsum(v, i, reverse, true, s); });
        both([&](auto& v, int i, auto s) {
          return cumprod(v + array(0.97f, v.dtype()), i, reverse, true, s);
        });
        if (t != complex64)
          both([&](auto& v, int i, auto s) { return logcumsumexp(v, i, reverse, false, s); });
      }
}

TEST_F(Lines, OfRandomBitsAreTheCpus) {
  array keys = random::split(random::key(7), 5);
  keys.eval();
  for (int width : {1, 2, 4})
    for (int64_t n : {1, 2, 3, 7, 1000, 4097}) {
      array one = random::key(static_cast<uint64_t>(n));
      one.eval();
      expect_same("bits", one, [&](const array& k) { return random::bits({n}, width, k); });
      expect_same("bits of many keys", keys, [&](const array& all) {
        return vmap([&](const array& k) { return random::bits({n}, width, k); })(all);
      });
    }
}

}  // namespace
}  // namespace tarn
