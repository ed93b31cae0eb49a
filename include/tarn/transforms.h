// Functions into functions: derivatives, batches, compiled and checkpointed functions. They
// compose.
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "tarn/array.h"

namespace tarn {

using ArraysFunction = std::function<std::vector<array>(const std::vector<array>&)>;
using ScalarFunction = std::function<array(const std::vector<array>&)>;
using UnaryFunction = std::function<array(const array&)>;

// {outputs, cotangents of the primals}.
std::pair<std::vector<array>, std::vector<array>> vjp(const ArraysFunction& fun,
                                                      const std::vector<array>& primals,
                                                      const std::vector<array>& cotangents);
std::pair<array, array> vjp(const UnaryFunction& fun, const array& primal, const array& cotangent);
// {outputs, tangents of the outputs}.
std::pair<std::vector<array>, std::vector<array>> jvp(const ArraysFunction& fun,
                                                      const std::vector<array>& primals,
                                                      const std::vector<array>& tangents);
std::pair<array, array> jvp(const UnaryFunction& fun, const array& primal, const array& tangent);

// The first output must be a 0-d array; derivatives are with respect to the arguments `argnums`.
using ValueAndGradFn =
    std::function<std::pair<std::vector<array>, std::vector<array>>(const std::vector<array>&)>;
using SimpleValueAndGradFn =
    std::function<std::pair<array, std::vector<array>>(const std::vector<array>&)>;
ValueAndGradFn value_and_grad(const ArraysFunction& fun, const std::vector<int>& argnums);
ValueAndGradFn value_and_grad(const ArraysFunction& fun, int argnum = 0);
SimpleValueAndGradFn value_and_grad(const ScalarFunction& fun, const std::vector<int>& argnums);
SimpleValueAndGradFn value_and_grad(const ScalarFunction& fun, int argnum = 0);
std::function<std::pair<array, array>(const array&)> value_and_grad(const UnaryFunction& fun);
std::function<std::vector<array>(const std::vector<array>&)> grad(const ScalarFunction& fun,
                                                                  const std::vector<int>& argnums);
std::function<std::vector<array>(const std::vector<array>&)> grad(const ScalarFunction& fun,
                                                                  int argnum = 0);
std::function<array(const array&)> grad(const UnaryFunction& fun);

// Maps fun over an axis of its arguments; a negative in_axes entry leaves that argument whole.
std::function<array(const array&)> vmap(const UnaryFunction& fun, int in_axis = 0,
                                        int out_axis = 0);
std::function<array(const array&, const array&)> vmap(
    const std::function<array(const array&, const array&)>& fun, int in_axis_a = 0,
    int in_axis_b = 0, int out_axis = 0);
ArraysFunction vmap(const ArraysFunction& fun, const std::vector<int>& in_axes = {},
                    const std::vector<int>& out_axes = {});

// A function with derivatives and batches of its own. Whatever is not given is fun's own.
//   vjp(primals, cotangents, outputs)  the primals' cotangents
//   jvp(primals, tangents, argnums)    the outputs' tangents; tangents[i] is that of primal
//                                      argnums[i], other primals have none
//   vmap(inputs, axes)                 the outputs, and the axis of each that has the batch; an
//   axis
//                                      of -1 means that there is none
// A rule is called once for all outputs and may be differentiated itself. Without vmap, the given
// derivatives are those of each example. What fun captures has no derivative through vjp and jvp.
using CustomVjp = std::function<std::vector<array>(
    const std::vector<array>&, const std::vector<array>&, const std::vector<array>&)>;
using CustomJvp = std::function<std::vector<array>(
    const std::vector<array>&, const std::vector<array>&, const std::vector<int>&)>;
using CustomVmap = std::function<std::pair<std::vector<array>, std::vector<int>>(
    const std::vector<array>&, const std::vector<int>&)>;
ArraysFunction custom_function(ArraysFunction fun, std::optional<CustomVjp> fun_vjp = std::nullopt,
                               std::optional<CustomJvp> fun_jvp = std::nullopt,
                               std::optional<CustomVmap> fun_vmap = std::nullopt);
ArraysFunction custom_vjp(ArraysFunction fun, CustomVjp fun_vjp);

// Records fun once for each set of argument dtypes and shapes, and replays the recording. What fun
// does besides recording operations happens at recording only.
//
// With `shapeless` a recording serves other sizes as well, where that can be told: fun is recorded
// for two sets of sizes, and if the calls of one follow from those of the other, sizes that vary in
// the same way are no longer recorded. A fun that puts sizes into numbers of its own or decides by
// them is recorded for each set of sizes, so the result is always fun's. Ranks and dtypes are
// always recorded apart, and so are the sizes 0 and 1.
ArraysFunction compile(const ArraysFunction& fun, bool shapeless = false);
// The recordings of a plain function are shared by all who compile it.
using ArraysPointer = std::vector<array> (*)(const std::vector<array>&);
ArraysFunction compile(ArraysPointer fun, bool shapeless = false);
template <class F>
requires(!std::is_same_v<std::remove_cvref_t<F>, ArraysFunction> &&
         !std::is_same_v<std::decay_t<F>, ArraysPointer> &&
         std::is_convertible_v<F, ArraysFunction>) ArraysFunction
    compile(F&& fun, bool shapeless = false) {
  return compile(ArraysFunction(std::forward<F>(fun)), shapeless);
}

// Fusing and merging belong to evaluation, which does them with and without compile; so no_simplify
// and no_fuse are the same as enabled. Disabled, compiled functions call what they were made of.
enum class CompileMode { disabled, no_simplify, no_fuse, enabled };
void set_compile_mode(CompileMode mode);
void disable_compile();
void enable_compile();

// In derivatives, computes fun's intermediate values again instead of keeping them.
ArraysFunction checkpoint(const ArraysFunction& fun);

}  // namespace tarn
