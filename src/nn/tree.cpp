// The errors of functions over trees.
#include "tarn/tree_transforms.h"

#include <set>

#include "base/require.h"

namespace tarn::detail {

void fail_trees_differ(const char* where, const std::string& a, const std::string& b) {
  if (a.empty() || b.empty())
    fail("[{}] the trees differ: only one of them has {}.", where, a.empty() ? b : a);
  fail("[{}] the trees differ: where one has {} the other has {}.", where, a, b);
}

array fail_both_present(const std::string& path) {
  fail("[tree_merge] both trees have {}: give a function that merges leaves.", path);
}

void check_paths(const char* where, const std::vector<std::string>& needed,
                 const std::vector<std::string>& given) {
  std::set<std::string> wanted(needed.begin(), needed.end()), there(given.begin(), given.end());
  std::vector<std::string> missing, extra;
  for (const auto& path : wanted)
    if (there.count(path) == 0) missing.push_back(path);
  for (const auto& path : there)
    if (wanted.count(path) == 0) extra.push_back(path);
  if (missing.empty() && extra.empty()) return;
  std::string lacks = missing.empty() ? "" : fmt::format(" missing: {}.", joined(missing));
  std::string over = extra.empty() ? "" : fmt::format(" Not in it: {}.", joined(extra));
  if (missing.empty()) over[1] = 'n';
  fail("[{}] the leaves do not fit the tree:{}{}", where, lacks, over);
}

void check_axes(size_t axes, size_t arguments) {
  require(axes == 0 || axes == arguments, "[vmap] {} in_axes for {} arguments.", axes, arguments);
}

std::string structure_key(const std::vector<std::pair<std::string, array>>& flat, bool shapeless) {
  std::string key;
  for (const auto& [path, a] : flat) {
    key += path;
    if (!shapeless) key += fmt::format(" {} ({})", name_of(a.dtype()), joined(a.shape(), ","));
    key += ';';
  }
  return key;
}

}  // namespace tarn::detail
