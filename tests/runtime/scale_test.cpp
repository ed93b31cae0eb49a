// Graphs of a million ops, and graphs that many threads share.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "on_threads.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::on_threads;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int many = 100'000;
constexpr int rounds = 5;
#else
constexpr int many = 1'000'000;
constexpr int rounds = 20;
#endif
constexpr int threads = 8;

array chain(array x, int length) {
  array one(1.0f);
  for (int i = 0; i < length; ++i) x = add(x, one);
  return x;
}

TEST(Scale, AMillionOpsAreEvaluated) {
  array y = chain(zeros({2}), many);
  EXPECT_EQ(y.data<float>()[1], static_cast<float>(many));
}
TEST(Scale, AMillionOpsAreDestroyedUnevaluated) {
  { array y = chain(zeros({2}), many); }
  SUCCEED();
}
// Every value is used twice: without sharing there would be 2^40 of them.
TEST(Scale, AValueUsedTwiceIsComputedOnce) {
  array x = ones({2});
  for (int i = 0; i < 40; ++i) x = add(x, x);
  EXPECT_EQ(x.data<float>()[0], 1099511627776.0f);
}
// A planner that compares every input with every other takes minutes here.
TEST(Scale, ManyDistinctInputsArePlanned) {
  array sum = zeros({});
  for (int i = 0; i < many / 5; ++i) sum = sum + array(static_cast<float>(i % 7 == 0));
  EXPECT_EQ(sum.item<float>(), static_cast<float>((many / 5 + 6) / 7));
}
TEST(Scale, ALongChainHasADerivative) {
  auto slope = grad([](const array& x) {
    array y = x;
    for (int i = 0; i < many / 10; ++i) y = multiply(y, array(1.0f));
    return y;
  })(array(3.0f));
  EXPECT_EQ(slope.item<float>(), 1.0f);
}

TEST(Threads, EvaluateOneSharedGraph) {
  for (int round = 0; round < rounds; ++round) {
    array base = arange(0.0, 1000.0, float32), shared = sum(exp(base * array(1e-3f)) + base);
    array want =
        sum(exp(arange(0.0, 1000.0, float32) * array(1e-3f)) + arange(0.0, 1000.0, float32));
    std::atomic<int> right{0};
    float expected = want.item<float>();
    on_threads(threads, [&](int t) {
      array mine =
          shared + array(static_cast<float>(t));  // a graph of its own above the shared one
      right += mine.item<float>() == expected + static_cast<float>(t);
      right += shared.item<float>() == expected;
    });
    EXPECT_EQ(right, 2 * threads);
  }
}
TEST(Threads, EvaluateTheirOwnGraphs) {
  std::atomic<int> right{0};
  on_threads(threads, [&](int t) {
    for (int i = 0; i < rounds; ++i) {
      array x = full({64, 64}, static_cast<float>(t + 1));
      array y = sum(matmul(x, x) + sort(x, 0));
      float n = static_cast<float>(t + 1);
      right += y.item<float>() == 4096 * (64 * n * n + n);
    }
  });
  EXPECT_EQ(right, threads * rounds);
}
// Handles come and go on all threads while the values are computed.
TEST(Threads, ShareHandles) {
  std::vector<array> pool;
  for (int i = 0; i < 32; ++i) pool.push_back(square(full({16}, static_cast<float>(i))));
  std::atomic<int> right{0};
  on_threads(threads, [&](int t) {
    for (int i = 0; i < 32; ++i) {
      auto k = static_cast<size_t>((i * 5 + t) % 32);
      array mine = pool[k];
      array sum_of_two = mine + pool[(k + 1) % 32];
      auto a = static_cast<float>(k), b = static_cast<float>((k + 1) % 32);
      right += sum_of_two.data<float>()[15] == a * a + b * b;
    }
  });
  EXPECT_EQ(right, threads * 32);
}
TEST(Threads, TakeDerivatives) {
  std::atomic<int> right{0};
  on_threads(threads, [&](int t) {
    auto slope = grad([](const array& x) { return sum(x * x * x); });
    for (int i = 0; i < rounds; ++i) {
      float x = static_cast<float>(t + i);
      right += slope(array({x, 1.0f})).data<float>()[0] == 3 * x * x;
    }
  });
  EXPECT_EQ(right, threads * rounds);
}
TEST(Threads, DrawTheSameNumbersFromTheSameSeed) {
  std::vector<float> first(threads);
  on_threads(threads, [&](int t) {
    random::seed(7);
    first[static_cast<size_t>(t)] = random::uniform({3}).data<float>()[0];
  });
  for (float f : first) EXPECT_EQ(f, first[0]);
}
TEST(Threads, WaitForAnAsynchronousEvaluation) {
  array x = sum(exp(zeros({1000, 100})));
  async_eval(x);
  std::atomic<int> right{0};
  on_threads(threads, [&](int) { right += x.item<float>() == 100000.0f; });
  EXPECT_EQ(right, threads);
}
// An error reaches every thread that asks, and poisons nothing else.
TEST(Threads, AllSeeAnError) {
  array bad = take(ones({3}), array({7}, int32), 0), good = ones({3}) + ones({3});
  std::atomic<int> seen{0};
  on_threads(threads, [&](int) {
    try {
      bad.eval();
    } catch (const IndexError&) {
      ++seen;
    }
    seen += good.data<float>()[0] == 2;
  });
  EXPECT_EQ(seen, 2 * threads);
}

}  // namespace
}  // namespace tarn
