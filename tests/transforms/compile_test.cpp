// Compiled functions: when they are recorded, and for whom.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

using Arrays = std::vector<array>;

// Counts how often the function itself is called.
struct Counted {
  std::shared_ptr<std::atomic<int>> calls = std::make_shared<std::atomic<int>>(0);
  ArraysFunction of(ArraysFunction f) const {
    return [f = std::move(f), calls = calls](const Arrays& in) {
      ++*calls;
      return f(in);
    };
  }
};

array rising(Shape shape) {
  int64_t n = 1;
  for (auto d : shape) n *= d;
  return reshape(arange(0.0, static_cast<double>(n), 1.0), shape) * array(0.1f);
}

// Calls a shapeless compilation of f with all shapes; returns how often f was recorded.
int recordings(const ArraysFunction& f, const std::vector<std::vector<Shape>>& all) {
  Counted counted;
  auto g = compile(counted.of(f), true);
  for (const auto& shapes : all) {
    Arrays in;
    for (const auto& s : shapes) in.push_back(rising(s));
    Arrays is = g(in), wanted = f(in);
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(text(is[i]), text(wanted[i]));
  }
  return *counted.calls;
}

TEST(Compile, RecordsOnceForEachSetOfShapes) {
  Counted counted;
  auto f = compile(counted.of([](const Arrays& in) { return Arrays{exp(in[0])}; }));
  for (int i = 0; i < 3; ++i)
    for (int64_t n : {2, 3}) f({rising({n})});
  EXPECT_EQ(*counted.calls, 2);
}

TEST(Compile, ShapelessRecordsTwiceForSizesThatOnlyPassThrough) {
  EXPECT_EQ(recordings([](const Arrays& in) { return Arrays{exp(in[0]) + in[1]}; },
                       {{{3}, {3}}, {{5}, {5}}, {{7}, {7}}, {{1000}, {1000}}}),
            2);
  // Reductions and their squeezing, products, softmax, slices of everything, transposes.
  array w = rising({4, 3});
  w.eval();
  EXPECT_EQ(recordings(
                [&](const Arrays& in) {
                  array y = matmul(in[0], w);
                  return Arrays{sum(softmax(y, -1), 0), transpose(y), max(y), flatten(y)};
                },
                {{{2, 4}}, {{5, 4}}, {{9, 4}}, {{12, 4}}}),
            2);
}

TEST(Compile, ShapelessFollowsReshapesAndBroadcasts) {
  auto heads = [](const Arrays& in) {
    const array& x = in[0];
    array y = reshape(x, {x.shape(0), x.shape(1), 2, 3});
    y = transpose(y, {0, 2, 1, 3});
    array bias = full(y.shape(), 2.0f) + zeros_like(y);
    return Arrays{reshape(y + bias, {x.shape(0) * 2, x.shape(1) * 3})};
  };
  EXPECT_EQ(recordings(heads, {{{4, 5, 6}}, {{5, 7, 6}}, {{8, 9, 6}}, {{10, 11, 6}}}), 2);
  auto derivative = [](const Arrays& in) {
    return Arrays{grad([](const array& v) { return sum(exp(v)); })(in[0])};
  };
  EXPECT_EQ(recordings(derivative, {{{2, 3}}, {{4, 5}}, {{6, 7}}}), 2);
}

TEST(Compile, ShapelessFollowsMeansAndVariances) {
  auto f = [](const Arrays& in) {
    const array& x = in[0];
    return Arrays{mean(x), var(x, 1, true, 1), number_of_elements(x, {0}, false, int64),
                  (x - mean(x, 0, true)) / tarn::std(x, 0, true)};
  };
  EXPECT_EQ(recordings(f, {{{4, 3}}, {{5, 7}}, {{8, 2}}, {{10, 11}}}), 2);
}

TEST(Compile, ShapelessLearnsAlthoughWhatIsCapturedWasComputedMeanwhile) {
  array w = rising({3});
  auto f = [&](const Arrays& in) { return Arrays{in[0] + exp(w)}; };
  // The first recording makes w itself; the comparison with f computes it.
  EXPECT_EQ(recordings(f, {{{2, 3}}, {{4, 3}}, {{5, 3}}, {{6, 3}}, {{7, 3}}}), 3);
}

TEST(Compile, ShapelessRecordsAgainWhereSizesBecomeNumbers) {
  auto number = [](const Arrays& in) {
    return Arrays{in[0] * array(1.0 / double(in[0].shape(0)), float32)};
  };
  EXPECT_EQ(recordings(number, {{{2}}, {{3}}, {{4}}, {{3}}}), 3);
  auto by_size = [](const Arrays& in) {
    return Arrays{in[0].shape(0) > 4 ? in[0] + array(1.0f) : in[0] * array(2.0f)};
  };
  EXPECT_EQ(recordings(by_size, {{{2}}, {{9}}, {{11}}}), 3);
}

TEST(Compile, ShapelessLearnsForEachSizeThatVaries) {
  auto f = [](const Arrays& in) { return Arrays{matmul(in[0], in[1])}; };
  // The outer size, then the inner ones together, then all.
  EXPECT_EQ(recordings(f, {{{2, 3}, {3, 4}}, {{5, 3}, {3, 4}}, {{6, 3}, {3, 4}}}), 2);
  EXPECT_EQ(recordings(f, {{{2, 3}, {3, 4}}, {{2, 7}, {7, 4}}, {{2, 8}, {8, 4}}}), 2);
  // Sizes that do not go together: the function itself says so.
  auto g = compile(ArraysFunction(f), true);
  g({rising({2, 3}), rising({3, 4})});
  g({rising({2, 7}), rising({7, 4})});
  EXPECT_EQ(what_is_thrown([&] {
              g({rising({2, 8}), rising({9, 4})});
            }),
            "[matmul] a has shape (2, 8) and b (9, 4): inner sizes 8 and 9 differ.");
}

TEST(Compile, ShapelessTakesOnesAndRanksApart) {
  auto f = [](const Arrays& in) { return Arrays{in[0] + in[1]}; };
  EXPECT_EQ(recordings(f, {{{3, 4}, {3, 4}}, {{5, 6}, {5, 6}}, {{1, 6}, {5, 6}}, {{4}, {4}}}), 4);
}

TEST(Compile, TakesWhateverCanBeCalled) {
  struct Twice {
    Arrays operator()(const Arrays& in) const { return {in[0] * array(2.0f)}; }
  };
  array x({1.0f});
  EXPECT_EQ(compile(Twice{})({x})[0].item<float>(), 2.0f);
  auto by_value = [](std::vector<array> in) { return std::vector<array>{in[0] * array(3.0f)}; };
  EXPECT_EQ(compile(by_value)({x})[0].item<float>(), 3.0f);
}

int plain_calls = 0;
Arrays plain(const Arrays& in) {
  ++plain_calls;
  return {in[0] * array(4.0f)};
}
TEST(Compile, APlainFunctionIsCompiledOnce) {
  array x({1.0f});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(compile(plain)({x})[0].item<float>(), 4.0f);
  EXPECT_EQ(plain_calls, 1);
}

TEST(Compile, CanBeSwitchedOff) {
  Counted counted;
  auto f = compile(counted.of([](const Arrays& in) { return Arrays{exp(in[0])}; }));
  set_compile_mode(CompileMode::disabled);
  f({rising({2})}), f({rising({2})});
  EXPECT_EQ(*counted.calls, 2);
  set_compile_mode(CompileMode::no_fuse);
  f({rising({2})}), f({rising({2})});
  EXPECT_EQ(*counted.calls, 3);
  disable_compile();
  f({rising({2})});
  enable_compile();
  f({rising({2})});
  EXPECT_EQ(*counted.calls, 4);
}

TEST(Compile, ShapelessIsCalledByManyThreads) {
  auto f = compile(
      [](const Arrays& in) {
        return Arrays{sum(reshape(in[0], {in[0].shape(0) * in[0].shape(1)}))};
      },
      true);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t n = 2; n < 40; ++n)
        right += f({ones({n, t + 2})})[0].item<float>() == static_cast<float>(n * (t + 2));
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(right, 4 * 38);
}

}  // namespace
}  // namespace tarn
