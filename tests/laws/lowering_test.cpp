// What is recorded for a device is lowered as for the CPU, up to the kernels: with a device that
// has the CPU's kernels, each op of the catalogue becomes the same steps.
#include <algorithm>

#include "laws/samples.h"
#include "runtime/lower.h"
#include "runtime/plan.h"
#include "runtime/second_memory.h"

namespace tarn::laws {
namespace {

const Backend& with_kernels_of_cpu() {
  static const auto* const one = [] {
    auto* b = new Backend(cpu_backend());
    b->memory = new tarn_test::SecondMemory;
    b->check = [] {};
    return b;
  }();
  return *one;
}

class Lowering : public testing::Test {
 protected:
  void SetUp() override { stand_in_for_gpu(&with_kernels_of_cpu()); }
  void TearDown() override {
    stand_in_for_gpu(nullptr);
    clear_plan_cache();
  }
};

// Sorted: workers of the CPU share stages, and so order, in their own way.
std::vector<std::string> steps_on(Device d, const Op& op, const Sample& s) {
  StreamContext scope{d};
  auto plan = plan_of(call(op, s.params, s.in));
  EXPECT_TRUE(d == Device::cpu || plan->device || plan->steps.empty());
  std::vector<std::string> steps;
  for (const PlanStep& step : plan->steps) {
    Hash params;
    step.own_params.hash(params);
    std::string text = fmt::format("{} by {} of {:x}:", step.what, step.kernel.name, params.a);
    for (const Operand& o : step.shapes)
      text += fmt::format(" {} ({}) by ({})", name_of(o.dtype), joined(o.shape, ", "),
                          joined(o.strides, ", "));
    steps.push_back(std::move(text));
  }
  std::ranges::sort(steps);
  return steps;
}

TEST_F(Lowering, GivesADeviceTheStepsOfTheCpu) {
  int compared = 0;
  for_each_sample([&](const Op& op, Dtype t, const Sample& s) {
    SCOPED_TRACE(name(op, t, s));
    ++compared;
    eval(s.in);
    EXPECT_EQ(steps_on(Device::gpu, op, s), steps_on(Device::cpu, op, s));
  });
  EXPECT_GT(compared, 1000);
}

}  // namespace
}  // namespace tarn::laws
