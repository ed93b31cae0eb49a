// Arrays, shapes, dtypes and memory as values.
#include <gtest/gtest.h>

#include <cmath>

#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

TEST(Array, TellsWhatStandsBehindIt) {
  array x({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  EXPECT_FALSE(x.has_primitive());
  EXPECT_EQ(x.status(), array::Status::available);
  array y = exp(x);
  EXPECT_TRUE(y.has_primitive());
  EXPECT_EQ(y.status(), array::Status::unscheduled);
  ASSERT_EQ(y.inputs().size(), 1u);
  EXPECT_EQ(y.inputs()[0].id(), x.id());
  EXPECT_EQ(y.outputs()[0].id(), y.id());
  EXPECT_TRUE(y.siblings().empty());
  EXPECT_FALSE(y.is_tracer());
  y.detach();
  EXPECT_TRUE(y.is_available());
  EXPECT_TRUE(y.inputs().empty());
  vmap([](const array& row) {
    EXPECT_TRUE(row.is_tracer());
    return row;
  })(x);
}

TEST(Array, ADetachedValueHasNoDerivative) {
  array g = grad([](const array& x) {
    array y = x * x;
    y.detach();
    return sum(y * x);
  })(array({3.0f}));
  EXPECT_EQ(g.item<float>(), 9.0f);
}

TEST(Array, TellsHowItLies) {
  array x = reshape(arange(0.0, 12.0, 1.0), {3, 4});
  x.eval();
  array part = slice(x, {1, 1}, {3, 3});
  EXPECT_EQ(part.strides(0), 4);
  EXPECT_EQ(part.strides(-1), 1);
  EXPECT_EQ(what_is_thrown([&] { part.strides(2); }),
            "[strides] axis 2 of an array of shape (2, 2).");
  EXPECT_EQ(part.data_size(), 6u);
  EXPECT_EQ(part.offset(), 5 * 4);
  EXPECT_EQ(part.buffer_size(), 48u);
  EXPECT_EQ(zeros({0, 3}).data_size(), 0u);
}

TEST(Allocator, MakesArraysOfBuffers) {
  size_t before = get_active_memory();
  {
    allocator::Buffer b = allocator::malloc(3 * sizeof(float));
    EXPECT_EQ(allocator::allocator().size(b), 12u);
    auto* numbers = static_cast<float*>(b.raw_ptr());
    for (int i = 0; i < 3; ++i) numbers[i] = static_cast<float>(i);
    array x(b, {3}, float32);
    EXPECT_EQ(text(x), "array([0, 1, 2], dtype=float32)");
    EXPECT_GT(get_active_memory(), before);
    allocator::Buffer small = allocator::malloc(4);
    EXPECT_EQ(what_is_thrown([&] { array(small, {3}, float32); }),
              "[array] float32 of shape (3) needs 12 bytes, the buffer has 4.");
    allocator::free(small);
  }
  EXPECT_EQ(get_active_memory(), before);

  float mine[2] = {5, 6};
  bool told = false;
  {
    EXPECT_TRUE(allocator::can_reuse_alien_buffer(mine));
    array x(allocator::make_buffer(mine, sizeof mine), {2}, float32, [&](allocator::Buffer b) {
      told = true;
      allocator::release(b);
    });
    EXPECT_EQ(x.data<float>(), mine);
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(set_wired_limit(100), 0u);
  EXPECT_EQ(allocator::Buffer(nullptr).raw_ptr(), nullptr);
}

TEST(Limits, AreThoseOfTheTypes) {
  finfo single(float32), wide(float64), half(float16), brain(bfloat16), pair(complex64);
  EXPECT_EQ(single.max, std::numeric_limits<float>::max());
  EXPECT_EQ(single.eps, std::numeric_limits<float>::epsilon());
  EXPECT_EQ(single.smallest_normal, std::numeric_limits<float>::min());
  EXPECT_EQ(wide.min, std::numeric_limits<double>::lowest());
  EXPECT_EQ(wide.eps, std::numeric_limits<double>::epsilon());
  EXPECT_EQ(half.max, 65504);
  EXPECT_EQ(half.smallest_normal, 0x1p-14);
  EXPECT_EQ(brain.eps, 0x1p-7);
  EXPECT_EQ(brain.max, static_cast<double>(static_cast<float>(bfloat16_t(3.3895313892515355e38f))));
  EXPECT_EQ(pair.max, single.max);
  EXPECT_EQ(half.bits, 16);
  EXPECT_EQ(pair.bits, 32);
  EXPECT_EQ(iinfo(int8).min, -128);
  EXPECT_EQ(iinfo(int8).max, 127u);
  EXPECT_EQ(iinfo(uint64).max, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(iinfo(int64).min, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(iinfo(uint16).min, 0);
  EXPECT_EQ(what_is_thrown([] { finfo f(int8); }),
            "[finfo] int8 is no float dtype. Use iinfo for integers.");
  EXPECT_EQ(what_is_thrown([] { iinfo i(bool_); }),
            "[iinfo] bool is no integer dtype. Use finfo for floats.");
}

TEST(Dtype, HasAnOrderOfKinds) {
  EXPECT_TRUE(issubdtype(float32, inexact));
  EXPECT_TRUE(issubdtype(bool_, generic));
  EXPECT_FALSE(issubdtype(bool_, number));
  EXPECT_TRUE(issubdtype(signedinteger, integer));
  EXPECT_FALSE(issubdtype(integer, signedinteger));
  EXPECT_TRUE(issubdtype(int8, int8));
  EXPECT_FALSE(issubdtype(integer, int8));
  EXPECT_EQ(kindof(bfloat16), Dtype::Kind::V);
  EXPECT_EQ(size_of(complex64), 8);
  EXPECT_EQ(Dtype(TypeToDtype<int16_t>()), int16);
}

TEST(Shape, IsAVector) {
  Shape s(std::vector<int64_t>{1, 2, 3});
  EXPECT_EQ(Shape(s.rbegin(), s.rend()), (Shape{3, 2, 1}));
  EXPECT_EQ(s.at(2), 3);
  EXPECT_EQ(what_is_thrown([&] { s.at(3); }), "[at] index 3 of a vector with 3 elements.");
  s.insert(s.begin() + 1, 2, 9);
  EXPECT_EQ(s, (Shape{1, 9, 9, 2, 3}));
  s.erase(s.begin(), s.begin() + 2);
  EXPECT_EQ(s, (Shape{9, 2, 3}));
  s.erase(s.begin());
  EXPECT_EQ(s.emplace_back(7), 7);
  EXPECT_EQ(s, (Shape{2, 3, 7}));
  EXPECT_GE(s.capacity(), 5u);
}

TEST(Shape, HasItsWords) {
  EXPECT_EQ(safe_cast(uint64_t{7}), 7);
  EXPECT_EQ(what_is_thrown([] { safe_cast(~uint64_t{0}, "mine"); }),
            "[mine] 18446744073709551615 is no size that a shape can hold: at most 2^63 - 1.");
  EXPECT_THROW(safe_cast(1e30), std::overflow_error);
  EXPECT_EQ(normalize_axis_index(-1, 3), 2);
  EXPECT_EQ(what_is_thrown([] { normalize_axis_index(3, 3, "[mine] "); }),
            "[mine] axis 3 for an array with 3 axes.");
  EXPECT_TRUE(is_power_of_2(64) && !is_power_of_2(0) && !is_power_of_2(6));
  EXPECT_EQ(next_power_of_2(5), 8);
  EXPECT_EQ(next_power_of_2(8), 8);
  EXPECT_EQ(next_power_of_2(-3), 1);
  EXPECT_EQ(what_is_thrown([] { next_power_of_2((1 << 30) + 1); }),
            "[next_power_of_2] 1073741825 is above 2^30.");
}

TEST(Random, AKeySequenceIsTheThreadsOrOnesOwn) {
  random::KeySequence mine(7), other(7);
  EXPECT_EQ(text(mine.next()), text(other.next()));
  EXPECT_NE(text(mine.next()), text(mine.next()));
  random::seed(7);
  other.seed(7);
  EXPECT_EQ(text(random::KeySequence::default_().next()), text(other.next()));
}

}  // namespace
}  // namespace tarn
