// Loops on a device whose turns are given to it again without a graph.
#include "runtime/turns.h"

#include <cmath>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "error_of.h"
#include "runtime/ahead.h"
#include "runtime/second_memory.h"
#include "tarn/fast.h"
#include "tarn/stop.h"
#include "tarn/tarn.h"

namespace tarn {
namespace {

using tarn_test::error_of;

class FollowingTurns : public tarn_test::OnDevice {};

array numbers(Shape shape, double from) {
  StreamContext on_cpu{Device::cpu};
  int64_t n = 1;
  for (auto d : shape) n *= d;
  array a = reshape(sin(arange(from, from + static_cast<double>(n), float32)), std::move(shape));
  a.eval();
  return a;
}

// A row that is turned by its position and kept, and the next one of all that is kept.
struct Loop {
  static constexpr int64_t width = 16;
  array row = numbers({1, 1, 1, width}, 0), weights = numbers({width, width}, 5);
  array kept;
  int64_t at = 0;
  int followed = 0;
  Turns turns{};

  explicit Loop(int64_t room = 64) : kept(zeros({1, 1, room, width})) { kept.eval(); }

  std::vector<array> record() {
    array turned = fast::rope(row, width, false, 100.0f, 1.0f, static_cast<int>(at));
    Shape stop{1, 1, at + 1, width};
    kept = slice_update(kept, turned, {0, 0, at, 0}, stop);
    array sums = sum(kept * kept, 2, true);
    array next = softmax(matmul(sums, weights), -1) * array(3.0f);
    ++at;
    row = array(0.0f);  // so that its memory may be taken over
    return {std::move(next), kept};
  }
  std::vector<array> state() const {
    std::vector<array> all{row};
    all.push_back(kept);
    return all;
  }
  // Whether nothing was recorded.
  bool step() {
    if (turns.follow(state())) {
      ++at, ++followed;
      return true;
    }
    std::vector<array> results = record();
    turns.evaluate(results);
    row = results[0];
    return false;
  }
  std::vector<float> read() const {
    StreamContext on_cpu{Device::cpu};
    array all = concatenate({reshape(row, {-1}), reshape(kept, {-1})});
    return {all.data<float>(), all.data<float>() + all.size()};
  }
};
// What the loop holds after so many turns, each of them recorded on the CPU.
std::vector<float> recorded(int turns, int64_t room = 64,
                            const std::function<void(Loop&, int)>& between = nullptr) {
  StreamContext context{Device::cpu};
  Loop loop(room);
  for (int i = 0; i < turns; ++i) {
    if (between) between(loop, i);
    std::vector<array> results = loop.record();
    eval(results);
    loop.row = results[0];
  }
  return loop.read();
}
double apart(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max(most, std::abs(double{a[i]} - double{b[i]}));
  return most;
}
constexpr double near = 1e-5;

TEST_F(FollowingTurns, GivesWhatRecordingGives) {
  StreamContext context{Device::gpu};
  for (int turns : {3, 6, 7, 8, 20}) {
    Loop loop;
    for (int i = 0; i < turns; ++i) loop.step();
    EXPECT_LT(apart(loop.read(), recorded(turns)), near) << turns;
    EXPECT_GE(loop.followed, turns - 8);
  }
}

TEST_F(FollowingTurns, NothingIsPlannedOrCopied) {
  StreamContext context{Device::gpu};
  Loop loop;
  while (!loop.step()) ASSERT_LT(loop.at, 12);
  loop.step();
  auto before = eval_counters();
  uint64_t copies = transfer_counters().copies;
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(loop.step());
  EXPECT_EQ(eval_counters().plans_made, before.plans_made);
  EXPECT_EQ(eval_counters().plans_run, before.plans_run + 8);
  EXPECT_EQ(transfer_counters().copies, copies);
}

TEST_F(FollowingTurns, WhatSomebodyHoldsStays) {
  StreamContext context{Device::gpu};
  for (bool holds_row : {false, true}) {
    Loop loop;
    for (int i = 0; i < 12; ++i) loop.step();
    std::optional<array> held = holds_row ? loop.row : loop.kept;
    EXPECT_FALSE(loop.step());
    for (int i = 0; i < 11; ++i) loop.step();
    EXPECT_LT(apart(loop.read(), recorded(24)), near);
    Loop as_held;
    as_held.row = holds_row ? *held : as_held.row, as_held.kept = holds_row ? as_held.kept : *held;
    StreamContext on_cpu{Device::cpu};
    std::vector<float> was = recorded(12), now = as_held.read();
    auto width = static_cast<std::ptrdiff_t>(Loop::width);
    std::vector<float> part = holds_row ? std::vector<float>(was.begin(), was.begin() + width)
                                        : std::vector<float>(was.begin() + width, was.end());
    std::vector<float> part_now = holds_row ? std::vector<float>(now.begin(), now.begin() + width)
                                            : std::vector<float>(now.begin() + width, now.end());
    EXPECT_LT(apart(part_now, part), near);
  }
}

TEST_F(FollowingTurns, WhatIsReadBetweenThemIsThatTurns) {
  StreamContext context{Device::gpu};
  Loop loop;
  for (int i = 1; i < 20; ++i) {
    loop.step();
    EXPECT_LT(apart(loop.read(), recorded(i)), near) << i;
  }
  EXPECT_GE(loop.followed, 8);
}

TEST_F(FollowingTurns, OtherConstantsAreRecorded) {
  StreamContext context{Device::gpu};
  auto change = [](Loop& loop, int turn) {
    if (turn == 10) loop.weights = numbers({Loop::width, Loop::width}, 50), loop.turns.forget();
  };
  Loop loop;
  for (int i = 0; i < 24; ++i) change(loop, i), loop.step();
  EXPECT_LT(apart(loop.read(), recorded(24, 64, change)), near);
  EXPECT_GE(loop.followed, 10);
}

// The position goes back, with which numbers do not go on: who does that says so.
TEST_F(FollowingTurns, NumbersThatJumpAreLearnedAnew) {
  StreamContext context{Device::gpu};
  auto jump = [](Loop& loop, int turn) {
    if (turn % 9 == 8) loop.at = 2, loop.turns.forget();
  };
  Loop loop;
  for (int i = 0; i < 30; ++i) jump(loop, i), loop.step();
  EXPECT_LT(apart(loop.read(), recorded(30, 64, jump)), near);
}

TEST_F(FollowingTurns, ALargerStateIsRecorded) {
  StreamContext context{Device::gpu};
  auto grow = [](Loop& loop, int turn) {
    if (turn != 16) return;
    loop.kept = concatenate({loop.kept, zeros({1, 1, 16, Loop::width})}, 2);
    loop.kept.eval();
  };
  Loop loop(16);
  for (int i = 0; i < 30; ++i) grow(loop, i), loop.step();
  EXPECT_LT(apart(loop.read(), recorded(30, 16, grow)), near);
  EXPECT_GE(loop.followed, 12);
}

TEST_F(FollowingTurns, LoopsThatAlternateDoNotMix) {
  StreamContext context{Device::gpu};
  Loop a, b;
  b.row = numbers({1, 1, 1, Loop::width}, 90);
  auto other = [](Loop& loop, int turn) {
    if (turn == 0) loop.row = numbers({1, 1, 1, Loop::width}, 90);
  };
  for (int i = 0; i < 20; ++i) {
    a.step();
    if (i % 3 != 1) b.step();
  }
  EXPECT_LT(apart(a.read(), recorded(20)), near);
  EXPECT_LT(apart(b.read(), recorded(static_cast<int>(b.at), 64, other)), near);
  EXPECT_GT(a.followed, 0);
  EXPECT_GT(b.followed, 0);
}

TEST_F(FollowingTurns, AStopIsThrownBeforeATurn) {
  StreamContext context{Device::gpu};
  Loop loop;
  for (int i = 0; i < 12; ++i) loop.step();
  ASSERT_GT(loop.followed, 0);
  {
    std::stop_source stop;
    stop.request_stop();
    StopScope scope(stop.get_token());
    EXPECT_EQ(error_of<Cancelled>([&] { loop.turns.follow(loop.state()); }),
              "[eval] stopped on request.");
  }
  EXPECT_LT(apart(loop.read(), recorded(12)), near);
  for (int i = 0; i < 12; ++i) loop.step();
  EXPECT_LT(apart(loop.read(), recorded(24)), near);
}

// An index that grows until it is outside; on a card that is met while turns are given to it.
TEST_F(FollowingTurns, WhatKernelsMeetIsThrown) {
  StreamContext context{Device::gpu};
  array table = astype(arange(1.0, 33.0), uint32);
  table.eval();
  auto loop = [&](int count) {
    array index = array({0u}, {1});
    index.eval();
    Turns turns;
    for (int i = 0; i < count; ++i) {
      if (std::vector<array> state{index}; turns.follow(state)) continue;
      array next = max(take(table, index, 0), std::vector<int>{0}, true);
      index = array(0u);
      turns.evaluate({next});
      index = next;
    }
    synchronize();
    return index.item<uint32_t>();
  };
  EXPECT_EQ(error_of<IndexError>([&] { loop(36); }),
            "[gather] index 32 is outside axis 0, which has size 32.");
  synchronize();
  EXPECT_EQ(loop(32), 32u);
}

// The number is the one of its turn, whatever the card does next.
TEST_F(FollowingTurns, ANumberArrivesAsItWas) {
  StreamContext context{Device::gpu};
  array step = array({3u}, {1}), count = array({0u}, {1});
  eval(step, count);
  Turns turns;
  std::vector<ArrivingNumber> arriving;
  for (uint32_t i = 0; i < 20; ++i) {
    if (std::vector<array> state{count}; !turns.follow(state)) {
      array next = max(concatenate({count, count + step}), true);
      count = array(0u);
      turns.evaluate({next});
      count = next;
    }
    arriving.emplace_back(count);
  }
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(arriving[i].wait(), 3 * (i + 1));
}

}  // namespace
}  // namespace tarn
