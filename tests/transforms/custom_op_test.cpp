// Operations that a program defines itself.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <stdexcept>
#include <thread>

#include "tarn/info.h"
#include "tarn/tarn.h"
#include "transforms/words.h"

namespace tarn {
namespace {

using Arrays = std::vector<array>;

ArraySpec like_first(const Arrays& in) { return {in[0].shape(), in[0].dtype()}; }

// x^3 on float32.
void cube_kernel(const KernelCall& call) {
  const auto* x = call.in[0].as<const float>();
  auto* y = call.out.as<float>();
  int64_t n = call.out.size();
  for (int64_t i = n * call.worker / call.workers; i < n * (call.worker + 1) / call.workers; ++i)
    y[i] = x[i] * x[i] * x[i];
}
CustomOp cube_with_kernel() {
  CustomOp op;
  op.name = "cube";
  op.infer = like_first;
  op.cpu = cube_kernel;
  return op;
}
array cube_slope(const array& x) { return array(3.0f) * x * x; }
CustomOp cube_with_vjp() {
  CustomOp op = cube_with_kernel();
  op.vjp = [](const Arrays& in, const array& g, const array&) {
    return Arrays{g * cube_slope(in[0])};
  };
  return op;
}

TEST(CustomOp, RunsItsKernel) {
  auto cube = custom_op(cube_with_kernel());
  array x({1.0f, -2.0f, 3.0f});
  EXPECT_EQ(text(cube(x)), "array([1, -8, 27], dtype=float32)");
  // A view is made contiguous first, and other steps are around it.
  array m({1.0f, 2.0f, 3.0f, 4.0f}, {2, 2});
  EXPECT_EQ(text(cube(transpose(m) + array(1.0f)) * array(2.0f)),
            "array([[16, 128],\n       [54, 250]], dtype=float32)");
  EXPECT_NE(explain(cube(x)).find("cube"), std::string::npos);
}

TEST(CustomOp, SharesALargeStepAmongWorkers) {
  CustomOp op = cube_with_kernel();
  op.parallel = true;
  std::atomic<int> calls{0};
  op.cpu = [&](const KernelCall& call) {
    ++calls;
    cube_kernel(call);
  };
  array x = arange(0.0, 300000.0, 1.0) * array(1e-3f);
  array y = custom_op(std::move(op))(x);
  EXPECT_TRUE(allclose(y, x * x * x).item<bool>());
  EXPECT_GE(calls, 1);
}

TEST(CustomOp, HasTheDerivativesItIsGiven) {
  auto cube = custom_op(cube_with_vjp());
  array x({1.0f, -2.0f}), t({1.0f, 0.5f});
  array g = grad([&](const array& v) { return sum(cube(v)); })(x);
  EXPECT_EQ(text(g), text(cube_slope(x)));
  // Second derivative, and a tangent from the cotangents' rule.
  array second = grad([&](const array& v) {
    return sum(grad([&](const array& u) { return sum(cube(u)); })(v));
  })(x);
  EXPECT_EQ(text(second), text(array(6.0f) * x));
  EXPECT_EQ(text(jvp([&](const array& v) { return cube(v); }, x, t).second),
            text(cube_slope(x) * t));
}

TEST(CustomOp, ATangentOfItsOwnComesFirst) {
  CustomOp op = cube_with_vjp();
  op.jvp = [](const Arrays&, const Arrays& t, const std::vector<int>& argnums) {
    EXPECT_EQ(argnums, std::vector<int>{0});
    return t[0] * array(7.0f);
  };
  auto cube = custom_op(std::move(op));
  array x({1.0f, 2.0f});
  EXPECT_EQ(text(jvp([&](const array& v) { return cube(v); }, x, x).second), text(x * array(7.0f)));
}

TEST(CustomOp, FollowsFromItsExpansion) {
  CustomOp op;
  op.name = "cube";
  op.infer = like_first;
  op.expand = [](const Arrays& in) { return in[0] * in[0] * in[0]; };
  auto cube = custom_op(op);
  array x({1.0f, -2.0f, 3.0f});
  EXPECT_EQ(text(cube(x)), text(x * x * x));
  EXPECT_EQ(text(grad([&](const array& v) { return sum(cube(v)); })(x)), text(cube_slope(x)));
  EXPECT_EQ(text(vmap([&](const array& v) { return cube(v); })(x)), text(x * x * x));
  EXPECT_EQ(text(jvp([&](const array& v) { return cube(v); }, x, x).second),
            text(cube_slope(x) * x));
}

// The sum of a row times a scalar that is not mapped.
CustomOp row_sum() {
  CustomOp op;
  op.name = "row_sum";
  op.infer = [](const Arrays& in) { return ArraySpec{{}, in[0].dtype()}; };
  op.cpu = [](const KernelCall& call) {
    float sum = 0;
    for (int64_t i = 0; i < call.in[0].size(); ++i) sum += call.in[0].as<const float>()[i];
    *call.out.as<float>() = sum * *call.in[1].as<const float>();
  };
  return op;
}

TEST(CustomOp, IsCalledForEachExampleOfABatch) {
  auto op = custom_op(row_sum());
  auto rows = vmap([&](const array& a, const array& b) { return op(a, b); }, 0, -1);
  array x({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}, {3, 2});
  EXPECT_EQ(text(rows(x, array(2.0f))), "array([6, 14, 22], dtype=float32)");
  EXPECT_EQ(rows(zeros({0, 2}), array(2.0f)).shape(), Shape{0});
}

TEST(CustomOp, HasTheBatchItIsGiven) {
  CustomOp told = row_sum();
  std::vector<int> seen;
  told.vmap = [&](const Arrays& in, const std::vector<int>& axes) {
    seen = axes;
    return std::pair(sum(in[0], 1) * in[1], 0);
  };
  auto op = custom_op(std::move(told));
  array x({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f}, {3, 2});
  array y = vmap([&](const array& a, const array& b) { return op(a, b); }, 0, -1)(x, array(2.0f));
  EXPECT_EQ(text(y), "array([6, 14, 22], dtype=float32)");
  EXPECT_EQ(seen, (std::vector<int>{0, -1}));
}

TEST(CustomOp, GoesThroughCompile) {
  auto cube = custom_op(cube_with_vjp());
  auto f = compile([&](const Arrays& in) { return Arrays{cube(in[0]) + array(1.0f)}; });
  EXPECT_EQ(text(f({array({1.0f, 2.0f})})[0]), "array([2, 9], dtype=float32)");
  EXPECT_EQ(text(f({array({3.0f, 0.0f})})[0]), "array([28, 1], dtype=float32)");
}

TEST(CustomOp, AKernelThatThrowsPoisonsNothing) {
  CustomOp op = cube_with_kernel();
  std::atomic<bool> broken{true};
  op.parallel = true;
  op.cpu = [&](const KernelCall& call) {
    if (broken) throw std::runtime_error("the device is on fire");
    cube_kernel(call);
  };
  auto cube = custom_op(std::move(op));
  for (int64_t n : {3, 200000}) {
    broken = true;
    array x = full({n}, 2.0f), y = cube(x), z = exp(y * array(0.0f)) + x;
    try {
      z.eval();
      FAIL() << "the error is lost";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "the device is on fire");
    }
    EXPECT_FALSE(z.is_available());
    EXPECT_EQ(sum(x * x).item<float>(), 4.0f * static_cast<float>(n));
    async_eval(z);
    EXPECT_THROW(synchronize(), std::runtime_error);
    broken = false;
    EXPECT_EQ(sum(z).item<float>(), 3.0f * static_cast<float>(n));
    EXPECT_EQ(y.data<float>()[n - 1], 8.0f);
  }
}

TEST(CustomOp, IsUsedByManyThreads) {
  auto cube = custom_op(cube_with_vjp());
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        array x = full({64}, static_cast<float>(t + i));
        array g = grad([&](const array& v) { return sum(cube(v)); })(x);
        right += g.data<float>()[63] == 3 * static_cast<float>((t + i) * (t + i));
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(right, 80);
}

TEST(CustomOp, ADefinitionMayGoBeforeItsArrays) {
  array y = [] { return custom_op(cube_with_vjp())(array({2.0f})); }();
  EXPECT_EQ(y.item<float>(), 8.0f);
}

TEST(CustomOp, SaysWhatIsMissing) {
  EXPECT_EQ(what_is_thrown([] { custom_op({}); }), "[custom_op] the op has no name.");
  EXPECT_EQ(what_is_thrown([] {
              CustomOp op;
              op.name = "cube";
              custom_op(op);
            }),
            "[custom_op] cube has no infer, which says shape and dtype.");
  EXPECT_EQ(what_is_thrown([] {
              CustomOp op = cube_with_kernel();
              op.cpu = nullptr;
              custom_op(op);
            }),
            "[custom_op] cube has neither cpu nor expand: give it one.");
  auto cube = custom_op(cube_with_kernel());
  EXPECT_EQ(
      what_is_thrown([&] { grad([&](const array& v) { return sum(cube(v)); })(array({1.0f})); }),
      "[cube] a derivative is asked for, and custom_op was given neither vjp nor expand.");
  CustomOp op = cube_with_kernel();
  op.infer = [](const Arrays&) { return ArraySpec{{-1}, float32}; };
  EXPECT_EQ(what_is_thrown([&] { custom_op(op)(array({1.0f})); }),
            "[cube] infer says shape (-1,): sizes are not negative.");
  op = cube_with_kernel();
  op.vjp = [](const Arrays&, const array&, const array&) { return Arrays{}; };
  EXPECT_EQ(what_is_thrown([&] {
              auto f = custom_op(op);
              grad([&](const array& v) { return sum(f(v)); })(array({1.0f}));
            }),
            "[cube] vjp made 0 cotangents for 1 inputs.");
}

}  // namespace
}  // namespace tarn
