#include "runtime/join_steps.h"

#include <algorithm>

namespace tarn {
namespace {

Step as_seen(PlanStep& s) {
  Step seen;
  seen.op = s.op;
  seen.params = &s.own_params;
  seen.in = {s.shapes.data(), s.shapes.size() - 1};
  seen.out = s.out();
  return seen;
}

bool share(unsigned inputs, const std::vector<int>& a, const std::vector<int>& b) {
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i)
    if (inputs >> i & 1 && (i >= a.size() || i >= b.size() || a[i] != b[i])) return false;
  return true;
}

}  // namespace

void join_steps(Plan& plan, const std::vector<std::vector<int>>& reads,
                const std::vector<size_t>& kept, Schedule& order) {
  auto can_join = [&](size_t one, size_t behind) {
    PlanStep &first = plan.steps[one], &other = plan.steps[behind];
    const Kernel& k = first.kernel;
    return first.on_device && other.on_device && k.joins &&
           k.run_joined == other.kernel.run_joined && share(k.shares, reads[one], reads[behind]) &&
           k.joins(as_seen(first), as_seen(other));
  };
  for (size_t stage = 0; stage + 1 < order.begins.size(); ++stage) {
    auto at = order.order.begin() + static_cast<std::ptrdiff_t>(order.begins[stage]);
    auto end = order.order.begin() + static_cast<std::ptrdiff_t>(order.begins[stage + 1]);
    while (at != end) {
      PlanStep& first = plan.steps[kept[*at]];
      auto last = std::stable_partition(
          at + 1, end, [&](size_t other) { return can_join(kept[*at], kept[other]); });
      first.joined = static_cast<int>(std::min<std::ptrdiff_t>(last - at, most_joined)) - 1;
      for (int i = 1; i <= first.joined; ++i) plan.steps[kept[at[i]]].follows = true;
      at += 1 + first.joined;
    }
  }
}

}  // namespace tarn
