// Functions into functions: derivatives, batches, compiled and checkpointed functions. They
// compose.
#pragma once

#include <functional>
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

// Records fun once for each set of argument shapes and dtypes, and replays the recording.
ArraysFunction compile(const ArraysFunction& fun, bool shapeless = false);
void disable_compile();
void enable_compile();
// In derivatives, computes fun's intermediate values again instead of keeping them.
ArraysFunction checkpoint(const ArraysFunction& fun);

}  // namespace tarn
