#include "runtime/from_outside.h"

#include <algorithm>
#include <utility>

namespace tarn {
namespace {

constexpr int nobody = -1, several = -2;

size_t inputs_of(const PlanStep& s) { return std::min<size_t>(s.memories.size() - 1, 32); }

// Without elements somewhere, say of an update, there may be nothing to launch.
bool surely_launches(const PlanStep& s) {
  return s.on_device &&
         std::ranges::all_of(s.shapes, [](const Operand& o) { return o.size() > 0; });
}

// The step that writes each memory, or one of the above.
std::vector<int> writers_of(const Plan& plan) {
  std::vector<int> writers(plan.memories.size(), nobody);
  int id = 0;
  for (const PlanStep& s : plan.steps) {
    auto write = [&](int memory) {
      int& writer = writers[static_cast<size_t>(memory)];
      writer = writer == nobody || writer == id ? id : several;
    };
    write(s.memories.back());
    for (size_t i = 0; i < inputs_of(s); ++i)
      if (s.kernel.writes >> i & 1) write(s.memories[i]);
    ++id;
  }
  return writers;
}

}  // namespace

// The launch in front of the device's first may be another plan's, of which nothing is known.
std::vector<unsigned> inputs_from_outside(const Plan& plan) {
  const std::vector<int> writers = writers_of(plan);
  std::vector<unsigned> all;
  bool in_front = false, here = false;  // whether a launch does something: one in front, this one
  int id = 0;
  for (const PlanStep& s : plan.steps) {
    if (s.on_device && !s.follows) in_front |= std::exchange(here, false);
    here |= surely_launches(s);
    unsigned& inputs = all.emplace_back(0u);
    for (size_t i = 0; in_front && i < inputs_of(s); ++i) {
      int writer = writers[static_cast<size_t>(s.memories[i])];
      if (writer == nobody || writer == id) inputs |= 1u << i;
    }
    ++id;
  }
  return all;
}

}  // namespace tarn
