#include "runtime/schedule.h"

#include <unordered_map>

namespace tarn {
namespace {

// How many steps may be overtaken. A decoder layer's q, k and v are within 8 of each other.
constexpr size_t overtaken_at_most = 16;

struct Dependency {
  size_t on;
  bool waits;  // for all workers: not in the same stage
};

// Whether a step must wait until all workers have done `before`, to read what it wrote.
bool waits_to_read(Who before, Who after) {
  return before == Who::all || (before == Who::one && after != Who::one);
}
// To write where it read or wrote.
bool waits_to_write(Who before, Who after) { return before != Who::one || after != Who::one; }

class Dependencies {
 public:
  explicit Dependencies(std::span<const StepUse> steps) : of_step_(steps.size()) {
    for (size_t s = 0; s < steps.size(); ++s) add(steps, s);
  }
  std::span<const Dependency> operator[](size_t step) const { return of_step_[step]; }

 private:
  struct Storage {
    size_t writer = 0;
    bool written = false;
    std::vector<size_t> readers{};  // since then
  };
  void add(std::span<const StepUse> steps, size_t s) {
    auto& mine = of_step_[s];
    if (steps[s].ordered) {
      // Steps of one worker keep their order within a stage.
      if (last_ordered_ != none) mine.push_back({last_ordered_, false});
      last_ordered_ = s;
    }
    for (int r : steps[s].reads) {
      Storage& from = storages_[r];
      if (from.written)
        mine.push_back({from.writer, waits_to_read(steps[from.writer].who, steps[s].who)});
      from.readers.push_back(s);
    }
    Storage& to = storages_[steps[s].writes];
    auto after = [&](size_t before) {
      if (before != s) mine.push_back({before, waits_to_write(steps[before].who, steps[s].who)});
    };
    if (to.written) after(to.writer);
    for (size_t reader : to.readers) after(reader);
    to = {s, true, {}};
  }

  std::vector<std::vector<Dependency>> of_step_;
  std::unordered_map<int, Storage> storages_{};
  static constexpr size_t none = SIZE_MAX;
  size_t last_ordered_ = none;
};

}  // namespace

Schedule schedule(std::span<const StepUse> steps) {
  Dependencies dependencies(steps);
  constexpr size_t unplaced = SIZE_MAX;
  std::vector<size_t> stage_of(steps.size(), unplaced);
  std::vector<size_t> overtaken;
  Schedule result;
  size_t next = 0;
  for (size_t stage = 0; result.order.size() < steps.size(); ++stage) {
    result.begins.push_back(result.order.size());
    std::vector<size_t> left;
    auto place = [&](size_t s) {
      for (const auto& d : dependencies[s])
        if (stage_of[d.on] == unplaced || (d.waits && stage_of[d.on] == stage))
          return left.push_back(s);
      stage_of[s] = stage;
      result.order.push_back(s);
    };
    for (size_t s : overtaken) place(s);
    while (next < steps.size() && left.size() < overtaken_at_most) place(next++);
    overtaken = std::move(left);
  }
  result.begins.push_back(steps.size());
  return result;
}

}  // namespace tarn
