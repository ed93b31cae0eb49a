// What an op computes does not depend on how the graph is run: fused or not, in shared memory or
// not, compiled or not, on whatever instruction set.
#include "cpu/isa.h"
#include "laws/compare.h"
#include "runtime/eval.h"
#include "runtime/lower.h"

namespace tarn::laws {
namespace {

// The op between elementwise ones, with values that live on: something to fuse and to reuse.
array surrounded(const Op& op, const Params& params, const Arrays& in) {
  Arrays prepared = in;
  for (auto& x : prepared)
    if (is_float(x.dtype())) x = negative(negative(x) * constant(x, 1));
  array y = call(op, params, prepared);
  if (!is_float(y.dtype())) return y;
  array z = y * constant(y, 2), u = z - y;
  return where(u == u, u + constant(u, 1), u) * constant(u, 0.5) + z;
}
array fresh(const Op& op, const Sample& s) {
  clear_plan_cache();
  array y = surrounded(op, s.params, s.in);
  y.eval();
  return y;
}

class Options {
 public:
  Options() : before_(lower_options()) {}
  ~Options() {
    lower_options() = before_;
    clear_plan_cache();
  }

 private:
  LowerOptions before_;
};

// Fusing keeps narrow floats in float32 between ops, and so may differ by a rounding.
TEST(Settings, FusedIsUnfused) {
  Options restore;
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    SCOPED_TRACE(name(op, t, s));
    lower_options().fuse = true;
    array fused = fresh(op, s);
    lower_options().fuse = false;
    array unfused = fresh(op, s);
    Dtype narrow = fused.dtype();
    double rounding = is_float(narrow) ? precision(narrow) : 0;
    EXPECT_TRUE(close(fused, unfused, 4 * std::max(tolerance(op, t), rounding)));
  });
}
TEST(Settings, PlannedMemoryIsNaiveMemory) {
  Options restore;
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    SCOPED_TRACE(name(op, t, s));
    for (bool fuse : {true, false}) {
      lower_options().fuse = fuse, lower_options().reuse_memory = true;
      array planned = fresh(op, s);
      lower_options().reuse_memory = false;
      array naive = fresh(op, s);
      EXPECT_TRUE(close(planned, naive, 0));
    }
  });
}

// Samples are small, so that by default one thread computes them.
TEST(Settings, SharedWorkIsWorkAlone) {
  Options restore;
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    SCOPED_TRACE(name(op, t, s));
    lower_options() = {};
    array alone = fresh(op, s);
    for (double each_below : {0.0, 40.0, 1e9}) {
      lower_options() = {.each_below_ns = each_below, .share_from_ns = 0};
      EXPECT_TRUE(close(fresh(op, s), alone, 0));
    }
  });
}

class IsaScope {
 public:
  IsaScope() : before_(cpu::best_isa()) {}
  ~IsaScope() {
    cpu::set_isa(before_);
    clear_plan_cache();
  }

 private:
  cpu::Isa before_;
};
TEST(Settings, EveryInstructionSetIsTheLowest) {
  IsaScope restore;
  const cpu::Isa lowest = cpu::available_isas().front();
  for_each_sample([lowest](const Op& op, Dtype t, const Sample& s) {
    cpu::set_isa(lowest);
    array want = fresh(op, s);
    for (cpu::Isa isa : cpu::available_isas()) {
      if (isa == lowest) continue;
      SCOPED_TRACE(name(op, t, s) + " on " + cpu::name(isa));
      cpu::set_isa(isa);
      EXPECT_TRUE(close(fresh(op, s), want, 4 * tolerance(op, t)));
    }
  });
}

TEST(Settings, CompiledIsEager) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    if (s.in.empty()) return;
    SCOPED_TRACE(name(op, t, s));
    ArraysFunction f = [&](const Arrays& in) { return Arrays{surrounded(op, s.params, in)}; };
    auto compiled = compile(f);
    for (int by : {0, 1}) {  // the second call replays what the first recorded
      Arrays in;
      for (const auto& x : s.in) in.push_back(example(s, x, by));
      EXPECT_TRUE(close(compiled(in)[0], f(in)[0], tolerance(op, t)));
    }
  });
}

// More scalars and rounded halves than a step has registers to spare.
TEST(Settings, LongChainsAreTheirOpsOneByOne) {
  Options restore;
  for (Dtype t : floats)
    for (Dtype other : {float16, bfloat16, float32, int32}) {
      SCOPED_TRACE(fmt::format("{} with {}", name_of(t), name_of(other)));
      Arrays results;
      for (bool fuse : {true, false}) {
        lower_options().fuse = fuse, lower_options().reuse_memory = true;
        clear_plan_cache();
        array y = numbers({70}, t, -1, 1), column = numbers({70}, other, -2, 2, 1);
        for (int i = 1; i <= 60; ++i) {
          y = y * array(1 + 0.01 * i, t) + astype(astype(column, t), other);
          y = astype(y * y - y, t) * array(i % 2 ? 0.125 : -0.125, t);
        }
        y.eval();
        results.push_back(y);
      }
      EXPECT_TRUE(close(results[0], results[1], 40 * std::max(precision(t), precision(other))));
    }
}

// Two results of one evaluation, one of which the other needs.
TEST(Settings, ResultsOfOneEvaluationAreThoseOfTwo) {
  for_each_sample([](const Op& op, Dtype t, const Sample& s) {
    SCOPED_TRACE(name(op, t, s));
    array y = call(op, s.params, s.in), z = equal(y, y);
    eval(y, z);
    EXPECT_TRUE(close(y, call(op, s.params, s.in), 0));
  });
}

}  // namespace
}  // namespace tarn::laws
