// What explain says of a plan: what was fused, and why something was not.
#include <gtest/gtest.h>

#include <string>

#include "runtime/lower.h"
#include "tarn/info.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

array row() { return array({1.0f, 2.0f, 3.0f}); }

// The plan of what f makes, when nothing else holds the arrays on the way there.
template <class F>
std::string plan_of(F f) {
  array made = f();
  return explain(made);
}

// The end of the line of the step that computes `what`.
std::string line_of(const std::string& plan, const std::string& what) {
  size_t at = plan.find(what + " ");
  if (at == std::string::npos) return "no step " + what + " in\n" + plan;
  size_t arrow = plan.find("->", at);
  return plan.substr(arrow, plan.find('\n', at) - arrow);
}

TEST(Explain, AChainIsOneStep) {
  std::string plan = plan_of([] { return exp(row() * array(2.0f)) + array(1.0f); });
  EXPECT_EQ(line_of(plan, "multiply+exp+add"), "-> output, one worker");
  EXPECT_EQ(plan.substr(0, plan.find(',')), "1 steps in 1 stages");
}

TEST(Explain, NamesTheReaderThatIsNoElementwiseOp) {
  std::string plan = plan_of([] { return sum(exp(row())); });
  EXPECT_EQ(line_of(plan, "exp"), "-> slab, each worker, stored for sum");
}

TEST(Explain, NamesTheReaderThatRepeats) {
  std::string plan = plan_of([] { return exp(row()) + zeros({2, 3}); });
  EXPECT_EQ(line_of(plan, "exp"), "-> slab, each worker, stored: add repeats it along other axes");
}

TEST(Explain, SaysThatAViewReads) {
  std::string plan = plan_of([] { return transpose(exp(ones({2, 3}))) + array(1.0f); });
  EXPECT_EQ(line_of(plan, "exp"), "-> slab, each worker, stored for a view");
}

TEST(Explain, SaysThatAnArrayIsNamed) {
  array inner = exp(row());
  std::string plan = explain(inner + array(1.0f));
  EXPECT_EQ(line_of(plan, "exp"), "-> output, one worker, stored: an array names it");
}

TEST(Explain, SaysThatSeveralStepsRead) {
  std::string plan = plan_of([] {
    array costly = exp(row());
    return concatenate({costly + array(1.0f), costly * array(2.0f)});
  });
  EXPECT_EQ(
      line_of(plan, "exp"),
      "-> slab, each worker, stored: several steps read it, and computing it again costs more");
}

TEST(Explain, SaysThatAStepIsFull) {
  std::string plan = plan_of([] {
    array x = row();
    for (int i = 0; i < 50; ++i) x = sin(x);
    return x;
  });
  EXPECT_NE(
      plan.find("-> slab, each worker, stored: the next step has as many operations or inputs "
                "as one may have\n"),
      std::string::npos)
      << plan;
}

TEST(Explain, SaysThatFusingIsOff) {
  lower_options().fuse = false;
  std::string plan = plan_of([] { return exp(row()) + array(1.0f); });
  lower_options().fuse = true;
  EXPECT_EQ(line_of(plan, "exp"), "-> slab, each worker, stored: fusing is off");
}

}  // namespace
}  // namespace tarn
