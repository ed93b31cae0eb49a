// The gated delta rule and the fused loss: by their definitions, and what does not fit.
#include <gtest/gtest.h>

#include "error_of.h"
#include "laws/compare.h"
#include "tarn/fast.h"

namespace tarn {
namespace {

using tarn_test::error_of;

using laws::close;
using laws::numbers;

struct Given {
  array q = numbers({2, 5, 1, 4}, float32, -0.5, 0.5),
        k = numbers({2, 5, 1, 4}, float32, -0.5, 0.5, 1);
  array v = numbers({2, 5, 3, 6}, float32, -1, 1, 2), g = numbers({2, 5, 3}, float32, 0.3, 1);
  array beta = numbers({2, 5, 3}, float32, 0, 1, 1), state = numbers({2, 3, 6, 4}, float32, -1, 1);
  std::vector<array> run(const std::optional<array>& mask = {}) const {
    return fast::gated_delta_update(q, k, v, g, beta, state, mask);
  }
};

TEST(DeltaRule, IsWhatItsPapersSay) {
  Given in;
  auto out = in.run();
  array state = in.state;
  for (int t = 0; t < 5; ++t) {
    auto at = [&](const array& x) { return take(x, t, 1); };
    array key = expand_dims(at(in.k), 2);
    state = state * expand_dims(at(in.g), std::vector<int>{2, 3});
    array wrong = at(in.v) - sum(state * key, -1);
    state = state + expand_dims(wrong * expand_dims(at(in.beta), 2), 3) * key;
    EXPECT_TRUE(close(at(out[0]), sum(state * expand_dims(at(in.q), 2), -1), 1e-5));
  }
  EXPECT_TRUE(close(out[1], state, 1e-5));
}

TEST(DeltaRule, GoesOnFromItsState) {
  Given in;
  auto whole = in.run();
  auto part = [&](const array& x, int64_t from, int64_t to) {
    Shape start(x.ndim(), 0), stop = x.shape();
    start[1] = from, stop[1] = to;
    return slice(x, start, stop);
  };
  auto run = [&](int64_t from, int64_t to, const array& state) {
    auto of = [&](const array& x) { return part(x, from, to); };
    return fast::gated_delta_update(of(in.q), of(in.k), of(in.v), of(in.g), of(in.beta), state);
  };
  auto first = run(0, 2, in.state), rest = run(2, 5, first[1]);
  EXPECT_TRUE(close(concatenate({first[0], rest[0]}, 1), whole[0], 1e-6));
  EXPECT_TRUE(close(rest[1], whole[1], 1e-6));
  // Steps that a mask leaves out might as well not be there.
  auto masked = in.run(broadcast_to(array({true, true, false, false, false}), {2, 5}));
  EXPECT_TRUE(close(part(masked[0], 0, 2), first[0], 1e-6));
  EXPECT_TRUE(close(masked[1], first[1], 1e-6));
  EXPECT_EQ(max(abs(part(masked[0], 2, 5))).item<float>(), 0);
}

TEST(DeltaRule, SaysWhatDoesNotFit) {
  Given in;
  auto error = [](const Given& x, const std::optional<array>& mask = {}) {
    return error_of([&] { x.run(mask); });
  };
  Given bad = in;
  bad.k = zeros({2, 5, 1, 3});
  EXPECT_EQ(error(bad),
            "[gated_delta_update] queries have shape (2, 5, 1, 4), keys (2, 5, 1, 3) and values "
            "(2, 5, 3, 6): they need (B, T, Hk, Dk) twice and (B, T, Hv, Dv), Hk dividing Hv.");
  bad = in;
  bad.beta = zeros({2, 5});
  EXPECT_EQ(error(bad),
            "[gated_delta_update] gates have shape (2, 5, 3) and beta (2, 5): values of shape "
            "(2, 5, 3, 6) need (2, 5, 3) for both, or (2, 5, 3, 4) for gates.");
  bad = in;
  bad.state = zeros({2, 3, 4, 6});
  EXPECT_EQ(error(bad),
            "[gated_delta_update] initial_state has shape (2, 3, 4, 6); it needs (2, 3, 6, 4).");
  EXPECT_EQ(error(in, zeros({2, 5})), "[gated_delta_update] mask is float32; it must be bool.");
  EXPECT_EQ(error(in, zeros({5}, bool_)),
            "[gated_delta_update] mask has shape (5,); it needs (2, 5).");
}

TEST(CrossEntropy, SaysWhatDoesNotFit) {
  array x = zeros({3, 4});
  EXPECT_EQ(error_of([&] { fast::cross_entropy(array(1.f), array(1)); }),
            "[cross_entropy] x is 0-d; there is no last axis.");
  EXPECT_EQ(error_of([&] { fast::cross_entropy(x, zeros({3})); }),
            "[cross_entropy] targets are float32; they must be integers, the indices of classes.");
  EXPECT_EQ(
      error_of([&] { fast::cross_entropy(x, zeros({2}, int32)); }),
      "[cross_entropy] logits have shape (3, 4) and targets (2,): targets need all axes of the "
      "logits but the last.");
  EXPECT_EQ(error_of([&] {
              fast::cross_entropy(x, array({0, 4, 1})).eval();
            }),
            "[cross_entropy] index 4 is outside axis 1, which has size 4.");
}

}  // namespace
}  // namespace tarn
