// Functions over trees of arrays (what those are: tarn/tree_walk.h), as mlx.utils has them.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tarn/tree_walk.h"

namespace tarn {

namespace detail {
// Throws ValueError: a path that only one of two trees has.
[[noreturn]] void fail_trees_differ(const char* where, const std::string& a, const std::string& b);
// Throws ValueError that lists what `given` lacks and what it has too much, of the paths `needed`.
void check_paths(const char* where, const std::vector<std::string>& needed,
                 const std::vector<std::string>& given);
}  // namespace detail

// {path, leaf} of every leaf, in order.
template <Tree T>
std::vector<std::pair<std::string, array>> tree_flatten(const T& tree,
                                                        const std::string& prefix = "") {
  std::vector<std::pair<std::string, array>> flat;
  each_leaf(
      tree, [&](const std::string& path, const array& a) { flat.emplace_back(path, a); }, prefix);
  return flat;
}
// The leaves alone, in the same order.
template <Tree T>
std::vector<array> tree_leaves(const T& tree) {
  std::vector<array> leaves;
  each_leaf(tree, [&](const std::string&, const array& a) { leaves.push_back(a); });
  return leaves;
}

// `like` with the leaves of `flat`, found by their paths. Throws ValueError that lists every path
// which only one of them has.
template <Tree T>
T tree_unflatten(const std::vector<std::pair<std::string, array>>& flat, T like) {
  std::map<std::string, array> by_path(flat.begin(), flat.end());
  std::vector<std::string> needed, given;
  each_leaf(like, [&](const std::string& path, const array&) { needed.push_back(path); });
  for (const auto& [path, a] : flat) given.push_back(path);
  detail::check_paths("tree_unflatten", needed, given);
  each_leaf(like, [&](const std::string& path, array& leaf) { leaf = by_path.at(path); });
  return like;
}

// A tree like `tree` with the leaves f(path, leaf, leaves of the other trees at the same place...).
// Throws ValueError when the trees have different paths.
template <class F, Tree T, Tree... Rest>
T tree_map_with_path(F&& f, const T& tree, const Rest&... rest) {
  std::array<std::vector<std::pair<std::string, array>>, sizeof...(Rest)> others{
      tree_flatten(rest)...};
  T result = tree;
  size_t at = 0;
  auto same_place = [&](const std::string& path) {
    for (const auto& other : others)
      if (at >= other.size() || other[at].first != path)
        detail::fail_trees_differ("tree_map", path, at < other.size() ? other[at].first : "");
  };
  each_leaf(result, [&](const std::string& path, array& leaf) {
    same_place(path);
    leaf = [&]<size_t... I>(std::index_sequence<I...>) {
      return f(path, std::as_const(leaf), std::as_const(others[I][at].second)...);
    }
    (std::index_sequence_for<Rest...>{});
    ++at;
  });
  for (const auto& other : others)
    if (other.size() > at) detail::fail_trees_differ("tree_map", "", other[at].first);
  return result;
}
// The same with f(leaf, other leaves...).
template <class F, Tree T, Tree... Rest>
T tree_map(F&& f, const T& tree, const Rest&... rest) {
  return tree_map_with_path([&](const std::string&, const auto&... leaf) { return f(leaf...); },
                            tree, rest...);
}

// Computes all leaves together; async_eval only starts it.
template <Tree... T>
requires(!(std::is_convertible_v<T, array> && ...)) void eval(const T&... trees) {
  std::vector<array> all;
  (each_leaf(trees, [&](const std::string&, const array& a) { all.push_back(a); }), ...);
  eval(std::move(all));
}
template <Tree... T>
requires(!(std::is_convertible_v<T, array> && ...)) void async_eval(const T&... trees) {
  std::vector<array> all;
  (each_leaf(trees, [&](const std::string&, const array& a) { all.push_back(a); }), ...);
  async_eval(std::move(all));
}

// f(... f(f(initial, leaf 0), leaf 1) ..., last leaf).
template <class F, Tree T, class A>
A tree_reduce(F&& f, const T& tree, A initial) {
  each_leaf(tree, [&](const std::string&, const array& a) { initial = f(std::move(initial), a); });
  return initial;
}

namespace detail {
template <class T, class F>
void merge(T& into, const T& from, const std::string& path, F& f) {
  if constexpr (std::same_as<T, array>) {
    if (is_absent(into))
      into = from;
    else if (!is_absent(from))
      into = f(path, into, from);
  } else if constexpr (is_optional<T>) {
    if (into && from)
      merge(*into, *from, path, f);
    else if (from)
      into = from;
  } else if constexpr (is_map<T>) {
    for (const auto& [name, child] : from) {
      auto [it, added] = into.try_emplace(name, child);
      if (!added) merge(it->second, child, join(path, name), f);
    }
  } else if constexpr (is_list<T>) {
    for (size_t i = 0; i < std::min(into.size(), from.size()); ++i)
      merge(into[i], from[i], join(path, std::to_string(i)), f);
    if constexpr (requires { into.push_back(from[0]); })
      into.insert(into.end(), from.begin() + std::min(into.size(), from.size()), from.end());
  } else {
    // Both are of one type, so their children are, in order.
    std::vector<const void*> children;
    each_child(from, path, true, [&](auto&&, auto& child, bool) { children.push_back(&child); });
    size_t i = 0;
    each_child(into, path, true, [&](const std::string& at, auto& child, bool) {
      using Child = std::remove_reference_t<decltype(child)>;
      merge(child, *static_cast<const Child*>(children[i++]), at, f);
    });
  }
}
[[noreturn]] array fail_both_present(const std::string& path);
}  // namespace detail

// What both trees have together: absent leaves (array()) and optionals, missing names of maps and
// missing ends of vectors come from the other. Where both have a leaf it is
// merge_fn(path, leaf of a, leaf of b); without merge_fn that throws ValueError.
template <Tree T, class F>
T tree_merge(T a, const T& b, F&& merge_fn) {
  detail::merge(a, b, "", merge_fn);
  return a;
}
template <Tree T>
T tree_merge(T a, const T& b) {
  return tree_merge(std::move(a), b, [](const std::string& path, const array&, const array&) {
    return detail::fail_both_present(path);
  });
}

}  // namespace tarn
