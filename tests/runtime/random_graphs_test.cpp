// What holds for every program, tried on programs drawn by lot.
#include "runtime/random_graphs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "runtime/eval.h"
#include "runtime/lower.h"

namespace tarn {
namespace {

using random_graphs::Arrays;
using random_graphs::Program;

std::vector<std::vector<float>> numbers(const Arrays& all) {
  eval(all);
  std::vector<std::vector<float>> out;
  for (const auto& a : all) {
    array flat = contiguous(a);
    flat.eval();
    out.emplace_back(flat.data<float>(), flat.data<float>() + flat.size());
  }
  return out;
}
// The largest difference between two results of one shape; infinite where they cannot be compared.
double distance(const Arrays& a, const Arrays& b) {
  if (a.size() != b.size()) return INFINITY;
  auto x = numbers(a), y = numbers(b);
  double far = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (a[i].shape() != b[i].shape()) return INFINITY;
    for (size_t k = 0; k < x[i].size(); ++k) {
      if (std::isnan(x[i][k]) || std::isnan(y[i][k])) return INFINITY;
      far = std::max(far, std::abs(double(x[i][k]) - double(y[i][k])));
    }
  }
  return far;
}

class RandomGraphs : public testing::Test {
 protected:
  ~RandomGraphs() override {
    lower_options() = {};
    clear_plan_cache();
  }
  static Arrays with(LowerOptions options, const Program& program, const Arrays& in) {
    lower_options() = options;
    clear_plan_cache();
    Arrays out = program(in);
    eval(out);
    return out;
  }
};

constexpr int graphs = 1000;

TEST_F(RandomGraphs, FusedIsUnfused) {
  for (int seed = 0; seed < 2 * graphs; ++seed) {
    Program program(seed, 12, false);
    Arrays in = program.arguments();
    Arrays fused = with({}, program, in), apart = with({.fuse = false}, program, in);
    ASSERT_LE(distance(fused, apart), 2e-5) << "seed " << seed;
  }
}
TEST_F(RandomGraphs, PlannedMemoryIsNaiveMemory) {
  for (int seed = 0; seed < graphs; ++seed) {
    Program program(seed, 20, true);
    Arrays in = program.arguments();
    Arrays planned = with({}, program, in), naive = with({.reuse_memory = false}, program, in);
    ASSERT_EQ(distance(planned, naive), 0) << "seed " << seed;
  }
}
TEST_F(RandomGraphs, AnyNumberOfThreadsIsOne) {
  for (int seed = 0; seed < graphs; ++seed) {
    Program program(seed, 20, true);
    Arrays in = program.arguments();
    Arrays alone = with({}, program, in);
    for (double each_below : {0.0, 40.0}) {
      LowerOptions shared{.each_below_ns = each_below, .share_from_ns = 0};
      ASSERT_EQ(distance(with(shared, program, in), alone), 0) << "seed " << seed;
    }
  }
}
TEST_F(RandomGraphs, CompiledIsEager) {
  for (int seed = 0; seed < graphs; ++seed) {
    Program program(seed, 12, false);
    auto compiled = compile(program);
    for (int variant : {0, 1}) {
      Arrays in = program.arguments(variant);
      ASSERT_EQ(distance(compiled(in), program(in)), 0) << "seed " << seed;
    }
  }
}
TEST_F(RandomGraphs, MappedIsALoop) {
  for (int seed = 0; seed < graphs / 4; ++seed) {
    Program program(seed, 10, false);
    ArraysFunction f = program;
    Arrays first = program.arguments(0), second = program.arguments(1);
    Arrays both{stack({first[0], second[0]}), stack({first[1], second[1]})};
    Arrays mapped = vmap(f)(both), one = f(first), two = f(second), looped;
    for (size_t i = 0; i < one.size(); ++i) looped.push_back(stack({one[i], two[i]}));
    ASSERT_LE(distance(mapped, looped), 2e-5) << "seed " << seed;
  }
}
// <v, J t> = <J' v, t>: what forward and backward mode say of each other.
TEST_F(RandomGraphs, BackwardIsForwardTransposed) {
  for (int seed = 0; seed < graphs / 4; ++seed) {
    Program program(seed, 10, false);
    ArraysFunction f = program;
    Arrays in = program.arguments(0), along = program.arguments(1);
    auto [out, pushed] = jvp(f, in, along);
    Arrays weights;
    for (size_t i = 0; i < out.size(); ++i)
      weights.push_back(random::uniform(-1.0f, 1.0f, out[i].shape(), float32, random::key(i)));
    Arrays pulled = vjp(f, in, weights).second;
    double forward = 0, backward = 0, size = 1;
    for (size_t i = 0; i < out.size(); ++i) {
      forward += sum(astype(weights[i] * pushed[i], float64)).item<double>();
      size += sum(abs(astype(weights[i] * pushed[i], float64))).item<double>();
    }
    for (size_t i = 0; i < in.size(); ++i)
      backward += sum(astype(pulled[i] * along[i], float64)).item<double>();
    ASSERT_NEAR(forward, backward, 2e-4 * size) << "seed " << seed;
  }
}
TEST_F(RandomGraphs, EightThreadsOnOneGraphAreOne) {
  for (int seed = 0; seed < graphs / 4; ++seed) {
    Program program(seed, 16, true);
    Arrays in = program.arguments(), expected = program(in), shared = program(in);
    eval(expected);
    std::vector<std::thread> threads;
    std::vector<int> wrong(8, 0);
    for (size_t t = 0; t < 8; ++t)
      threads.emplace_back([&, t] {
        // Each begins with another result, so that they meet in the middle of the graph.
        const array& mine = shared[t % shared.size()];
        const array& want = expected[t % shared.size()];
        array same = array_equal(mine, want);
        wrong[t] = !same.item<bool>();
      });
    for (auto& t : threads) t.join();
    for (int w : wrong) ASSERT_EQ(w, 0) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tarn
