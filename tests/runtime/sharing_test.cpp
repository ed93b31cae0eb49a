// What threads share: one cache of plans, one pool of workers, memory that is taken over.
#include <gtest/gtest.h>

#include <atomic>
#include <stop_token>
#include <thread>
#include <vector>

#include "on_threads.h"
#include "runtime/eval.h"
#include "tarn/info.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::on_threads;

constexpr int sharers = 4;
constexpr int repeats = 12;

// Dear enough for the pool: only one thread at a time gets its workers, the others run alone.
array heavy(const array& x) { return sum(matmul(x, x) * array(2.0f)); }

// How many plans f makes.
template <class F>
uint64_t plans_of(F f) {
  uint64_t before = eval_counters().plans_made;
  f();
  return eval_counters().plans_made - before;
}

TEST(Sharing, AThreadsLastSmallPlanIsThereForOthersWhenItEnds) {
  array x = arange(0.0, 61.0, 1.0, float32), y = ones({61}, float32);
  eval(x, y);
  auto small = [&] { eval(x * y - x); };
  EXPECT_EQ(plans_of([&] { std::thread(small).join(); }), 1u);
  EXPECT_EQ(plans_of([&] { std::thread(small).join(); }), 0u);
}

TEST(Sharing, AClearedPlanIsMadeAgainWhereAThreadKeptIt) {
  array x = arange(0.0, 67.0, 1.0, float32), y = ones({67}, float32);
  eval(x, y);
  auto small = [&] { eval(x * y + x); };
  small();
  EXPECT_EQ(plans_of(small), 0u);
  std::thread(clear_plan_cache).join();
  EXPECT_EQ(plans_of(small), 1u);
}

TEST(Sharing, PlansAreClearedWhileOthersEvaluate) {
  std::atomic<int> right{0};
  std::jthread clearing([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      clear_plan_cache();
      std::this_thread::yield();
    }
  });
  on_threads(sharers, [&](int t) {
    auto n = static_cast<float>(t + 1);
    for (int i = 0; i < repeats; ++i)
      right += heavy(full({96, 96}, n)).item<float>() == 2 * 96 * 96 * 96 * n * n;
  });
  EXPECT_EQ(right, sharers * repeats);
}

// The handles of one thread go while another computes what they stand for.
TEST(Sharing, CopiesOfOneGraphAreDroppedWhileItIsComputed) {
  std::atomic<int> right{0};
  for (int i = 0; i < repeats; ++i) {
    array x = full({96, 96}, 2.0f), inner = x + array(1.0f), y = heavy(inner);
    std::vector<array> copies(static_cast<size_t>(sharers), y);
    on_threads(sharers, [&](int t) {
      array mine = std::exchange(copies[static_cast<size_t>(t)], array(0.0f));
      if (t % 2 == 0) right += mine.item<float>() == 2 * 96 * 96 * 96 * 9.0f;
      if (t % 2 == 1) right += sum(inner * inner).item<float>() == 96 * 96 * 9.0f;
    });
  }
  EXPECT_EQ(right, sharers * repeats);
}

// Each begins with the same value and writes into what it thinks is its own.
TEST(Sharing, UpdatesInPlaceLeaveTheSharedValueAlone) {
  array start = zeros({64, 64});
  start.eval();
  std::atomic<int> right{0};
  on_threads(sharers, [&](int t) {
    array mine = start, row = full({1, 64}, static_cast<float>(t + 1));
    for (int64_t i = 0; i < repeats; ++i) {
      mine = slice_update(mine, row, {i, 0}, {i + 1, 64});
      mine.eval();
    }
    right += sum(mine).item<float>() == static_cast<float>(64 * repeats * (t + 1));
    right += sum(start).item<float>() == 0;
  });
  EXPECT_EQ(right, 2 * sharers);
}

TEST(Sharing, ACompiledFunctionIsCalledByAll) {
  auto f = compile([](const std::vector<array>& in) {
    return std::vector<array>{sum(in[0] * in[0]) + array(1.0f)};
  });
  std::atomic<int> right{0};
  on_threads(sharers, [&](int t) {
    for (int i = 0; i < repeats; ++i) {
      auto n = static_cast<float>(t + i);
      right +=
          f({full({i % 3 + 1}, n)})[0].item<float>() == n * n * static_cast<float>(i % 3 + 1) + 1;
    }
  });
  EXPECT_EQ(right, sharers * repeats);
}

TEST(Sharing, PlansAreShownWhileOthersEvaluate) {
  std::atomic<int> right{0};
  for (int i = 0; i < repeats; ++i) {
    array x = heavy(full({32, 32}, 1.0f)), y = exp(zeros({100})) + x;
    on_threads(sharers, [&](int t) {
      if (t % 2 == 0) right += !explain(y).empty();
      if (t % 2 == 1) right += y.data<float>()[99] == 2 * 32 * 32 * 32 + 1;
    });
  }
  EXPECT_EQ(right, sharers * repeats);
}

TEST(Sharing, AStopReachesOnlyItsOwnThread) {
  std::atomic<int> right{0};
  on_threads(sharers, [&](int t) {
    std::stop_source source;
    StopScope scope(source.get_token());
    std::jthread stopping;
    if (t % 2 == 1) stopping = std::jthread([&] { source.request_stop(); });
    int computed = 0;
    try {
      for (int i = 0; i < repeats; ++i) computed += heavy(full({96, 96}, 1.0f)).item<float>() > 0;
    } catch (const Cancelled&) {
      computed = t % 2 == 1 ? repeats : -1;
    }
    right += computed == repeats;
  });
  EXPECT_EQ(right, sharers);
}

TEST(Sharing, AllGiveWorkToTheAsynchronousQueue) {
  std::atomic<int> right{0};
  on_threads(sharers, [&](int t) {
    for (int i = 0; i < repeats; ++i) {
      array x = heavy(full({16, 16}, static_cast<float>(t)));
      async_eval(x);
      if (i % 4 == 0) synchronize();
      right += x.item<float>() == static_cast<float>(2 * 16 * 16 * 16 * t * t);
    }
  });
  EXPECT_EQ(right, sharers * repeats);
}

}  // namespace
}  // namespace tarn
