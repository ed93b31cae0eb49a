// Every allocation fails once: the error reaches the caller, nothing is lost, and the graph and the
// pool can be used afterwards.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/eval.h"
#include "runtime/lower.h"
#include "tarn/tarn.h"

namespace {

// How many allocations of any thread still succeed; below zero all do.
std::atomic<int64_t> left{-1};
std::atomic<bool> failed{false};

bool fails_now() {
  if (left.load(std::memory_order_relaxed) < 0) return false;
  if (left.fetch_sub(1) != 0) return false;
  failed = true;
  return true;
}

}  // namespace

// The program's own, in place of the standard library's. Never inlined: g++ would see a pointer
// from `new` go to free().
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (fails_now()) throw std::bad_alloc();
  if (void* p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) { return operator new(bytes); }
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return fails_now() ? nullptr : std::malloc(bytes ? bytes : 1);
}
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace tarn {
namespace {

class Failing {
 public:
  explicit Failing(int64_t after) {
    failed = false;
    left = after;
  }
  ~Failing() { left = -1; }
};

array scenario(const array& x, const array& w) {
  auto loss = [&](const std::vector<array>& in) {
    array h = tanh(matmul(in[0], in[1]) + 1.0f);
    h = concatenate({softmax(h, -1), sort(h, 1)}, 1);
    return sum(h * h) + mean(cumsum(in[1], 0));
  };
  auto [value, slopes] = value_and_grad(ScalarFunction(loss), std::vector<int>{0, 1})({x, w});
  eval(value, slopes[0], slopes[1]);
  return value + sum(slopes[0]) + sum(slopes[1]);
}

class AllocationFailure : public testing::Test {
 protected:
  // Many threads, as for work that is worth sharing.
  AllocationFailure() { lower_options() = {.each_below_ns = 0, .share_from_ns = 0}; }
  ~AllocationFailure() override {
    lower_options() = {};
    clear_plan_cache();
  }

  // Calls f with the first, the second, ... allocation failing until none does, and `check` after
  // each. Returns how often f was called.
  template <class F, class Check>
  static int64_t each_allocation(F f, Check check) {
    for (int64_t n = 0;; ++n) {
      SCOPED_TRACE(n);
      try {
        Failing armed(n);
        f();
      } catch (const std::exception&) {
        EXPECT_TRUE(failed);
      }
      check();
      if (!failed || testing::Test::HasFailure()) return n;
    }
  }
};

TEST_F(AllocationFailure, LeavesGraphAndPoolUsable) {
  array x = random::normal(Shape{6, 5}, random::key(1)),
        w = random::normal(Shape{5, 7}, random::key(2));
  eval(x, w);
  float want = scenario(x, w).item<float>();
  int64_t calls = each_allocation(
      [&] {
        clear_plan_cache();
        scenario(x, w).eval();
      },
      [&] { EXPECT_EQ(scenario(x, w).item<float>(), want); });
  EXPECT_GT(calls, 100);
}

TEST_F(AllocationFailure, KeepsWhatWasRecorded) {
  array x = random::normal(Shape{8, 8}, random::key(1));
  x.eval();
  float want = sum(exp(matmul(x, transpose(x)) * 0.1f) + sort(x, 0)).item<float>();
  each_allocation(
      [&] {
        clear_plan_cache();
        array y = sum(exp(matmul(x, transpose(x)) * 0.1f) + sort(x, 0));
        try {
          y.eval();
        } catch (const std::exception&) {
          left = -1;
          EXPECT_EQ(y.item<float>(), want);  // the same array, asked again
          throw;
        }
      },
      [] {});
}

TEST_F(AllocationFailure, LeavesCompiledFunctionsUsable) {
  array x = random::normal(Shape{4, 4}, random::key(3));
  x.eval();
  ArraysFunction f = [](const std::vector<array>& in) {
    return std::vector<array>{sum(tanh(in[0]) * 2.0f, 0), max(in[0])};
  };
  float want = sum(f({x})[0]).item<float>();
  auto compiled = compile(f);
  each_allocation(
      [&] {
        clear_plan_cache();
        auto fresh = compile(f);
        eval(fresh({x}));
        eval(compiled({x}));
      },
      [&] { EXPECT_EQ(sum(compiled({x})[0]).item<float>(), want); });
}

}  // namespace
}  // namespace tarn
