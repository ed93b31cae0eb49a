// Modules: aggregates whose TARN_FIELDS are arrays, modules, or optionals, vectors, maps and tuples
// of them. The path of a parameter is its key in a checkpoint. A module is a tree, so tarn/tree.h
// and tarn/tree_transforms.h work on it; a gradient of a module is a module of the same type.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tarn/fields.h"
#include "tarn/ops/maths.h"
#include "tarn/tree_transforms.h"

namespace tarn::nn {

using tarn::HasFields;
namespace detail {
using tarn::detail::is_optional;
}

// Calls f(path, module) for every Wanted inside `m`, in the order of the fields.
template <class Wanted, class M, class F>
void each(M& m, F&& f, const std::string& path = "") {
  auto visit = [&](const std::string& at, auto& part, bool) { f(at, part); };
  tarn::detail::walk<Wanted>(m, path, true, visit);
}

// Calls f(path, array) for every parameter.
template <class M, class F>
void each_parameter(M& m, F&& f, const std::string& path = "") {
  each<array>(m, f, path);
}

// Says of a parameter whether it is to be trained.
using Where = std::function<bool(const std::string& path, const array& parameter)>;

// Calls f(path, array) for every parameter that trains: floating or complex, not of a quantised
// matrix, no running statistic, and with `where(path, array)` if that is given.
template <class M, class F>
void each_trainable(M& m, F&& f, const Where& where = {}) {
  auto visit = [&](const std::string& path, auto& a, bool trains) {
    if (tarn::detail::is_differentiable(path, a, trains) && (!where || where(path, a))) f(path, a);
  };
  tarn::detail::walk<array>(m, "", true, visit);
}

namespace detail {
// What is wrong with weights for parameters of these shapes (of any, when absent), all of it; ""
// when nothing is. Not strict, only shapes can be wrong.
std::string misfits(const std::vector<std::pair<std::string, Shape>>& parameters,
                    const std::unordered_map<std::string, array>& weights, bool strict);
[[noreturn]] void fail_misfits(const std::string& misfits);

template <Tree M>
std::string put_weights(M& m, const std::unordered_map<std::string, array>& weights, bool strict) {
  std::vector<std::pair<std::string, Shape>> shapes;
  each_parameter(
      m, [&](const std::string& path, const array& a) { shapes.emplace_back(path, a.shape()); });
  std::string wrong = misfits(shapes, weights, strict);
  if (wrong.empty())
    each_parameter(m, [&](const std::string& path, array& a) {
      if (auto it = weights.find(path); it != weights.end()) a = it->second;
    });
  return wrong;
}
}  // namespace detail

// Gives parameters the arrays of their paths. Throws one ValueError that lists every parameter
// without an array, every array without a parameter (neither, when not strict) and every shape that
// does not fit, and then changes nothing.
template <Tree M>
void load_parameters(M& m, const std::unordered_map<std::string, array>& weights,
                     bool strict = true) {
  if (auto wrong = detail::put_weights(m, weights, strict); !wrong.empty())
    detail::fail_misfits(wrong);
}

// How many numbers a module has.
template <class M>
int64_t parameter_count(const M& m) {
  int64_t count = 0;
  each_parameter(m, [&](auto&, const array& a) { count += static_cast<int64_t>(a.size()); });
  return count;
}

// The module with its floating-point parameters in another dtype.
template <class M>
M with_dtype(M m, Dtype dtype) {
  each_parameter(m, [&](auto&, array& a) {
    if (issubdtype(a.dtype(), floating)) a = astype(a, dtype);
  });
  return m;
}

// {f(m), gradient}. f returns the loss, a 0-d array, or a pair or tuple that begins with it and
// goes on with other trees. The gradient has the type of `m`; its leaves are absent (array()) where
// `m` has integers, what does not train, or what `where` does not hold for: that is freezing.
template <class F, Tree M>
auto value_and_grad(const F& f, const M& m, const Where& where = {}) {
  return tarn::detail::value_and_gradient(
      f, m, [&](const std::string& path, const array& a, bool trains) {
        return tarn::detail::is_differentiable(path, a, trains) && (!where || where(path, a));
      });
}

// The module as a function of its arguments that computes its intermediate values again in
// derivatives instead of keeping them.
template <HasFields M>
auto checkpoint(M m) {
  return [m = std::move(m)](const auto&... arguments) {
    return tarn::checkpoint([](const M& module, const auto&... x) { return module(x...); })(
        m, arguments...);
  };
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
