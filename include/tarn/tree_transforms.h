// grad, value_and_grad, vmap, compile and checkpoint of functions whose arguments and results are
// trees: modules, vectors and maps of arrays. Functions of plain arrays go to tarn/transforms.h.
#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "tarn/ops/layout.h"
#include "tarn/transforms.h"
#include "tarn/tree.h"

namespace tarn {

// A function that tarn/transforms.h does not take.
template <class F>
concept TreeFunction =
    !std::convertible_to<F, ArraysFunction> && !std::convertible_to<F, ScalarFunction> &&
    !std::convertible_to<F, UnaryFunction> &&
    !std::convertible_to<F, std::function<array(const array&, const array&)>>;

namespace detail {

// Puts leaves back in the order in which walks meet them.
template <class T>
void put_leaves(T& tree, const std::vector<array>& leaves, size_t& at) {
  each_leaf(tree, [&](const std::string&, array& leaf) { leaf = leaves.at(at++); });
}
template <class... T>
std::vector<array> leaves_of(const T&... trees) {
  std::vector<array> all;
  (each_leaf(trees, [&](const std::string&, const array& a) { all.push_back(a); }), ...);
  return all;
}
// The tree without its values.
template <Tree T>
T structure_of(const T& tree) {
  return tree_map([absent = array()](const array&) { return absent; }, tree);
}

// f as a function of the leaves of its arguments. `result` gets what f returned, without values.
template <class F, class R, class... T>
std::vector<array> call_on_leaves(const F& f, std::tuple<T...> arguments,
                                  const std::vector<array>& leaves, R& result) {
  size_t at = 0;
  std::apply([&](T&... argument) { (put_leaves(argument, leaves, at), ...); }, arguments);
  R out = std::apply(f, std::as_const(arguments));
  result = structure_of(out);
  return tree_leaves(out);
}
template <Tree R>
R rebuilt(R like, const std::vector<array>& leaves) {
  size_t at = 0;
  put_leaves(like, leaves, at);
  return like;
}

// What tells compiled functions of trees apart: the paths of the leaves and, unless `shapeless`,
// their shapes and dtypes.
std::string structure_key(const std::vector<std::pair<std::string, array>>& flat, bool shapeless);

// {f(tree), gradient} with respect to the leaves for which take(path, leaf, trains) holds; the
// gradient's other leaves are absent.
template <class F, class T, class Take>
auto value_and_gradient(const F& f, const T& tree, const Take& take) {
  using R = std::remove_cvref_t<std::invoke_result_t<const F&, const T&>>;
  std::vector<array> leaves = tree_leaves(tree), taken;
  std::vector<size_t> places;
  size_t place = 0;
  auto choose = [&](const std::string& path, const array& a, bool trains) {
    if (take(path, a, trains)) places.push_back(place);
    ++place;
  };
  walk<array>(tree, "", true, choose);
  T gradient = structure_of(tree);
  if (places.empty()) return std::pair<R, T>(f(tree), std::move(gradient));
  for (size_t i : places) taken.push_back(leaves[i]);

  R result{};
  auto of_taken = [&](const std::vector<array>& values) {
    std::vector<array> all = leaves;
    for (size_t i = 0; i < places.size(); ++i) all[places[i]] = values[i];
    return call_on_leaves(f, std::tuple<T>(tree), all, result);
  };
  std::vector<int> every(taken.size());
  for (size_t i = 0; i < every.size(); ++i) every[i] = static_cast<int>(i);
  auto [values, slopes] = tarn::value_and_grad(ArraysFunction(of_taken), every)(taken);
  std::vector<array> everywhere(leaves.size());
  for (size_t i = 0; i < places.size(); ++i) everywhere[places[i]] = slopes[i];
  return std::pair<R, T>(rebuilt(std::move(result), values),
                         rebuilt(std::move(gradient), everywhere));
}

// Throws ValueError unless vmap has one axis for each argument, or none at all.
void check_axes(size_t axes, size_t arguments);

// Floating or complex numbers of a field that trains.
inline bool is_differentiable(const std::string&, const array& a, bool trains) {
  return trains && issubdtype(a.dtype(), inexact);
}

// A function that ran on leaves, and what it returned, without values.
template <class R>
struct OnLeaves {
  std::mutex mutex{};
  ArraysFunction function{};
  std::optional<R> result{};

  void remember(R structure) {
    std::lock_guard lock(mutex);
    if (!result) result = std::move(structure);
  }
  R run(const std::vector<array>& leaves) {
    std::vector<array> out = function(leaves);
    std::lock_guard lock(mutex);
    return rebuilt(*result, out);
  }
};
struct CompiledTrees {
  std::mutex mutex{};
  std::map<std::string, std::shared_ptr<void>> entries{};  // OnLeaves of the key's types
};

}  // namespace detail

// A function of (tree, arguments...) that returns {value, gradient}. `f` returns the loss, a 0-d
// array, or a pair or tuple that begins with it and goes on with other trees; the value is what f
// returned. The gradient is a tree of the type of f's first argument, with absent leaves (array())
// where that has integers or what it does not train.
template <TreeFunction F>
auto value_and_grad(F f) {
  return [f = std::move(f)]<Tree T, class... Rest>(const T& tree, const Rest&... rest) {
    return detail::value_and_gradient([&](const T& t) { return f(t, rest...); }, tree,
                                      detail::is_differentiable);
  };
}
// The same without the value.
template <TreeFunction F>
auto grad(F f) {
  return [of = value_and_grad(std::move(f))](const auto& tree, const auto&... rest) {
    return of(tree, rest...).second;
  };
}

// Maps f over an axis of all leaves of its arguments: in_axes[i] is that of argument i (0 when
// in_axes is empty), negative for an argument that stays whole. Every leaf of the result gets the
// axis out_axis.
template <TreeFunction F>
auto vmap(F f, std::vector<int> in_axes = {}, int out_axis = 0) {
  return [ f = std::move(f), in_axes, out_axis ]<Tree... T>(const T&... trees) {
    using R = std::remove_cvref_t<std::invoke_result_t<const F&, const T&...>>;
    detail::check_axes(in_axes.size(), sizeof...(T));
    std::vector<int> axes;
    size_t argument = 0;
    auto add = [&](size_t leaves) {
      axes.insert(axes.end(), leaves, in_axes.empty() ? 0 : in_axes[argument]);
      ++argument;
    };
    (add(tree_leaves(trees).size()), ...);
    R result{};
    auto of_leaves = [&](const std::vector<array>& leaves) {
      return detail::call_on_leaves(f, std::tuple<T...>(trees...), leaves, result);
    };
    auto out = tarn::vmap(ArraysFunction(of_leaves), axes)(detail::leaves_of(trees...));
    for (array& a : out) a = out_axis == 0 ? a : moveaxis(a, 0, out_axis);
    return detail::rebuilt(std::move(result), out);
  };
}

// Records f once for each set of paths, shapes and dtypes of its arguments' leaves, and replays the
// recording. Members of a module outside its TARN_FIELDS (sizes, eps) are those of the first call.
template <TreeFunction F>
auto compile(F f, bool shapeless = false) {
  auto shared = std::make_shared<const F>(std::move(f));
  auto cache = std::make_shared<detail::CompiledTrees>();
  return [ shared, cache, shapeless ]<Tree... T>(const T&... trees) {
    using R = std::remove_cvref_t<std::invoke_result_t<const F&, const T&...>>;
    using Entry = detail::OnLeaves<R>;
    std::string key = typeid(std::tuple<T...>).name();
    ((key += "\n" + detail::structure_key(tree_flatten(trees), shapeless)), ...);
    std::shared_ptr<Entry> entry;
    {
      std::lock_guard lock(cache->mutex);
      auto& slot = cache->entries[key];
      if (!slot) {
        auto made = std::make_shared<Entry>();
        auto record = [shared, to = made.get(),
                       like = std::tuple<T...>(detail::structure_of(trees)...)](
                          const std::vector<array>& leaves) {
          R result{};
          auto out = detail::call_on_leaves(*shared, like, leaves, result);
          to->remember(std::move(result));
          return out;
        };
        made->function = tarn::compile(ArraysFunction(record), shapeless);
        slot = made;
      }
      entry = std::static_pointer_cast<Entry>(slot);
    }
    return entry->run(detail::leaves_of(trees...));
  };
}

// In derivatives, computes f's intermediate values again instead of keeping them. Derivatives reach
// the leaves of the arguments only, so the module whose parameters are trained is one of them.
template <TreeFunction F>
auto checkpoint(F f) {
  auto shared = std::make_shared<const F>(std::move(f));
  return [shared]<Tree... T>(const T&... trees) {
    using R = std::remove_cvref_t<std::invoke_result_t<const F&, const T&...>>;
    // The function outlives this call: derivatives run it again.
    auto first = std::make_shared<detail::OnLeaves<R>>();
    auto again = [shared, to = std::weak_ptr(first),
                  like = std::tuple<T...>(detail::structure_of(trees)...)](
                     const std::vector<array>& leaves) {
      R result{};
      auto out = detail::call_on_leaves(*shared, like, leaves, result);
      if (auto it = to.lock()) it->remember(std::move(result));
      return out;
    };
    first->function = tarn::checkpoint(ArraysFunction(again));
    return first->run(detail::leaves_of(trees...));
  };
}

}  // namespace tarn
