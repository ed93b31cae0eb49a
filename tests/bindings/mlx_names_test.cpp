// MLX's names through MLX's headers, in the ways in which programs say them.
#include <gtest/gtest.h>

#include "mlx/allocator.h"
#include "mlx/graph_utils.h"
#include "mlx/mlx.h"
#include "mlx/small_vector.h"
#include "mlx/types/complex.h"
#include "mlx/types/half_types.h"

namespace mx = mlx::core;

// A program's own operation beside MLX's, as its extensions are written.
namespace mlx::core {

array axpby(const array& x, const array& y, float alpha, float beta, StreamOrDevice s = {}) {
  return add(multiply(array(alpha), x, s), multiply(array(beta), y, s), s);
}
namespace {
array twice(const array& x) { return x + x; }
}  // namespace

}  // namespace mlx::core

namespace {

namespace with_directive {
using namespace mlx::core;

// In the way of MLX's own tests: every name unqualified, inner namespaces too.
array normed(const array& x) {
  std::vector<array> parts = {fast::rms_norm(x, std::nullopt, 1e-5f),
                              random::uniform({2, 2}, random::key(0))};
  return abs(parts[0]) + exp(zeros_like(x)) - ones({2, 2}, float32, Device::cpu);
}
}  // namespace with_directive

TEST(MlxNames, TheNamespaceCanBeReopened) {
  auto y = mx::axpby(mx::array({1.0f, 2.0f}), mx::array({10.0f, 20.0f}), 2.0f, 0.5f);
  EXPECT_TRUE(mx::array_equal(y, mx::array({7.0f, 14.0f})).item<bool>());
  EXPECT_EQ(mx::twice(mx::array(4)).item<int>(), 8);
}

TEST(MlxNames, ADirectiveBringsTheInnerNamespacesToo) {
  using namespace mlx::core;
  array x = array({3.0f, 3.0f, -3.0f, 3.0f}, {2, 2});
  EXPECT_TRUE(allclose(with_directive::normed(x), ones({2, 2})).item<bool>());
  EXPECT_FALSE(metal::is_available());
}

TEST(MlxNames, TypesAreTheSameOnBothSides) {
  static_assert(std::is_same_v<mx::array, tarn::array>);
  static_assert(std::is_same_v<mx::Shape, tarn::Shape>);
  static_assert(mx::is_arrays_v<mx::array&, const mx::array> && !mx::is_array_v<int>);
  static_assert(!std::is_assignable_v<mx::array, mx::array>, "assigned to a temporary");
  EXPECT_EQ(MLX_VERSION_NUMERIC, 32004);
}

TEST(MlxNames, StreamsAndDevicesConvert) {
  mx::StreamOrDevice by_enum = mx::Device::cpu, by_device = mx::default_device(), nothing = {};
  for (auto s : {by_enum, by_device, nothing})
    EXPECT_EQ(mx::add(mx::array(1), mx::array(2), s).item<int>(), 3);
  EXPECT_EQ(mx::cu::is_available(), mx::gpu::device_count() > 0);
}

TEST(MlxNames, AnArraySaysWhereItIs) {
  auto x = mx::arange(6.0f) + 1.0f;
  EXPECT_EQ(x.status(), mx::array::Status::unscheduled);
  EXPECT_TRUE(x.has_primitive());
  EXPECT_EQ(x.inputs().size(), 2u);
  x.eval();
  EXPECT_EQ(x.status(), mx::array::Status::available);
  EXPECT_FALSE(x.has_primitive());
  EXPECT_TRUE(x.inputs().empty());
  EXPECT_GE(x.buffer_size(), x.nbytes());
  float* numbers = x.data<float>();
  numbers[5] = 60;
  EXPECT_EQ(mx::sum(x).item<float>(), 75);
}

TEST(MlxNames, AViewLiesInItsSource) {
  auto x = mx::reshape(mx::arange(24), {2, 3, 4});
  auto part = mx::transpose(mx::slice(x, {0, 1, 1}, {2, 3, 4}), {2, 1, 0});  // (3, 2, 2)
  auto row = mx::broadcast_to(mx::slice(x, {1, 0, 0}, {2, 1, 4}), {2, 3, 4});
  mx::eval(x, part, row);
  EXPECT_EQ(part.strides(), (mx::Strides{1, 4, 12}));
  EXPECT_EQ(part.offset(), 5 * 4);
  EXPECT_EQ(part.data_size(), 19u);
  EXPECT_EQ(part.data<int>(), x.data<int>() + 5);
  EXPECT_FALSE(part.flags().contiguous);
  EXPECT_EQ(row.strides(), (mx::Strides{0, 0, 1}));
  EXPECT_EQ(row.data_size(), 4u);
  EXPECT_TRUE(row.flags().contiguous);
  EXPECT_FALSE(row.flags().row_contiguous);
  EXPECT_EQ(row.buffer_size(), x.buffer_size());
  // Axes of size 1 keep the stride they had, and an empty array has no stride to follow.
  EXPECT_EQ(mx::transpose(mx::reshape(mx::arange(3), {1, 3})).strides(), (mx::Strides{1, 3}));
  EXPECT_EQ(mx::zeros({2, 0, 4}).strides(), (mx::Strides{0, 4, 1}));
  EXPECT_TRUE(mx::zeros({2, 0, 4}).flags().col_contiguous);
}

std::string message_of(auto f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no error";
}

TEST(MlxNames, WhatIsNotThereIsAnError) {
  auto x = mx::ones({2, 3});
  EXPECT_EQ(message_of([&] { (void)x.strides(2); }),
            "[strides] axis 2 of an array of shape (2, 3).");
  EXPECT_EQ(message_of([&] { (void)x.shape(-3); }), "[shape] axis -3 of an array of shape (2, 3).");
}

}  // namespace
