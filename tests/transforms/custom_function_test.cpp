// Functions with derivatives and batches of the caller's.
#include <gtest/gtest.h>

#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

using Arrays = std::vector<array>;

// exp, with a derivative that is wrong on purpose: ten times the right one.
Arrays just_exp(const Arrays& x) { return {exp(x[0])}; }
Arrays ten_times(const Arrays&, const Arrays& g, const Arrays& y) {
  return {array(10.0f) * g[0] * y[0]};
}
array total(const ArraysFunction& f, const array& x) { return sum(f({x})[0]); }

TEST(CustomVjp, TakesThePlaceOfTheDerivative) {
  auto f = custom_vjp(just_exp, ten_times);
  array x({0.0f, 1.0f});
  EXPECT_EQ(text(f({x})[0]), text(exp(x)));
  array g = grad([&](const array& v) { return total(f, v); })(x);
  EXPECT_TRUE(allclose(g, array(10.0f) * exp(x)).item<bool>());
}

TEST(CustomVjp, ItsDerivativeIsWhatTheRuleSays) {
  // The rule uses the result, whose derivative is the rule again.
  auto f = custom_vjp(just_exp, ten_times);
  auto slope = grad([&](const array& v) { return total(f, v); });
  array x({0.5f});
  array second = grad([&](const array& v) { return sum(slope(v)); })(x);
  EXPECT_TRUE(allclose(second, array(100.0f) * exp(x)).item<bool>());
}

TEST(CustomVjp, TheTangentIsStillTheFunctionsOwn) {
  auto f = custom_vjp(just_exp, ten_times);
  array x({0.5f}), t({2.0f});
  auto [out, tangent] = jvp(f, Arrays{x}, Arrays{t});
  EXPECT_TRUE(allclose(tangent[0], array(2.0f) * exp(x)).item<bool>());
}

// The rule sees all cotangents at once, however they arrive: this one clips their common norm.
TEST(CustomVjp, IsCalledOnceForAllResults) {
  int calls = 0;
  auto f = custom_vjp(
      [](const Arrays& x) {
        return Arrays{x[0] * array(1.0f), x[0] * array(1.0f), x[0] * array(3.0f)};
      },
      [&](const Arrays&, const Arrays& g, const Arrays& y) {
        ++calls;
        EXPECT_EQ(y.size(), 3u);
        array both = g[0] + g[1];
        return Arrays{both * rsqrt(g[0] * g[0] + g[1] * g[1])};
      });
  // The second result is used after the first one, in a chain.
  array g = grad([&](const array& x) {
    auto y = f({x});
    return array(3.0f) * y[0] + sin(y[0]) * array(0.0f) + array(4.0f) * y[1];
  })(array(1.0f));
  EXPECT_FLOAT_EQ(g.item<float>(), 7.0f / 5);
  EXPECT_EQ(calls, 1);
}

TEST(CustomVjp, TwoCallsOnOneArgumentAreTwoCalls) {
  auto f = custom_vjp([](const Arrays& x) { return x; },
                      [](const Arrays&, const Arrays& g, const Arrays&) {
                        return Arrays{sign(g[0])};  // so that a sum of cotangents would show
                      });
  array g = grad([&](const array& x) { return f({x})[0] * array(2.0f) + f({x})[0]; })(array(1.0f));
  EXPECT_EQ(g.item<float>(), 2.0f);
}

TEST(CustomVjp, ABatchHasTheDerivativeOfEachExample) {
  auto f = custom_vjp([](const Arrays& in) { return Arrays{sum(in[0] * in[1])}; },
                      [](const Arrays& in, const Arrays& g, const Arrays&) {
                        return Arrays{array(10.0f) * g[0] * in[1], array(100.0f) * g[0] * in[0]};
                      });
  array x({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}, {3, 2}), w({7.0f, 8.0f});
  auto over_rows = vmap(f, {0, -1});
  auto loss = [&](const Arrays& in) { return sum(over_rows(in)[0]); };
  auto g = grad(ScalarFunction(loss), std::vector<int>{0, 1})({x, w});
  EXPECT_EQ(text(g[0]), text(broadcast_to(array(10.0f) * w, {3, 2})));
  EXPECT_EQ(text(g[1]), text(array(100.0f) * sum(x, 0)));
  // And the batch of derivatives.
  auto each = vmap(
      [&](const Arrays& in) {
        return grad(ScalarFunction([&](const Arrays& v) { return f(v)[0]; }))(in);
      },
      {0, -1});
  EXPECT_EQ(text(each({x, w})[0]), text(g[0]));
}

TEST(CustomFunction, HasTangentsOfItsOwn) {
  std::vector<int> seen;
  auto f = custom_function([](const Arrays& in) { return Arrays{in[0] * in[1]}; }, std::nullopt,
                           [&](const Arrays& in, const Arrays& t, const std::vector<int>& argnums) {
                             seen = argnums;
                             return Arrays{in[0] * t.back() * array(5.0f)};
                           });
  array a(2.0f), b(3.0f);
  auto only_b = jvp([&](const array& x) { return f({a, x})[0]; }, b, array(1.0f));
  EXPECT_EQ(only_b.second.item<float>(), 10.0f);
  EXPECT_EQ(seen, std::vector<int>{1});
  // Cotangents are the function's own.
  EXPECT_EQ(grad([&](const array& x) { return f({a, x})[0]; })(b).item<float>(), 2.0f);
}

TEST(CustomFunction, HasABatchOfItsOwn) {
  std::vector<int> seen;
  auto f = custom_function(
      [](const Arrays& in) {
        return Arrays{in[0] + in[1], in[1]};
      },
      std::nullopt, std::nullopt,
      [&](const Arrays& in, const std::vector<int>& axes) {
        seen = axes;
        return std::pair(Arrays{transpose(in[0]) * array(2.0f), in[1]}, std::vector<int>{1, -1});
      });
  array x({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}, {3, 2}), w({7.0f, 8.0f});
  auto out = vmap(f, {0, -1})({x, w});
  EXPECT_EQ(seen, (std::vector<int>{0, -1}));
  EXPECT_EQ(text(out[0]), text(x * array(2.0f)));
  EXPECT_EQ(text(out[1]), text(broadcast_to(w, {3, 2})));
}

TEST(CustomFunction, WithoutRulesIsTheFunction) {
  auto f = custom_function(just_exp);
  array x({0.5f, 1.5f});
  EXPECT_EQ(text(grad([&](const array& v) { return total(f, v); })(x)), text(exp(x)));
  EXPECT_EQ(text(jvp(f, Arrays{x}, Arrays{x}).second[0]), text(exp(x) * x));
  EXPECT_EQ(text(vmap(f)({x})[0]), text(exp(x)));
}

TEST(CustomFunction, GoesThroughCompileAndCheckpoint) {
  auto f = custom_vjp(just_exp, ten_times);
  array x({0.0f, 1.0f});
  for (const auto& g : {compile(f), checkpoint(f)}) {
    array slope = grad([&](const array& v) { return total(g, v); })(x);
    EXPECT_TRUE(allclose(slope, array(10.0f) * exp(x)).item<bool>());
  }
}

TEST(CustomFunction, SaysWhatARuleReturnedWrongly) {
  auto bad = [](Arrays made) {
    return [made](const array& x) {
      auto f =
          custom_vjp(just_exp, [&](const Arrays&, const Arrays&, const Arrays&) { return made; });
      return total(f, x);
    };
  };
  array x({0.0f, 1.0f});
  EXPECT_EQ(what_is_thrown([&] { grad(bad({}))(x); }),
            "[custom_function] vjp returned 0 cotangents, 1 are needed.");
  EXPECT_EQ(what_is_thrown([&] { grad(bad({array(1.0f)}))(x); }),
            "[custom_function] vjp returned shape () at 0; what it belongs to has shape (2,).");
}

}  // namespace
}  // namespace tarn
