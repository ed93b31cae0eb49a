// Kernels that derivatives run on a device, in the shapes that choose them.
#include <cmath>

#include "error_of.h"
#include "runtime/second_memory.h"
#include "tarn/fast.h"
#include "tarn/ops/low_rank.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

class Training : public tarn_test::OnDevice {};

using tarn_test::normal;

// The norm of what they differ in, as a share of the second's.
double distance(const array& got, const array& want) {
  StreamContext on_cpu{Device::cpu};
  array off = astype(got, float64) - astype(want, float64);
  return std::sqrt((sum(square(off)) / sum(square(astype(want, float64)))).item<double>());
}
array in_double(const array& a) { return astype(a, float64); }

struct Layer {
  array codes, scales, biases, a, b;
  array weights() const { return in_double(dequantize(codes, scales, biases, 64, 4)); }
};
Layer layer_of(int64_t n, int64_t k, int64_t rank, float weight) {
  StreamContext on_cpu{Device::cpu};
  auto q = quantize(normal({n, k}, 1), 64, 4);
  Layer l{q[0], q[1] * array(weight), q[2] * array(weight), normal({k, rank}, 2),
          normal({rank, n}, 3)};
  eval({l.codes, l.scales, l.biases, l.a, l.b});
  return l;
}

// Weights and rows are rounded to bfloat16; the term keeps 16 bits.
TEST_F(Training, ProductsWithTermsThereAndBack) {
  for (auto [rows, n, k, rank] :
       {std::tuple{9, 192, 128, 3}, {300, 512, 3072, 8}, {70, 64, 64, 40}})
    for (float weight : {1.0f, 0.0f}) {
      SCOPED_TRACE(testing::Message() << rows << " rows, " << n << " x " << k << ", " << weight);
      Layer l = layer_of(n, k, rank, weight);
      array x = normal({1, rows, k}, 4), g = normal({1, rows, n}, 5);
      std::vector<array> got;
      {
        StreamContext on_device{Device::gpu};
        PrecisionScope scope(Precision::balanced);
        auto made = vjp(
            [&](const std::vector<array>& in) {
              return std::vector{
                  low_rank_matmul(in[0], l.codes, l.scales, l.biases, in[1], in[2], 64, 4)};
            },
            {x, l.a, l.b}, {g});
        got = {made.first[0], made.second[0], made.second[1], made.second[2]};
        eval(got);
      }
      StreamContext on_cpu{Device::cpu};
      array x2 = in_double(squeeze(x, 0)), g2 = in_double(squeeze(g, 0));
      array w = l.weights(), a = in_double(l.a), b = in_double(l.b);
      array y = matmul(x2, transpose(w)) + matmul(matmul(x2, a), b);
      array back = matmul(g2, w) + matmul(matmul(g2, transpose(b)), transpose(a));
      double most = weight == 0 ? 4e-5 : 4e-3;
      EXPECT_LT(distance(squeeze(got[0], 0), y), most);
      EXPECT_LT(distance(squeeze(got[1], 0), back), most);
      EXPECT_LT(distance(got[2], matmul(transpose(x2), matmul(g2, transpose(b)))), 2e-6);
      EXPECT_LT(distance(got[3], matmul(transpose(matmul(x2, a)), g2)), 2e-6);
    }
}

// Products of the same rows share these in bfloat16, and a sum is part of the product.
TEST_F(Training, ProductsOfTheSameRowsAndTheirSums) {
  Layer one = layer_of(128, 192, 8, 1), two = layer_of(128, 192, 5, 1);
  array x = normal({1, 40, 192}, 6), y = normal({1, 40, 128}, 7);
  auto times = [&](const Layer& l) {
    return low_rank_matmul(x, l.codes, l.scales, l.biases, l.a, l.b, 64, 4);
  };
  std::vector<array> got;
  {
    StreamContext on_device{Device::gpu};
    PrecisionScope scope(Precision::balanced);
    got = {y + (times(one) + times(two)), times(two) * array(2.0f)};
    eval(got);
  }
  StreamContext on_cpu{Device::cpu};
  array x2 = in_double(squeeze(x, 0));
  auto product = [&](const Layer& l) {
    return matmul(x2, transpose(l.weights())) + matmul(matmul(x2, in_double(l.a)), in_double(l.b));
  };
  array sum = in_double(squeeze(y, 0)) + product(one) + product(two);
  EXPECT_LT(distance(squeeze(got[0], 0), sum), 4e-3);
  EXPECT_LT(distance(squeeze(got[1], 0), product(two) * array(2.0)), 4e-3);
}

TEST_F(Training, ThinProducts) {
  StreamContext on_device{Device::gpu};
  auto check = [](const array& x, const array& y) {
    array got = matmul(x, y);
    got.eval();
    StreamContext on_cpu{Device::cpu};
    EXPECT_LT(distance(got, matmul(in_double(x), in_double(y))), 1e-6);
  };
  for (int64_t width : {1, 5, 8, 16})
    for (auto [rows, cols] : {std::pair{256, 128}, {1031, 772}, {300, 4100}}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << cols << " x " << width);
      array x = normal({rows, cols}, 1), b = normal({cols, width}, 2), c = normal({rows, width}, 3);
      check(x, b), check(x, transpose(normal({width, cols}, 4)));
      check(transpose(x), c), check(transpose(c), x);
      array part = slice(normal({rows, cols + 8}, 5), {0, 4}, {rows, cols + 4});
      check(part, b), check(transpose(part), c);
      // Rows that do not begin at multiples of 16 bytes.
      check(slice(normal({rows, cols + 8}, 6), {0, 1}, {rows, cols + 1}), b);
    }
}

// Products of the same x are one launch.
TEST_F(Training, ThinProductsOfTheSameRows) {
  array x = normal({500, 640}, 1);
  std::vector<array> thin;
  for (int64_t width : {8, 3, 8, 8, 5}) thin.push_back(normal({640, width}, 2));
  StreamContext on_device{Device::gpu};
  std::vector<array> got;
  for (const array& b : thin) got.push_back(matmul(x, b));
  array turned = transpose(x);
  std::vector<array> tall;
  for (const array& b : thin) tall.push_back(slice(b, {0, 0}, {500, b.shape(1)}));
  for (const array& b : tall) got.push_back(matmul(turned, b));
  eval(got);
  StreamContext on_cpu{Device::cpu};
  for (size_t i = 0; i < thin.size(); ++i) {
    EXPECT_LT(distance(got[i], matmul(in_double(x), in_double(thin[i]))), 1e-6) << i;
    array want = matmul(transpose(in_double(x)), in_double(tall[i]));
    EXPECT_LT(distance(got[thin.size() + i], want), 1e-6) << i;
  }
}

// --- attention

struct AttentionShape {
  int64_t batch, all, shared, queries, keys, size;
};
// As projections give them: positions before heads.
array heads_of(int64_t batch, int64_t heads, int64_t rows, int64_t size, uint64_t seed,
               Dtype dtype) {
  StreamContext on_cpu{Device::cpu};
  array x = astype(normal({batch, rows, heads, size}, seed), dtype);
  x.eval();
  return transpose(x, {0, 2, 1, 3});
}
struct AttentionAndBack {
  std::vector<array> in;  // q, k, v and the cotangent of the result
  fast::AttentionOptions how;

  AttentionAndBack(const AttentionShape& h, bool causal, Dtype dtype = float32)
      : in{heads_of(h.batch, h.all, h.queries, h.size, 1, dtype),
           heads_of(h.batch, h.shared, h.keys, h.size, 2, dtype),
           heads_of(h.batch, h.shared, h.keys, h.size, 3, dtype),
           heads_of(h.batch, h.all, h.queries, h.size, 4, dtype)},
        how{.scale = 1 / std::sqrt(float(h.size)), .causal = causal} {}
  // The result, and the cotangents of q, k and v.
  std::vector<array> on(Device d, Precision precision) const {
    StreamContext context{d};
    PrecisionScope scope(precision);
    auto made = vjp(
        [&](const std::vector<array>& x) {
          return std::vector{fast::attention(x[0], x[1], x[2], how)};
        },
        {in[0], in[1], in[2]}, {in[3]});
    std::vector<array> all{made.first[0], made.second[0], made.second[1], made.second[2]};
    eval(all);
    return all;
  }
};

// Factors are rounded to bfloat16, weights and slopes as well.
TEST_F(Training, AttentionThereAndBackInBalancedPrecision) {
  for (AttentionShape h :
       {AttentionShape{2, 4, 2, 128, 128, 64}, AttentionShape{1, 2, 2, 1, 3, 64},
        AttentionShape{2, 3, 1, 9, 70, 128}, AttentionShape{1, 8, 2, 300, 300, 64},
        AttentionShape{2, 6, 2, 257, 257, 128}, AttentionShape{1, 4, 1, 65, 400, 64},
        AttentionShape{1, 2, 1, 193, 511, 128}, AttentionShape{1, 2, 1, 40, 40, 256},
        AttentionShape{1, 4, 2, 50, 50, 80}})
    for (bool causal : {false, true})
      for (Dtype dtype : {float32, bfloat16}) {
        SCOPED_TRACE(testing::Message()
                     << h.all << " heads of " << h.size << ", " << h.shared << " of keys, "
                     << h.queries << " queries over " << h.keys << " keys, causal " << causal
                     << ", float32 " << (dtype == float32));
        AttentionAndBack a(h, causal, dtype);
        auto got = a.on(Device::gpu, Precision::balanced);
        auto want = a.on(Device::cpu, Precision::exact);
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_EQ(got[i].dtype(), dtype);
          EXPECT_LT(distance(got[i], want[i]), 1e-2) << i;
        }
      }
}
// What has no kernel for the way back goes through the expansion.
TEST_F(Training, AttentionTakesWhatModelsAskForInBalancedPrecision) {
  array added = normal({2, 1, 90, 90}, 5);
  for (int which = 0; which < 3; ++which) {
    AttentionAndBack a({2, 4, 2, 90, 90, 64}, true);
    if (which == 0) a.how.window = 40;
    if (which == 1) a.how.softcap = 2;
    if (which == 2) a.how.mask = added;
    auto got = a.on(Device::gpu, Precision::balanced), want = a.on(Device::cpu, Precision::exact);
    for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(distance(got[i], want[i]), 1e-2) << which;
  }
}
TEST_F(Training, AttentionInExactPrecisionIsNotRounded) {
  AttentionAndBack a({1, 4, 2, 130, 130, 64}, true);
  auto got = a.on(Device::gpu, Precision::exact), want = a.on(Device::cpu, Precision::exact);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(distance(got[i], want[i]), 5e-6) << i;
}
// Training that goes on after a pause has the same numbers.
TEST_F(Training, AttentionsSumsHaveOneOrder) {
  AttentionAndBack a({2, 8, 2, 333, 333, 64}, true);
  auto first = a.on(Device::gpu, Precision::balanced);
  for (int round = 0; round < 3; ++round) {
    auto again = a.on(Device::gpu, Precision::balanced);
    for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(distance(again[i], first[i]), 0) << i;
  }
}
// Of numbers that bfloat16 holds, where one key has nearly all of a row's weight and slopes cancel.
TEST_F(Training, AttentionOfSharpWeights) {
  AttentionAndBack a({1, 2, 1, 150, 200, 64}, true);
  a.how.scale = 1;
  for (array& x : a.in) x = astype(astype(x, bfloat16, Device::cpu), float32, Device::cpu);
  auto got = a.on(Device::gpu, Precision::balanced), want = a.on(Device::cpu, Precision::exact);
  EXPECT_LT(distance(got[0], want[0]), 1e-4);
  for (size_t i : {1, 2, 3}) EXPECT_LT(distance(got[i], want[i]), 6e-3) << i;
}

array losses_of(const array& x, const array& targets) { return fast::cross_entropy(x, targets); }

TEST_F(Training, CrossEntropyOfManyClasses) {
  constexpr int64_t rows = 5, classes = 128256;
  array x = normal({rows, classes}, 1) * array(4.0f), g = normal({rows}, 2);
  array targets({0, 128255, 77, -1, 5000}, {rows}, int32);
  auto both = [&](Device d) {
    StreamContext context{d};
    auto made =
        vjp([&](const std::vector<array>& in) { return std::vector{losses_of(in[0], targets)}; },
            {x}, {g});
    std::vector<array> all{made.first[0], made.second[0]};
    eval(all);
    return all;
  };
  auto got = both(Device::gpu), want = both(Device::cpu);
  EXPECT_LT(distance(got[0], want[0]), 1e-6);
  EXPECT_LT(distance(got[1], want[1]), 2e-6);
}
TEST_F(Training, CrossEntropyOfInfiniteLogits) {
  StreamContext on_device{Device::gpu};
  float inf = INFINITY;
  array x({inf, 0.f, 1.f, -inf, 0.f, 0.f, -inf, -inf, -inf}, {3, 3});
  array y = losses_of(x, array({1, 1, 0}, {3}, int32));
  y.eval();
  EXPECT_EQ(y.data<float>()[0], inf);
  EXPECT_NEAR(y.data<float>()[1], std::log(2.0f), 1e-6f);
  EXPECT_TRUE(std::isnan(y.data<float>()[2]));
}
TEST_F(Training, ATargetThatIsNoClassIsAnError) {
  StreamContext on_device{Device::gpu};
  array x = normal({2, 7}, 1), y = losses_of(x, array({1, 7}, {2}, int32));
  EXPECT_EQ(tarn_test::error_of([&] { y.eval(); }),
            "[cross_entropy] index 7 is outside axis 1, which has size 7.");
}

TEST_F(Training, ManyArraysAreJoined) {
  std::vector<array> parts;
  for (int i = 0; i < 150; ++i) parts.push_back(normal({i % 7 * (i % 3 == 0 ? 64 : 1), 4}, 1));
  for (int width : {4, 3}) {
    std::vector<array> narrow;
    for (const array& p : parts)
      narrow.push_back(contiguous(slice(p, {0, 0}, {p.shape(0), width})));
    auto joined = [&](Device d) {
      StreamContext context{d};
      array y = concatenate(narrow, 0);
      y.eval();
      return y;
    };
    EXPECT_EQ(distance(joined(Device::gpu), joined(Device::cpu)), 0);
  }
}

// In the order of the updates, so that sums are the CPU's to the last bit.
TEST_F(Training, LinesAreAddedInTheirOrder) {
  array a = normal({2, 300, 33}, 1), x = normal({1000, 2, 1, 33}, 2);
  array index = astype(remainder(arange(0.0, 1000.0) * array(7919.0f), array(300.0f)), int32);
  index = index - where(arange(0.0, 1000.0) < array(500.0f), array(300), array(0));
  auto added = [&](Device d) {
    StreamContext context{d};
    array y = scatter_add(a, {index}, x, {1});
    y.eval();
    return y;
  };
  EXPECT_EQ(distance(added(Device::gpu), added(Device::cpu)), 0);
}

}  // namespace
}  // namespace tarn
