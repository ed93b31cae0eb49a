#include "export/sizes.h"

#include <map>

#include "base/require.h"
#include "export/function_file.h"

namespace tarn {
namespace {

struct AxisAt {
  size_t argument, axis;
};
// Axes of one size that vary together, and a size that was tried.
struct Group {
  std::vector<AxisAt> axes{};
  int64_t tried = 0;
};

class Search {
 public:
  Search(const ArraysFunction& fun, const Recording& recording) : fun_(fun), base_(recording) {}

  std::vector<Group> find() {
    std::map<int64_t, Group> by_size;
    std::vector<Group> free, together;
    for (size_t i = 0; i < base_.arguments.size(); ++i)
      for (size_t k = 0; k < base_.arguments[i].shape.size(); ++k) {
        Group alone{{{i, k}}, 0};
        if (size_of(alone) < 2) continue;
        if (tries(alone)) free.push_back(alone);
        by_size[size_of(alone)].axes.push_back({i, k});
      }
    for (auto& [size, group] : by_size)
      if (tries(group)) together.push_back(group);
    // Sizes that are free alone need not be free at once.
    for (const Group& g : together)
      if (std::none_of(free.begin(), free.end(),
                       [&](const Group& f) { return size_of(f) == size_of(g); }))
        free.push_back(g);
    if (holds(free)) return free;
    return holds(together) ? together : std::vector<Group>{};
  }

 private:
  int64_t size_of(const Group& g) const {
    return base_.arguments[g.axes[0].argument].shape[g.axes[0].axis];
  }
  // Something that has no divisor in common, and something that has.
  bool tries(Group& g) {
    for (int64_t size : {size_of(g) + 7 + 2 * next_, size_of(g) * (2 + next_)}) {
      g.tried = size;
      if (!holds({g})) continue;
      ++next_;
      return true;
    }
    return false;
  }
  bool holds(const std::vector<Group>& groups) const {
    std::vector<ArraySpec> other = base_.arguments;
    for (const auto& g : groups)
      for (auto [argument, axis] : g.axes) other[argument].shape[axis] = g.tried;
    try {
      Recording there = portable(record_function(fun_, other, true));
      auto resized_there = resized(base_, other);
      return resized_there && same(*resized_there, there);
    } catch (const std::exception&) {
      return false;  // the function or a rule refuses such sizes
    }
  }

  const ArraysFunction& fun_;
  const Recording& base_;
  int64_t next_ = 0;  // makes what is tried for one group differ from the others
};

}  // namespace

std::vector<std::vector<int>> free_sizes(const ArraysFunction& fun, const Recording& recording) {
  std::vector<std::vector<int>> classes;
  for (const auto& a : recording.arguments) classes.emplace_back(a.shape.size(), Trace::fixed);
  auto groups = Search(fun, recording).find();
  for (size_t c = 0; c < groups.size(); ++c)
    for (auto [argument, axis] : groups[c].axes) classes[argument][axis] = static_cast<int>(c);
  return classes;
}

bool fits(const std::vector<ArraySpec>& base, const std::vector<std::vector<int>>& classes,
          const std::vector<ArraySpec>& now) {
  std::map<int, int64_t> sizes;
  for (size_t i = 0; i < base.size(); ++i) {
    if (now[i].dtype != base[i].dtype || now[i].shape.size() != base[i].shape.size()) return false;
    for (size_t k = 0; k < now[i].shape.size(); ++k) {
      int64_t size = now[i].shape[k];
      bool free = classes[i][k] != Trace::fixed;
      if (!free && size != base[i].shape[k]) return false;
      if (free && (size < 2 || sizes.try_emplace(classes[i][k], size).first->second != size))
        return false;
    }
  }
  return true;
}

}  // namespace tarn
