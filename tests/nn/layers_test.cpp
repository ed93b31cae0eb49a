// Layers by themselves: what they draw, what they refuse, what training changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "error_of.h"
#include "tarn/nn.h"
#include "tarn/ops.h"
#include "tarn/random.h"

namespace tarn::nn {
namespace {

using tarn_test::error_of;

float number(const array& a) { return a.item<float>(); }
array drawn(const Shape& shape, uint64_t seed = 5) {
  return random::normal(shape, random::key(seed));
}

void expect_uniform(const array& a, double limit) {
  auto n = static_cast<double>(a.size());
  EXPECT_LE(number(max(abs(a))), limit);
  EXPECT_GT(number(max(a)), 0.9 * limit);
  EXPECT_NEAR(number(mean(a)), 0, 4 * limit / std::sqrt(3 * n));
  EXPECT_NEAR(number(mean(square(a))), limit * limit / 3, 0.1 * limit * limit);
}

TEST(Init, LayersDrawUniformlyWithinTheRootOfTheirFan) {
  auto key = random::key(1);
  Linear l = Linear::init(64, 50, key);
  expect_uniform(l.weight, 1 / 8.0);
  expect_uniform(*l.bias, 1 / 8.0);
  EXPECT_EQ(l.weight.shape(), (Shape{50, 64}));
  EXPECT_EQ(l.rows, 50);
  EXPECT_FALSE(Linear::init(64, 50, key, false).bias);
  expect_uniform(Bilinear::init(16, 9, 30, key).weight, 1 / 4.0);
  LSTM lstm = LSTM::init(5, 25, key);
  expect_uniform(lstm.Wx, 1 / 5.0);
  expect_uniform(lstm.Wh, 1 / 5.0);
  EXPECT_EQ(GRU::init(5, 25, key).Wh.shape(), (Shape{75, 25}));
  EXPECT_EQ(RNN::init(5, 25, key).Wxh.shape(), (Shape{25, 5}));
  array table = Embedding::init(200, 16, key).weight;
  EXPECT_NEAR(number(std(table)), 0.25, 0.01);
}

TEST(Init, TheSameKeyDrawsTheSameAndNoTwoWeightsAreAlike) {
  auto a = Linear::init(8, 8, random::key(1)), b = Linear::init(8, 8, random::key(1));
  EXPECT_TRUE(array_equal(a.weight, b.weight).item<bool>());
  EXPECT_FALSE(array_equal(a.weight, Linear::init(8, 8, random::key(2)).weight).item<bool>());
  auto encoder = TransformerEncoder::init(2, 8, 2, random::key(1));
  auto& q = encoder.layers[0].attention;
  EXPECT_FALSE(array_equal(q.query_proj.weight, q.key_proj.weight).item<bool>());
  EXPECT_FALSE(
      array_equal(q.query_proj.weight, encoder.layers[1].attention.query_proj.weight).item<bool>());
}

TEST(Init, SparseHasZerosInEachRow) {
  array w = init::sparse({40, 30}, random::key(3), 0.25, 1.0, 0.5);
  array zeros_of_row = sum(astype(w == 0.0f, int32), 1);
  EXPECT_EQ(min(zeros_of_row).item<int>(), 8);
  EXPECT_EQ(max(zeros_of_row).item<int>(), 8);
  EXPECT_NEAR(number(sum(w)) / (40 * 22), 1, 0.1);
  EXPECT_GT(max(sum(astype(w == 0.0f, int32), 0)).item<int>(), 0);
  EXPECT_EQ(error_of([] { init::sparse({3}, random::key(0), 0.5); }),
            "[sparse] shape (3,) is not a matrix's.");
  EXPECT_EQ(error_of([] {
              init::sparse({3, 3}, random::key(0), 1.5);
            }),
            "[sparse] sparsity is 1.5; it lies in [0, 1].");
}

TEST(Init, OrthogonalRowsAndColumns) {
  array wide = init::orthogonal({6, 10}, random::key(3), 2.0);
  EXPECT_TRUE(allclose(matmul(wide, transpose(wide)), 4.0f * eye(6), 1e-5, 1e-5).item<bool>());
  array tall = init::orthogonal({10, 6}, random::key(3), 1.0, float64);
  EXPECT_TRUE(allclose(matmul(transpose(tall), tall), eye(6, float64), 1e-12, 1e-12).item<bool>());
  EXPECT_EQ(error_of([] { init::he_normal({3}, random::key(0)); }),
            "[he_normal] shape (3,) has no fan in and fan out: 2 sizes or more are needed.");
  EXPECT_EQ(error_of([] { init::identity({3, 4}); }), "[identity] shape (3, 4) is not square.");
}

TEST(Dropout, ZerosAPartAndScalesTheRest) {
  array x = ones({100, 100});
  array y = Dropout{0.3f}(x, random::key(1));
  EXPECT_NEAR(number(mean(astype(y == 0.0f, float32))), 0.3, 0.02);
  EXPECT_NEAR(number(max(y)), 1 / 0.7, 1e-5);
  EXPECT_NEAR(number(mean(y)), 1, 0.03);
  EXPECT_EQ(Dropout{0.3f}(x).id(), x.id());
  EXPECT_EQ(Dropout{0.f}(x, random::key(1)).id(), x.id());
  EXPECT_EQ(Dropout{0.5f}(astype(x, float16), random::key(1)).dtype(), float16);
  EXPECT_EQ(error_of([&] { Dropout{1.f}(x, random::key(1)); }),
            "[Dropout] p is 1; it lies in [0, 1).");
}

TEST(Dropout, WholeChannelsGoTogether) {
  array y = Dropout2d{0.5f}(ones({4, 5, 6, 50}), random::key(1));
  array of_channel = mean(astype(y == 0.0f, float32), std::vector<int>{1, 2});
  EXPECT_TRUE(all((of_channel == 0.0f) || (of_channel == 1.0f)).item<bool>());
  EXPECT_NEAR(number(mean(of_channel)), 0.5, 0.12);
  array z = Dropout3d{0.5f}(ones({3, 4, 5, 50}), random::key(1));
  EXPECT_EQ(z.shape(), (Shape{3, 4, 5, 50}));
  EXPECT_EQ(error_of([] {
              Dropout2d{}(ones({2, 2}), random::key(1));
            }),
            "[Dropout2d] x has shape (2, 2): 3 or 4 axes are needed, channels last.");
}

TEST(Dropout, ATransformerWithAKeyTrains) {
  auto options = TransformerOptions{.mlp_dims = 16, .dropout = 0.5f};
  auto m = Transformer::init(random::key(1), 8, 2, 1, 1, options);
  array x = drawn({2, 3, 8}), none;
  array evaluated = m(x, x), again = m(x, x);
  EXPECT_TRUE(array_equal(evaluated, again).item<bool>());
  auto with = [&](uint64_t seed) {
    return m(x, x, std::nullopt, std::nullopt, std::nullopt, random::key(seed));
  };
  EXPECT_FALSE(allclose(evaluated, with(1)).item<bool>());
  EXPECT_TRUE(array_equal(with(1), with(1)).item<bool>());
  EXPECT_FALSE(allclose(with(2), with(1)).item<bool>());
}

TEST(Sequential, GivesKeysToThoseThatTakeThem) {
  auto net = sequential(Linear::init(4, 50, random::key(1)), relu, Dropout{0.5f});
  array x = drawn({3, 4});
  EXPECT_GT(number(mean(astype(net(x, random::key(2)) == 0.0f, float32))),
            number(mean(astype(net(x) == 0.0f, float32))) + 0.1f);
}

TEST(Sequential, GivesNoKeyToThoseWhoseSecondArgumentIsSomethingElse) {
  auto net = sequential(sequential(Dropout{0.5f}), GRU::init(4, 3, random::key(1)), Tanh{});
  array x = drawn({2, 5, 4});
  EXPECT_EQ(net(x, random::key(2)).shape(), (Shape{2, 5, 3}));
  EXPECT_FALSE(array_equal(net(x, random::key(2)), net(x)).item<bool>());
  auto plain = sequential(GRU::init(4, 3, random::key(1)), Tanh{});
  EXPECT_TRUE(array_equal(plain(x, random::key(2)), plain(x)).item<bool>());
}

TEST(Layers, KeepHalvesAndDoubles) {
  array x = drawn({2, 4, 8});
  for (Dtype t : {float16, bfloat16, float64}) {
    array y = astype(x, t);
    for (const auto& f : std::vector<Activation>{
             gelu, gelu_approx, silu, mish, softplus, softsign, selu, hardswish, relu6, Softmax{},
             LogSoftmax{}, with_dtype(LayerNorm::init(8), t), with_dtype(RMSNorm::init(8), t),
             with_dtype(GroupNorm::init(2, 8), t), with_dtype(InstanceNorm::init(8), t),
             with_dtype(BatchNorm::init(8), t), with_dtype(Linear::init(8, 3, random::key(1)), t)})
      EXPECT_EQ(f(y).dtype(), t);
  }
}

TEST(Layers, ComputeDoublesInDoubles) {
  array x = astype(drawn({2, 4, 8}), float64), one = ones_like(x) * array(1e-9, float64);
  for (const auto& f : std::vector<Activation>{
           gelu, silu, mish, selu, LogSoftmax{}, with_dtype(LayerNorm::init(8), float64),
           with_dtype(RMSNorm::init(8), float64), with_dtype(GroupNorm::init(2, 8), float64),
           with_dtype(Linear::init(8, 3, random::key(1)), float64)}) {
    array change = f(x + one) - f(x), slope = jvp(f, x, ones_like(x)).second;
    EXPECT_LT(max(abs(change / array(1e-9, float64) - slope)).item<double>(), 1e-4);
  }
}

TEST(Layers, BatchNormRefusesOneValueAChannel) {
  EXPECT_EQ(error_of([] {
              BatchNorm::init(8).train(ones({1, 8}));
            }),
            "[BatchNorm] x has shape (1, 8): training needs more than one value a channel.");
  EXPECT_EQ(error_of([] { BatchNorm::init(8)(ones({8})); }),
            "[BatchNorm] x has shape (8,): 2, 3 or 4 axes are needed, channels last.");
}

TEST(Layers, SayWhatTheyNeed) {
  auto key = random::key(1);
  EXPECT_EQ(error_of([&] { Linear::init(0, 3, key); }),
            "[Linear] the size of an input is 0; it must be positive.");
  EXPECT_EQ(error_of([&] {
              Bilinear::init(3, 4, 2, key)(ones({2, 3}), ones({5, 4}));
            }),
            "[Bilinear] x1 has shape (2, 3) and x2 (5, 4): (..., 3) and (..., 4) are needed.");
  EXPECT_EQ(error_of([&] { LayerNorm::init(3, 0); }), "[LayerNorm] eps is 0; it must be positive.");
  EXPECT_EQ(error_of([&] { GroupNorm::init(3, 8); }),
            "[GroupNorm] 8 channels do not make 3 equal groups.");
  EXPECT_EQ(error_of([&] {
              InstanceNorm::init(3)(ones({2, 3}));
            }),
            "[InstanceNorm] x has shape (2, 3): a batch, positions and channels are needed.");
  EXPECT_EQ(error_of([&] { MultiHeadAttention::init(8, 3, key); }),
            "[MultiHeadAttention] 3 heads do not divide 8 dims.");
  EXPECT_EQ(error_of([&] {
              RNN::init(3, 4, key)(ones({0, 3}));
            }),
            "[RNN] x has shape (0, 3): (..., positions, 3) is needed, with at least one position.");
  EXPECT_EQ(error_of([&] { SinusoidalPositionalEncoding{.dims = 3}(ones({2})); }),
            "[SinusoidalPositionalEncoding] dims is 3; it must be positive and even.");
  EXPECT_EQ(error_of([&] {
              ALiBi()(ones({2, 3}));
            }),
            "[ALiBi] scores have shape (2, 3): (batch, heads, queries, keys) is needed.");
}

TEST(Pooling, SaysWhatItNeeds) {
  EXPECT_EQ(error_of([] {
              MaxPool2d{2}(ones({2, 4, 3}));
            }),
            "[MaxPool2d] x has shape (2, 4, 3): 4 axes are needed, channels last.");
  EXPECT_EQ(error_of([] {
              MaxPool1d{5}(ones({2, 4, 3}));
            }),
            "[MaxPool1d] x has shape (2, 4, 3): a window of 5 does not fit into 4 positions.");
  EXPECT_EQ(error_of([] {
              AvgPool1d{2, 0}(ones({2, 4, 3}));
            }),
            "[AvgPool1d] kernel_size 2, stride 0 and padding 0: the first two must be positive, "
            "the last not negative.");
  array padded = MaxPool1d{.kernel_size = 2, .padding = 1}(-1.0f * ones({1, 4, 1}));
  EXPECT_EQ(number(min(padded)), -1);
}

TEST(Upsample, SaysWhatItNeeds) {
  array x = ones({1, 4, 4, 2});
  EXPECT_EQ(error_of([&] {
              Upsample{{2.0, 2.0, 2.0}}(x);
            }),
            "[Upsample] 3 factors are given for 2 axes of positions: one for each or one for all.");
  EXPECT_EQ(error_of([&] { Upsample{.antialias = true}(x); }),
            "[Upsample] antialias goes with linear or cubic, and not with align_corners.");
  EXPECT_EQ(error_of([&] { Upsample{{0.1}}(x); }),
            "[Upsample] 4 positions times 0.1 are not between 1 and 2^31.");
  EXPECT_EQ(error_of([&] {
              Upsample{}(ones({2, 2}));
            }),
            "[Upsample] x has shape (2, 2): a batch, positions and channels are needed.");
  // A position that falls on one of x's is that one, however the place is rounded.
  array line = reshape(arange(5.0), {1, 5, 1});
  array cubic = Upsample{{2.7}, Upsample::Mode::cubic}(line);
  EXPECT_NEAR(number(slice(cubic, {0, 6, 0}, {1, 7, 1})), 2, 1e-5);
}

TEST(Losses, SayWhatTheyNeed) {
  using namespace losses;
  EXPECT_EQ(error_of([] { mse_loss(ones({2}), ones({3})); }),
            "[mse_loss] predictions have shape (2,), targets (3,): they must be equal.");
  EXPECT_EQ(error_of([] {
              cross_entropy(ones({2, 3}), array({1, 2, 0}, int32));
            }),
            "[cross_entropy] logits have shape (2, 3), targets (3,): give the index of a class for "
            "each, (2,), or probabilities of the logits' shape.");
  EXPECT_EQ(error_of([] {
              cross_entropy(ones({2, 3}), array({1, 2}, int32), std::nullopt, -1, 1.0);
            }),
            "[cross_entropy] label_smoothing is 1; it lies in [0, 1).");
  array large({1000.0f, 0.0f, -1000.0f});
  EXPECT_EQ(number(cross_entropy(large, array(0))), 0);
  EXPECT_EQ(number(cross_entropy(large, array(2))), 2000);
  EXPECT_EQ(mse_loss(ones({2}, float64), zeros({2}, float64)).dtype(), float64);
}

}  // namespace
}  // namespace tarn::nn
