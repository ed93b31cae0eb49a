// Which inputs a device's launch may read before the launch in front of it is done.
#include "runtime/from_outside.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace tarn {
namespace {

// A device's step of one input and one output of n numbers.
PlanStep step(int from, int to, int64_t n = 4) {
  PlanStep s;
  Operand o;
  o.shape = {n};
  s.shapes = {o, o};
  s.memories = {from, to};
  s.on_device = true;
  return s;
}

std::vector<unsigned> inputs_of(std::vector<PlanStep> steps) {
  Plan plan;
  plan.memories.resize(4);
  plan.steps = std::move(steps);
  return inputs_from_outside(plan);
}

TEST(FromOutside, TheFirstLaunchKnowsNothingOfTheOneInFront) {
  EXPECT_EQ(inputs_of({step(0, 1), step(0, 2)}), (std::vector{0u, 1u}));
}

TEST(FromOutside, WhatAnEarlierStepWritesIsWaitedFor) {
  EXPECT_EQ(inputs_of({step(0, 1), step(1, 2), step(0, 3)}), (std::vector{0u, 0u, 1u}));
}

// An update with no numbers has a result, and launches nothing.
TEST(FromOutside, AStepThatMayLaunchNothingIsNoLaunchInFront) {
  EXPECT_EQ(inputs_of({step(0, 1, 0), step(0, 2)}), (std::vector{0u, 0u}));
  PlanStep update = step(0, 1);
  update.shapes.insert(update.shapes.begin() + 1, update.shapes[0]);
  update.shapes[1].shape = {0};
  update.memories = {0, 3, 1};
  EXPECT_EQ(inputs_of({update, step(0, 2)}), (std::vector{0u, 0u}));
  EXPECT_EQ(inputs_of({update, step(0, 2), step(0, 2)}), (std::vector{0u, 0u, 1u}));
}

TEST(FromOutside, WhatGoesAlongWithALaunchIsThatLaunch) {
  PlanStep along = step(0, 2);
  along.follows = true;
  EXPECT_EQ(inputs_of({step(0, 1), along, step(0, 3)}), (std::vector{0u, 0u, 1u}));
}

}  // namespace
}  // namespace tarn
