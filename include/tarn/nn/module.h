// Walks over modules: a module is an aggregate whose TARN_FIELDS are arrays, modules, or optionals
// and vectors of them. The path of a parameter is its key in a checkpoint.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

namespace detail {
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

struct AnyVisit {
  void operator()(std::string_view, auto&&) const {}
};
inline std::string join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}
}  // namespace detail

template <class T>
concept HasFields = requires(T& t) {
  T::fields(t, detail::AnyVisit{});
};

// Calls f(path, module) for every Wanted inside `m`, in the order of the fields.
template <class Wanted, class M, class F>
void each(M& m, F&& f, const std::string& path = "") {
  using T = std::remove_const_t<M>;
  if constexpr (std::same_as<T, Wanted>) {
    f(path, m);
  } else if constexpr (std::same_as<T, array>) {
  } else if constexpr (detail::is_optional<T>) {
    if (m) each<Wanted>(*m, f, path);
  } else if constexpr (detail::is_vector<T>) {
    for (size_t i = 0; i < m.size(); ++i)
      each<Wanted>(m[i], f, detail::join(path, std::to_string(i)));
  } else {
    static_assert(HasFields<T>,
                  "a module's fields are arrays, modules, or optionals and vectors of them");
    T::fields(m, [&](std::string_view name, auto& field) {
      each<Wanted>(field, f, detail::join(path, name));
    });
  }
}

// Calls f(path, array) for every parameter.
template <class M, class F>
void each_parameter(M& m, F&& f, const std::string& path = "") {
  each<array>(m, f, path);
}

// n modules made from the same arguments; a module, or nothing when the condition holds.
template <class M, class... A>
std::vector<M> repeat(int64_t n, const A&... a) {
  std::vector<M> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(M{a...});
  return all;
}
template <class M>
std::optional<M> unless(bool absent, M module) {
  if (absent) return std::nullopt;
  return module;
}

}  // namespace tarn::nn
