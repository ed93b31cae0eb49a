// In which order a plan's steps run, and that its workers do each share once.
#include "runtime/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "base/thread_pool.h"
#include "runtime/lower.h"
#include "tarn/info.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using testing::ElementsAre;

// The steps of each stage, in order.
std::vector<std::vector<size_t>> stages_of(const std::vector<StepUse>& steps) {
  Schedule s = schedule(steps);
  std::vector<std::vector<size_t>> stages;
  for (size_t i = 0; i + 1 < s.begins.size(); ++i)
    stages.emplace_back(s.order.begin() + static_cast<std::ptrdiff_t>(s.begins[i]),
                        s.order.begin() + static_cast<std::ptrdiff_t>(s.begins[i + 1]));
  return stages;
}

constexpr Who all = Who::all, one = Who::one, each = Who::each;

TEST(Schedule, ReadingWhatAllWroteWaits) {
  EXPECT_THAT(stages_of({{all, {0}, 1}, {all, {1}, 2}}),
              ElementsAre(ElementsAre(0), ElementsAre(1)));
  EXPECT_THAT(stages_of({{all, {0}, 1}, {each, {1}, 2}}),
              ElementsAre(ElementsAre(0), ElementsAre(1)));
}
TEST(Schedule, ReadingWhatEachMadeDoesNot) {
  EXPECT_THAT(stages_of({{each, {0}, 1}, {all, {1}, 2}, {each, {1}, 3}, {one, {3}, 4}}),
              ElementsAre(ElementsAre(0, 1, 2, 3)));
}
TEST(Schedule, OneWorkerNeedNotWaitForItself) {
  EXPECT_THAT(stages_of({{one, {0}, 1}, {one, {1}, 2}, {all, {2}, 3}}),
              ElementsAre(ElementsAre(0, 1), ElementsAre(2)));
}
TEST(Schedule, WritingWaitsForThoseThatReadBefore) {
  EXPECT_THAT(stages_of({{each, {0}, 1}, {one, {2}, 0}}),
              ElementsAre(ElementsAre(0), ElementsAre(1)));
  EXPECT_THAT(stages_of({{one, {0}, 1}, {one, {2}, 0}}), ElementsAre(ElementsAre(0, 1)));
}
TEST(Schedule, CommunicationsDoNotOvertakeEachOther) {
  // The second waits for nothing but the first.
  std::vector<StepUse> steps{{all, {0}, 1}, {one, {1}, 2, true}, {one, {3}, 4, true}};
  EXPECT_THAT(stages_of(steps), ElementsAre(ElementsAre(0), ElementsAre(1, 2)));
  steps[1].ordered = false;
  EXPECT_THAT(stages_of(steps), ElementsAre(ElementsAre(0, 2), ElementsAre(1)));
}
TEST(Schedule, IndependentStepsShareAStage) {
  // q, k and v of one packing, each with something that follows it.
  std::vector<StepUse> steps{{each, {0}, 1}, {all, {1}, 2}, {each, {2}, 3},     {all, {1}, 4},
                             {each, {4}, 5}, {all, {1}, 6}, {all, {3, 5, 6}, 7}};
  EXPECT_THAT(stages_of(steps), ElementsAre(ElementsAre(0, 1, 3, 5), ElementsAre(2, 4, 6)));
}
TEST(Schedule, NothingMovesFar) {
  // A chain, and then steps that need nothing: the first stage takes some, not all.
  std::vector<StepUse> steps;
  for (int i = 0; i < 40; ++i) steps.push_back({all, {i}, i + 1});
  for (int i = 0; i < 40; ++i) steps.push_back({all, {100}, 200 + i});
  auto stages = stages_of(steps);
  EXPECT_THAT(stages[0], ElementsAre(0));
  EXPECT_EQ(stages.size(), 40u);
}

// What two steps that touch one storage need of each other, said anew.
bool must_wait(const StepUse& before, const StepUse& after) {
  auto reads = [](const StepUse& s, int x) {
    return std::find(s.reads.begin(), s.reads.end(), x) != s.reads.end();
  };
  bool same_worker = before.who == one && after.who == one;
  bool read_own = before.who == each;
  if (reads(after, before.writes) && !same_worker && !read_own) return true;
  return (reads(before, after.writes) || before.writes == after.writes) && !same_worker;
}
bool must_follow(const StepUse& before, const StepUse& after) {
  return std::count(after.reads.begin(), after.reads.end(), before.writes) > 0 ||
         std::count(before.reads.begin(), before.reads.end(), after.writes) > 0 ||
         before.writes == after.writes;
}
TEST(Schedule, KeepsWhatStepsNeedOfEachOther) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<StepUse> steps;
    int own = 100;  // what each worker makes is written once
    for (int i = 0; i < 60; ++i) {
      StepUse s{static_cast<Who>(random() % 3), {}, static_cast<int>(random() % 12)};
      if (s.who == each) s.writes = own++;
      for (int k = 0; k < 2; ++k)
        s.reads.push_back(own > 100 && random() % 2 ? 100 + static_cast<int>(random()) % (own - 100)
                                                    : static_cast<int>(random() % 12));
      std::erase_if(s.reads, [&](int x) { return x >= 100 && x == s.writes; });
      steps.push_back(std::move(s));
    }
    std::map<size_t, std::pair<size_t, size_t>> place;  // stage, position
    auto stages = stages_of(steps);
    size_t position = 0;
    for (size_t stage = 0; stage < stages.size(); ++stage)
      for (size_t s : stages[stage]) place[s] = {stage, position++};
    ASSERT_EQ(place.size(), steps.size());
    for (size_t a = 0; a < steps.size(); ++a)
      for (size_t b = a + 1; b < steps.size(); ++b) {
        if (must_follow(steps[a], steps[b])) {
          ASSERT_LT(place[a].second, place[b].second);
        }
        if (must_wait(steps[a], steps[b])) {
          ASSERT_LT(place[a].first, place[b].first);
        }
      }
  }
}

// Counts how often each share of each of its stages was done.
struct Counting {
  static constexpr size_t stages = 50, most_workers = 256;
  static inline std::atomic<int> done[stages][most_workers];
  static void run(const Step& s, int worker, int workers) {
    auto stage = static_cast<size_t>(s.out.shape[0]);
    for (size_t w = 0; stage > 0 && w < static_cast<size_t>(workers); ++w)
      if (done[stage - 1][w] != done[stage][static_cast<size_t>(worker)] + 1)
        throw ValueError("[test] a stage began before the one before it was done.");
    ++done[stage][static_cast<size_t>(worker)];
  }
};
Plan counting_plan() {
  Plan plan;
  for (size_t i = 0; i < Counting::stages; ++i) {
    PlanStep s;
    s.kernel.run = Counting::run;
    Operand out;
    out.shape = {static_cast<int64_t>(i)};
    s.shapes = {out};
    s.at = {PlanOperand{}};
    plan.steps.push_back(std::move(s));
    plan.stage_begins.push_back(i);
  }
  plan.stage_begins.push_back(Counting::stages);
  plan.slab_bytes = 64;
  plan.shared = true;
  return plan;
}
void check_counts(int runs) {
  auto workers = static_cast<size_t>(thread_count());
  for (auto& stage : Counting::done)
    for (size_t w = 0; w < workers; ++w) ASSERT_EQ(stage[w].exchange(0), runs);
}
TEST(Execute, EachShareIsDoneOnceAndInTurn) {
  Plan plan = counting_plan();
  for (int i = 0; i < 200; ++i) execute(plan, {}, {});
  check_counts(200);
}
// Every core is busy with something else, so workers are away in the midst of it all.
TEST(Execute, EachShareIsDoneOnceWhenWorkersAreAway) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 2 * thread_count(); ++i)
    busy.emplace_back([&] {
      while (!stop) pause_briefly();
    });
  Plan plan = counting_plan();
  for (int i = 0; i < 20; ++i) execute(plan, {}, {});
  stop = true;
  for (auto& b : busy) b.join();
  check_counts(20);
}

// A child has none of its parent's workers, and need not wait for them.
TEST(Execute, AChildProcessDoesAllSharesItself) {
  Plan plan = counting_plan();
  execute(plan, {}, {});
  check_counts(1);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    execute(plan, {}, {});
    _exit(Counting::done[Counting::stages - 1][0] == 1 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// How often `word` stands in `text`.
int count_of(const std::string& text, const std::string& word) {
  int n = 0;
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += word.size()) ++n;
  return n;
}
TEST(Plans, ProductsOfOneRowShareItsPacking) {
  array x = random::normal({1, 256});
  auto weights = [] { return quantize(random::normal({128, 256}), 64, 4); };
  auto a = weights(), b = weights(), c = weights();
  std::vector<array> known{x};
  for (const auto& w : {a, b, c}) known.insert(known.end(), w.begin(), w.end());
  eval(known);
  PrecisionScope balanced(Precision::balanced);
  auto times = [&](const std::vector<array>& w) {
    return quantized_matmul(x, w[0], w[1], w[2], true, 64, 4);
  };
  std::string plan = explain(concatenate({times(a), times(b), times(c)}, 1));
  EXPECT_EQ(count_of(plan, "rounding of activations"), 1) << plan;
  EXPECT_EQ(count_of(plan, "quantized_matmul"), 4) << plan;
}
}  // namespace
}  // namespace tarn
