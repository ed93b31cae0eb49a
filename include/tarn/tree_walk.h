// What a tree of arrays is, and the walk over it. A tree is an array, or an optional, vector,
// std::array, map from strings, pair or tuple of trees, or a struct whose TARN_FIELDS are trees: a
// module, a vector of parameters, a map of named arrays. The path of a leaf joins names and
// positions with points, as MLX's tree_flatten does ("layers.0.weight"), and is its key in a
// checkpoint.
#pragma once

#include <array>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn {

namespace detail {
struct AnyVisit {
  void operator()(std::string_view, auto&&) const {}
};
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;
template <class T, size_t N>
inline constexpr bool is_list<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class T>
inline constexpr bool is_map<std::map<std::string, T>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;

inline std::string join(const std::string& path, std::string_view name) {
  if (name.empty()) return path;
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}
}  // namespace detail

template <class T>
concept HasFields = requires(T& t) {
  T::fields(t, detail::AnyVisit{});
};

namespace detail {
template <class T>
constexpr bool is_tree() {
  if constexpr (is_optional<T> || is_list<T>)
    return is_tree<typename T::value_type>();
  else if constexpr (is_map<T>)
    return is_tree<typename T::mapped_type>();
  else
    return std::same_as<T, array> || is_tuple<T> || HasFields<T>;
}
}  // namespace detail

template <class T>
concept Tree = detail::is_tree<std::remove_cvref_t<T>>();

// A module in which some fields are not trained says so: `bool trains(std::string_view) const`.
template <class T>
concept HasTrains = requires(const T& t) {
  { t.trains(std::string_view()) } -> std::same_as<bool>;
};

// A struct whose fields stand below its owner's path, as if they were the owner's.
template <class T>
concept IsInlined = T::inlined;

// Whether an array stands for "nothing here": what `array()` makes, of shape (0,).
inline bool is_absent(const array& a) { return a.shape() == Shape{0}; }

namespace detail {

// Calls f(path, child, trains) for each child of `t` that is a tree. An optional's value has the
// optional's own path; the elements of a tuple that are no trees (functions) are passed over.
template <class T, class F>
void each_child(T& t, const std::string& path, bool trains, F&& f) {
  using U = std::remove_const_t<T>;
  if constexpr (is_optional<U>) {
    if (t) f(path, *t, trains);
  } else if constexpr (is_list<U>) {
    for (size_t i = 0; i < t.size(); ++i) f(join(path, std::to_string(i)), t[i], trains);
  } else if constexpr (is_map<U>) {
    for (auto& [name, child] : t) f(join(path, name), child, trains);
  } else if constexpr (is_tuple<U>) {
    size_t i = 0;
    auto one = [&](auto& child) {
      std::string name = std::to_string(i++);
      if constexpr (Tree<decltype(child)>) f(join(path, name), child, trains);
    };
    std::apply([&](auto&... child) { (one(child), ...); }, t);
  } else {
    static_assert(HasFields<U>,
                  "a module's fields are arrays, modules, or optionals, vectors, maps and tuples "
                  "of them");
    U::fields(t, [&](std::string_view name, auto& field) {
      bool field_trains = trains;
      if constexpr (HasTrains<U>) field_trains = trains && t.trains(name);
      constexpr bool below = !IsInlined<std::remove_cvref_t<decltype(field)>>;
      f(below ? join(path, name) : path, field, field_trains);
    });
  }
}

// Calls f(path, part, trains) for every Wanted inside `t`, in the order of the fields.
template <class Wanted, class T, class F>
void walk(T& t, const std::string& path, bool trains, F& f) {
  using U = std::remove_const_t<T>;
  if constexpr (std::same_as<U, Wanted>) {
    f(path, t, trains);
  } else if constexpr (!std::same_as<U, array>) {
    each_child(t, path, trains, [&](const std::string& at, auto& child, bool child_trains) {
      walk<Wanted>(child, at, child_trains, f);
    });
  }
}

}  // namespace detail

// Calls f(path, array) for every leaf; those of a tree that is not const may be replaced.
template <Tree T, class F>
void each_leaf(T& tree, F&& f, const std::string& path = "") {
  auto visit = [&](const std::string& at, auto& leaf, bool) { f(at, leaf); };
  detail::walk<array>(tree, path, true, visit);
}

}  // namespace tarn
