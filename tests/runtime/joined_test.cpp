// Steps that one launch of a device does, and parameters that its kernels read when they run; on
// the stand-in, with kernels of which some can do that.
#include <gtest/gtest.h>

#include <vector>

#include "ops/kinds.h"
#include "ops/movement.h"
#include "runtime/second_memory.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

struct {
  std::vector<size_t> launches{};  // how many steps each did
  std::vector<int64_t> numbers{};  // that updates found
  KernelFn norm = nullptr, update = nullptr;
} seen;

void run_norms(std::span<const Step> steps) {
  seen.launches.push_back(steps.size());
  for (const Step& s : steps) seen.norm(s, 0, 1);
}
bool same_width(const Step& a, const Step& b) {
  return a.in[0].shape.back() == b.in[0].shape.back();
}
int64_t first_of(const Step& s) {
  const auto& start = s.params->as<ops::SliceUpdate::P>().start;
  return start[0] * s.out.strides[0] + start[1];
}
void run_update(const Step& s, int worker, int workers) {
  seen.numbers.push_back(*s.number);
  seen.update(s, worker, workers);
}

const Backend& joining() {
  static const Backend* const one = [] {
    auto* b = new Backend(tarn_test::stand_in());
    b->table = {};
    for (const Op* op : ops::all())
      for (Kernel row : tarn_test::stand_in().table.rows(*op)) {
        if (op->name == "rms_norm") {
          seen.norm = row.run;
          row.run = [](const Step& s, int, int) { run_norms({&s, 1}); };
          row.joins = same_width, row.run_joined = run_norms, row.shares = 1;
        }
        if (op->name == "slice_update") {
          seen.update = row.run;
          row.run = run_update, row.number = first_of;
        }
        b->table.add(*op, row);
      }
    return b;
  }();
  return *one;
}

class Joined : public testing::Test {
 protected:
  void SetUp() override {
    seen.launches.clear(), seen.numbers.clear();
    stand_in_for_gpu(&joining());
  }
  void TearDown() override {
    stand_in_for_gpu(nullptr);
    clear_plan_cache();
  }
};

array numbers(Shape shape, float first) {
  array a = reshape(arange(0.0, double(shape[0] * shape[1]), float32, Device::cpu) + array(first),
                    shape, Device::cpu);
  a.eval();
  return a;
}
bool same(const array& a, const array& b) {
  return array_equal(a, b, false, Device::cpu).item<bool>();
}

TEST_F(Joined, StepsOfTheSameInputAreOneLaunch) {
  array x = numbers({3, 8}, 1), first = numbers({1, 8}, 2), second = numbers({1, 8}, -5);
  auto answer = [&](Device d) {
    StreamContext scope{d};
    array y = fast::rms_norm(x, reshape(first, {8}), 1e-5f),
          z = fast::rms_norm(x, reshape(second, {8}), 1e-5f);
    return std::vector<array>{y, z};
  };
  auto got = answer(Device::gpu), want = answer(Device::cpu);
  eval(got), eval(want);
  EXPECT_EQ(seen.launches, std::vector<size_t>{2});
  EXPECT_TRUE(same(got[0], want[0]));
  EXPECT_TRUE(same(got[1], want[1]));
}

TEST_F(Joined, FiveAreTwoLaunches) {
  array x = numbers({3, 8}, 1);
  auto answer = [&](Device d) {
    StreamContext scope{d};
    std::vector<array> all;
    for (int i = 1; i <= 5; ++i) all.push_back(fast::rms_norm(x, std::nullopt, float(i)));
    return all;
  };
  auto got = answer(Device::gpu), want = answer(Device::cpu);
  eval(got), eval(want);
  EXPECT_EQ(seen.launches, (std::vector<size_t>{most_joined, 1}));
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same(got[i], want[i])) << i;
}

TEST_F(Joined, StepsThatNeedEachOtherOrReadOthersAreNot) {
  array x = numbers({3, 8}, 1), y = numbers({3, 8}, 7);
  StreamContext scope{Device::gpu};
  array twice = fast::rms_norm(fast::rms_norm(x, std::nullopt, 1e-5f), std::nullopt, 1e-5f);
  twice.eval();
  EXPECT_EQ(seen.launches, (std::vector<size_t>{1, 1}));
  seen.launches.clear();
  std::vector<array> both{fast::rms_norm(x, std::nullopt, 0.5f),
                          fast::rms_norm(y, std::nullopt, 0.5f)};
  eval(both);
  EXPECT_EQ(seen.launches, (std::vector<size_t>{1, 1}));
}

TEST_F(Joined, AKernelReadsWhatItsParametersComeToWhenItRuns) {
  array base = numbers({6, 8}, 0), box = numbers({2, 8}, 100);
  std::vector<int64_t> begins;
  for (int64_t row : {1, 4, 0, 4, 4}) {
    auto updated = [&](Device d) {
      return slice_update(base, box, {row, 0}, {row + 2, 8}, {1, 1}, d);
    };
    array got = updated(Device::gpu), want = updated(Device::cpu);
    eval({got, want});
    EXPECT_TRUE(same(got, want)) << row;
    begins.push_back(row * 8);
  }
  EXPECT_EQ(seen.numbers, begins);
}

}  // namespace
}  // namespace tarn
