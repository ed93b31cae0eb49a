// Quantised numbers and the products with them: what no other library is asked about.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "error_of.h"
#include "ops/numbers.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;
using tarn_test::largest;
using tarn_test::normal;
using tarn_test::values;

// The largest difference, as a part of the largest number.
double distance(const array& a, const array& b) {
  return largest(astype(a, float64) - astype(b, float64)) / largest(b);
}
const std::vector<std::string> modes{"affine", "mxfp4", "mxfp8", "nvfp4"};
std::optional<array> biases_of(const std::vector<array>& q) {
  return q.size() > 2 ? std::optional(q[2]) : std::nullopt;
}

// --- float8

double e4m3(int code) {
  int exponent = code >> 3 & 15, fraction = code & 7;
  double size =
      exponent == 0 ? fraction * std::ldexp(1, -9) : std::ldexp(1 + fraction / 8.0, exponent - 7);
  if ((code & 127) == 127) size = std::numeric_limits<double>::quiet_NaN();
  return code & 128 ? -size : size;
}
TEST(Float8, EveryCodeIsItsNumber) {
  for (Dtype t : {float32, float16, bfloat16, float64}) {
    auto got = values(from_fp8(arange(0.0, 256.0, uint8), t));
    for (int code = 0; code < 256; ++code) {
      double want = e4m3(code), x = got[static_cast<size_t>(code)];
      EXPECT_TRUE(x == want || (std::isnan(x) && std::isnan(want))) << code << " is " << x;
      if (want == 0) {
        EXPECT_EQ(std::signbit(x), std::signbit(want)) << code;
      }
    }
  }
}
TEST(Float8, NumbersRoundToTheNearestAndTiesToEven) {
  std::vector<double> x;
  std::vector<int> want;
  for (int code = 0; code < 126; ++code) {
    double low = e4m3(code), high = e4m3(code + 1), middle = (low + high) / 2;
    x.insert(x.end(), {low, middle, std::nextafter(float(middle), 0.f),
                       std::nextafter(float(middle), 1e9f)});
    want.insert(want.end(), {code, code % 2 ? code + 1 : code, code, code + 1});
  }
  x.insert(x.end(), {448, 449, 464, 1e30, std::numeric_limits<double>::infinity()});
  want.insert(want.end(), 5, 126);
  for (Dtype t : {float32, float64})
    for (double sign : {1.0, -1.0}) {
      std::vector<double> turned;
      for (double v : x) turned.push_back(sign * v);
      auto n = static_cast<int64_t>(x.size());
      auto got = values(to_fp8(astype(array(turned.begin(), {n}, float64), t)));
      for (size_t i = 0; i < x.size(); ++i)
        EXPECT_EQ(got[i], want[i] + (sign < 0 ? 128 : 0)) << turned[i];
    }
  EXPECT_EQ(to_fp8(array(std::numeric_limits<float>::quiet_NaN())).item<uint8_t>() & 127, 126);
}
TEST(Float8, TakesWhatItSays) {
  EXPECT_EQ(error_of([] { to_fp8(array(1)); }), "[to_fp8] x is int32; it must be a float.");
  EXPECT_EQ(error_of([] { from_fp8(array(1.0f), float32); }),
            "[from_fp8] x is float32; float8 numbers are uint8.");
  EXPECT_EQ(error_of([] { from_fp8(array(1, uint8), int32); }),
            "[from_fp8] dtype is int32; it must be a float.");
}

// --- layouts

TEST(Quantize, PacksTheLowCodeFirst) {
  std::vector<float> row(32, 0);
  for (int i = 0; i < 8; ++i) row[static_cast<size_t>(i)] = static_cast<float>(i - 4);
  row[31] = -6;
  array w(row.begin(), {1, 32}, float32);
  auto q = quantize(w, std::nullopt, std::nullopt, "mxfp4");
  ASSERT_EQ(q.size(), 2u);
  EXPECT_EQ(q[0].dtype(), uint32);
  EXPECT_EQ(q[0].shape(), (Shape{1, 4}));
  EXPECT_EQ(q[1].dtype(), uint8);
  EXPECT_EQ(q[1].item<uint8_t>(), 127);
  // -4 -3 -2 -1 0 1 2 3 are E d c a 0 2 4 5.
  q[0].eval();
  EXPECT_EQ(q[0].data<uint32_t>()[0], 0x5420acdeu);
  EXPECT_EQ(q[0].data<uint32_t>()[3], 0xf0000000u);
  EXPECT_TRUE(
      array_equal(dequantize(q[0], q[1], {}, {}, {}, "mxfp4", {}, float32), w).item<bool>());
  EXPECT_EQ(dequantize(q[0], q[1], {}, {}, {}, "mxfp4").dtype(), bfloat16);
}
TEST(Quantize, KeepsWhatAModeCanSay) {
  for (const auto& mode : modes) {
    array w = normal({6, 128}, 5) * array(3.0f);
    auto q = quantize(w, {}, {}, mode);
    array back = dequantize(q[0], q[1], biases_of(q), {}, {}, mode, {}, float32);
    EXPECT_LT(distance(back, w), mode == "mxfp8" ? 0.065 : mode == "affine" ? 0.12 : 0.35) << mode;
  }
}
TEST(Quantize, WhatIsNotFiniteGetsTheLargestScale) {
  for (float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                    std::numeric_limits<float>::quiet_NaN()}) {
    array w = concatenate({full({1, 1}, bad), ones({1, 31})}, 1);
    EXPECT_EQ(quantize(w, {}, {}, "mxfp4")[1].item<uint8_t>(), 255);
    EXPECT_EQ(quantize(w, {}, {}, "mxfp8")[1].item<uint8_t>(), 255);
    EXPECT_EQ(values(quantize(w, {}, {}, "nvfp4")[1])[0], 126);
  }
  array tiny = full({1, 32}, 1e-38f);
  EXPECT_EQ(quantize(tiny, {}, {}, "mxfp8")[1].item<uint8_t>(), 0);
}
TEST(Quantize, AGlobalScaleMakesRoomForSmallBlocks) {
  array w = normal({4, 64}, 1) * array(1e-4f), g = max(abs(w));
  auto plain = quantize(w, {}, {}, "nvfp4"), scaled = quantize(w, {}, {}, "nvfp4", g);
  array lost = dequantize(plain[0], plain[1], {}, {}, {}, "nvfp4", {}, float32);
  array kept = dequantize(scaled[0], scaled[1], {}, {}, {}, "nvfp4", g, float32);
  EXPECT_EQ(largest(lost), 0);
  EXPECT_LT(distance(kept, w), 0.2);
}
TEST(Quantize, SaysWhatDoesNotFit) {
  array w = zeros({2, 64});
  auto fails = [&](auto... arguments) { return error_of([&] { quantize(w, arguments...); }); };
  using maybe = std::optional<int>;
  EXPECT_EQ(fails(maybe(16), maybe(4)), "[quantize] group_size is 16; it must be 32, 64 or 128.");
  EXPECT_EQ(fails(maybe(64), maybe(7)), "[quantize] bits is 7; it must be 2, 3, 4, 5, 6 or 8.");
  EXPECT_EQ(fails(maybe(), maybe(), "nope"),
            "[quantize] mode is \"nope\"; it must be \"affine\", \"mxfp4\", \"mxfp8\" or "
            "\"nvfp4\".");
  EXPECT_EQ(fails(maybe(64), maybe(), "mxfp4"),
            "[quantize] group_size is 64; mode \"mxfp4\" has groups of 32.");
  EXPECT_EQ(fails(maybe(), maybe(4), "mxfp8"), "[quantize] bits is 4; mode \"mxfp8\" has 8.");
  EXPECT_EQ(fails(maybe(), maybe(), "mxfp4", array(1.0f)),
            "[quantize] mode \"mxfp4\" has no global scale; \"nvfp4\" has one.");
  EXPECT_EQ(fails(maybe(), maybe(), "nvfp4", ones({2})),
            "[quantize] global_scale is float32 of shape (2,); it must be one float.");
  EXPECT_EQ(error_of([] {
              quantize(zeros({2, 40}), {}, {}, "mxfp8");
            }),
            "[quantize] w has shape (2, 40); it needs 2 axes, the last a multiple of 32.");
  EXPECT_EQ(error_of([] {
              quantize(zeros({2, 64}, int32));
            }),
            "[quantize] w is int32; only floats are quantised.");
}
TEST(Dequantize, SaysWhatDoesNotFit) {
  auto q = quantize(zeros({2, 64}), {}, {}, "nvfp4");
  EXPECT_EQ(error_of([&] { dequantize(q[0], q[1]); }),
            "[dequantize] mode \"affine\" needs biases.");
  EXPECT_EQ(error_of([&] {
              dequantize(q[0], q[1], zeros({2, 4}), {}, {}, "nvfp4");
            }),
            "[dequantize] mode \"nvfp4\" has no biases.");
  EXPECT_EQ(error_of([&] { dequantize(q[0], astype(q[1], float32), {}, {}, {}, "nvfp4"); }),
            "[dequantize] scales are float32; mode \"nvfp4\" stores them as uint8.");
  EXPECT_EQ(error_of([&] { dequantize(q[0], q[1], {}, {}, {}, "nvfp4", {}, int32); }),
            "[dequantize] dtype is int32; it must be a float.");
  EXPECT_EQ(error_of([&] { dequantize(q[0], q[1], {}, {}, {}, "mxfp4"); }),
            "[dequantize] w has shape (2, 8) in 4 bits; groups of 32 need scales of shape (2, 2), "
            "not (2, 4).");
}

// --- products

struct Case {
  std::string mode{};
  int group = 0, bits = 0;
};
std::vector<Case> every_case() {
  std::vector<Case> all{{"mxfp4", 32, 4}, {"mxfp8", 32, 8}, {"nvfp4", 16, 4}};
  for (int group : {32, 64, 128})
    for (int bits : {2, 3, 4, 5, 6, 8}) all.push_back({"affine", group, bits});
  return all;
}
// Against the dense product in float64 of the same dequantised numbers.
TEST(QuantizedMatmul, IsTheProductInFloat64) {
  for (const auto& c : every_case())
    for (bool transpose : {true, false})
      for (int64_t rows : {1, 7, 33}) {
        array w = normal({96, 256}, 2), x = normal({rows, transpose ? 256 : 96}, 3);
        auto q = quantize(w, c.group, c.bits, c.mode);
        auto biases = biases_of(q);
        array dense = dequantize(q[0], astype(q[1], biases ? float64 : uint8),
                                 biases ? std::optional(astype(*biases, float64)) : std::nullopt,
                                 c.group, c.bits, c.mode, {}, float64);
        array want = matmul(astype(x, float64), transpose ? swapaxes(dense, 0, 1) : dense);
        auto times = [&](const array& v) {
          return quantized_matmul(v, q[0], q[1], biases, transpose, c.group, c.bits, c.mode);
        };
        EXPECT_LT(distance(times(x), want), 2e-6) << c.mode << c.bits << " " << c.group;
        EXPECT_LT(distance(times(astype(x, float64)), want), 4e-15) << c.mode << c.bits;
        array half = times(astype(x, bfloat16));
        EXPECT_EQ(half.dtype(), biases ? float32 : bfloat16);
        EXPECT_LT(distance(half, want), 1e-2);
      }
}
TEST(QuantizedMatmul, NamesTheDtypeOfAllItsFloats) {
  array w = normal({8, 64}, 2);
  for (auto [x, scales, want] : std::vector<std::array<Dtype, 3>>{{float16, float16, float16},
                                                                  {float16, bfloat16, float32},
                                                                  {float32, float16, float32},
                                                                  {float16, float32, float32},
                                                                  {float64, float16, float64},
                                                                  {int32, float16, float16}}) {
    auto q = quantize(astype(w, scales));
    array y = quantized_matmul(ones({2, 64}, x), q[0], q[1], q[2]);
    EXPECT_EQ(y.dtype(), want);
    y.eval();
  }
}
TEST(QuantizedMatmul, SaysWhatDoesNotFit) {
  auto q = quantize(zeros({8, 64}), {}, {}, "mxfp8");
  auto fails = [&](const array& x, bool transpose) {
    return error_of([&] { quantized_matmul(x, q[0], q[1], {}, transpose, {}, {}, "mxfp8"); });
  };
  EXPECT_EQ(fails(zeros({2, 64}, int32), true),
            "[quantized_matmul] x is int32; it must be a float.");
  EXPECT_EQ(fails(zeros({2, 32}), true),
            "[quantized_matmul] x has shape (2, 32) and w holds 64 columns: inner sizes differ.");
  EXPECT_EQ(fails(zeros({2, 64}), false),
            "[quantized_matmul] x has shape (2, 64) and w holds 8 columns: inner sizes differ.");
}

TEST(GatherQmm, IsTheProductOfEachPair) {
  for (const auto& mode : modes) {
    array w = normal({3, 96, 128}, 4), x = normal({5, 1, 128}, 5);
    auto q = quantize(w, {}, {}, mode);
    array rows = array({0, 1, 2, 3, 4, 4, 0}), experts = array({2, 2, 2, 0, 0, 1, 2});
    array y = gather_qmm(x, q[0], q[1], biases_of(q), rows, experts, true, {}, {}, mode);
    array dense = dequantize(q[0], q[1], biases_of(q), {}, {}, mode, {}, float64);
    array want = matmul(astype(take(x, rows, 0), float64), swapaxes(take(dense, experts, 0), 1, 2));
    EXPECT_EQ(y.shape(), (Shape{7, 1, 96}));
    EXPECT_LT(distance(y, want), 2e-6) << mode;
  }
}
// Large enough to be shared among workers, with an expert that nobody chose.
TEST(GatherQmm, SharesLargeRuns) {
  array w = normal({4, 512, 256}, 4), x = normal({60, 1, 256}, 5);
  auto q = quantize(w);
  array experts = sort(random::randint(array(0), array(3), {60}, int32, random::key(1)));
  array rows = arange(0, 60);
  array want = gather_mm(x, swapaxes(dequantize(q[0], q[1], q[2]), 1, 2), rows, experts, true);
  for (int i = 0; i < 20; ++i)  // workers are at runs of several sizes at once, by chance
    EXPECT_LT(distance(gather_qmm(x, q[0], q[1], q[2], rows, experts, true, {}, {}, "affine", true),
                       want),
              3e-6);
}
TEST(Gathers, AnIndexOutsideThrowsAtEvaluation) {
  auto q = quantize(normal({3, 8, 64}, 4));
  array x = normal({5, 2, 64}, 5);
  array far = gather_qmm(x, q[0], q[1], q[2], array({0}), array({3}));
  EXPECT_EQ(error_of([&] { far.eval(); }),
            "[gather_qmm] index 3 is outside axis 0, which has size 3.");
  array below = gather_mm(x, normal({3, 64, 4}, 2), array({-6}), array({0}));
  EXPECT_EQ(error_of([&] { below.eval(); }),
            "[gather_mm] index -6 is outside axis 0, which has size 5.");
  EXPECT_THROW(gather_mm(x, normal({3, 64, 4}, 2), array({5}), array({0})).eval(),
               std::out_of_range);
  // Of one example of a batch, although the next example's matrices lie behind.
  auto chosen = [&](const array& v, const array& i) {
    return gather_mm(v, ones({1, 64, 4}), i, array({0}));
  };
  array batch = vmap([&](const std::vector<array>& in) {
    return std::vector<array>{chosen(in[0], in[1])};
  })({normal({2, 5, 2, 64}, 1), array({4, 5}, {2, 1})})[0];
  EXPECT_THROW(batch.eval(), std::out_of_range);
}
TEST(Gathers, SayWhatDoesNotFit) {
  array a = zeros({4, 3, 5}), b = zeros({2, 5, 6}), i = array({0});
  EXPECT_EQ(error_of([&] {
              gather_mm(a, zeros({2, 4, 6}), i, i);
            }),
            "[gather_mm] a has shape (4, 3, 5) and b (2, 4, 6): inner sizes 5 and 4 differ.");
  EXPECT_EQ(error_of([&] { gather_mm(a, b, array({1.0f}), i); }),
            "[gather_mm] lhs_indices are float32; they must be integers.");
  EXPECT_EQ(error_of([&] { gather_mm(a, b, i, i == i); }),
            "[gather_mm] rhs_indices are bool; they must be integers.");
  EXPECT_EQ(error_of([&] { gather_mm(astype(a, int32), astype(b, int32), i, i); }),
            "[gather_mm] a is int32 and b int32: only floats are multiplied.");
  auto q = quantize(zeros({2, 8, 64}));
  EXPECT_EQ(error_of([&] { gather_qmm(zeros({64}), q[0], q[1], q[2], i, i); }),
            "[gather_qmm] x has shape (64,) and w holds 64 columns: x needs 2 axes, the last of "
            "that size.");
}

TEST(Qqmm, IsTheProductOfWhatIsLeft) {
  for (const auto& mode : {"mxfp4", "mxfp8", "nvfp4"}) {
    array x = normal({5, 128}, 1), w = normal({24, 128}, 2);
    auto qx = quantize(x, {}, {}, mode), qw = quantize(w, {}, {}, mode);
    array want = matmul(dequantize(qx[0], qx[1], {}, {}, {}, mode, {}, float64),
                        swapaxes(dequantize(qw[0], qw[1], {}, {}, {}, mode, {}, float64), 0, 1));
    EXPECT_LT(distance(qqmm(x, w, {}, {}, {}, mode), want), 2e-6) << mode;
    EXPECT_LT(distance(qqmm(x, qw[0], qw[1], {}, {}, mode), want), 2e-6) << mode;
    array rows = reshape(x, {5, 1, 128}), many = reshape(w, {3, 8, 128});
    array i = array({0, 4, 4}), j = array({2, 0, 1});
    auto qm = quantize(many, {}, {}, mode);
    array pairs = gather_qqmm(rows, many, {}, i, j, {}, {}, mode);
    array packed = gather_qqmm(rows, qm[0], qm[1], i, j, {}, {}, mode);
    array chosen = take(reshape(want, {5, 3, 8}), i, 0);
    array expected = take_along_axis(chosen, reshape(j, {3, 1, 1}), 1);
    EXPECT_LT(distance(pairs, expected), 2e-6) << mode;
    EXPECT_LT(distance(packed, expected), 2e-6) << mode;
  }
}
TEST(Qqmm, TakesGlobalScalesOfBoth) {
  array x = normal({3, 64}, 1) * array(1e-3f), w = normal({8, 64}, 2) * array(1e-3f);
  array gx = max(abs(x)), gw = max(abs(w));
  array want = matmul(x, swapaxes(w, 0, 1));
  EXPECT_LT(distance(qqmm(x, w, {}, {}, {}, "nvfp4", gx, gw), want), 0.2);
  auto q = quantize(w, {}, {}, "nvfp4", gw);
  EXPECT_LT(distance(qqmm(x, q[0], q[1], {}, {}, "nvfp4", gx, gw),
                     qqmm(x, w, {}, {}, {}, "nvfp4", gx, gw)),
            2e-6);
  EXPECT_EQ(error_of([&] { qqmm(x, w, {}, {}, {}, "nvfp4", gx); }),
            "[qqmm] one global scale is given; both are needed, or neither.");
}
TEST(Qqmm, DerivativesPassThroughTheRounding) {
  array x = normal({3, 64}, 1), w = normal({8, 64}, 2);
  auto f = [](const std::vector<array>& in) { return sum(qqmm(in[0], in[1])); };
  auto slopes = grad(f, {0, 1})({x, w});
  auto left = [](const array& v) {
    auto q = quantize(v, {}, {}, "nvfp4");
    return dequantize(q[0], q[1], {}, {}, {}, "nvfp4", {}, float32);
  };
  EXPECT_LT(distance(slopes[0], broadcast_to(sum(left(w), 0), {3, 64})), 1e-6);
  EXPECT_LT(distance(slopes[1], broadcast_to(sum(left(x), 0), {8, 64})), 1e-6);
}
TEST(Qqmm, SaysWhatDoesNotFit) {
  array x = zeros({3, 64}), w = zeros({8, 64});
  auto q = quantize(w, {}, {}, "nvfp4");
  EXPECT_EQ(error_of([&] { qqmm(x, w, {}, {}, {}, "affine"); }),
            "[qqmm] mode is \"affine\"; it must be \"mxfp4\", \"mxfp8\" or \"nvfp4\".");
  EXPECT_EQ(error_of([&] { qqmm(x, q[0]); }), "[qqmm] w is uint32: it needs scales.");
  EXPECT_EQ(error_of([&] { qqmm(x, w, q[1]); }), "[qqmm] w is float32: it has no scales.");
  EXPECT_EQ(error_of([&] {
              qqmm(zeros({3, 32}), w);
            }),
            "[qqmm] x has shape (3, 32) and w (8, 64): both need 2 axes, and 32 columns are not "
            "64.");
  EXPECT_EQ(error_of([&] {
              qqmm(zeros({3, 24}), zeros({2, 24}));
            }),
            "[qqmm] x has shape (3, 24); its last size must be a multiple of 16.");
}

}  // namespace
}  // namespace tarn
