// vjp, jvp, grad and value_and_grad.
#include <algorithm>

#include "base/require.h"
#include "ops/kinds.h"
#include "tarn/transforms.h"
#include "transforms/derive.h"

namespace tarn {
namespace {

void check_count(const char* name, const char* what, size_t given, size_t needed) {
  require(given == needed, "[{}] {} {} are given, {} are needed.", name, given, what, needed);
}
void check_shape(const char* name, const array& a, const array& like) {
  require<ShapeError>(a.shape() == like.shape(), "[{}] shape {} does not match {}.", name,
                      text_of(a.shape()), text_of(like.shape()));
}
Arrays or_zeros(const std::vector<Maybe>& found, const Arrays& like) {
  Arrays out;
  for (size_t i = 0; i < found.size(); ++i)
    out.push_back(found[i] ? *found[i] : zeros_like(like[i]));
  return out;
}

}  // namespace

std::pair<Arrays, Arrays> vjp(const ArraysFunction& fun, const Arrays& primals,
                              const Arrays& cotangents) {
  Arrays in = fresh_arguments(primals), out;
  {
    HistoryScope keep;
    out = fun(in);
  }
  check_count("vjp", "cotangents", cotangents.size(), out.size());
  std::vector<Maybe> g;
  for (size_t i = 0; i < out.size(); ++i) {
    check_shape("vjp", cotangents[i], out[i]);
    g.push_back(astype(cotangents[i], out[i].dtype()));
  }
  return {out, or_zeros(pull_back(out, in, g), primals)};
}
std::pair<array, array> vjp(const UnaryFunction& fun, const array& primal, const array& cotangent) {
  auto [out, g] =
      vjp([&](const Arrays& x) { return Arrays{fun(x[0])}; }, Arrays{primal}, Arrays{cotangent});
  return {out[0], g[0]};
}

std::pair<Arrays, Arrays> jvp(const ArraysFunction& fun, const Arrays& primals,
                              const Arrays& tangents) {
  check_count("jvp", "tangents", tangents.size(), primals.size());
  Arrays in = fresh_arguments(primals), out;
  {
    HistoryScope keep;
    out = fun(in);
  }
  std::vector<Maybe> t;
  for (size_t i = 0; i < primals.size(); ++i) {
    check_shape("jvp", tangents[i], primals[i]);
    t.push_back(astype(tangents[i], primals[i].dtype()));
  }
  return {out, or_zeros(push_forward(out, in, t), out)};
}
std::pair<array, array> jvp(const UnaryFunction& fun, const array& primal, const array& tangent) {
  auto [out, t] =
      jvp([&](const Arrays& x) { return Arrays{fun(x[0])}; }, Arrays{primal}, Arrays{tangent});
  return {out[0], t[0]};
}

ValueAndGradFn value_and_grad(const ArraysFunction& fun, const std::vector<int>& argnums) {
  require(!argnums.empty(), "[grad] argnums is empty: name at least one argument.");
  return [fun, argnums](const Arrays& inputs) {
    Arrays all = inputs, picked;
    for (int n : argnums) {
      auto i = static_cast<size_t>(n < 0 ? n + static_cast<int>(inputs.size()) : n);
      require(i < inputs.size(), "[grad] argument {} of a call with {}.", n, inputs.size());
      require(issubdtype(inputs[i].dtype(), inexact),
              "[grad] argument {} is {}: only floats and complex numbers have derivatives.", n,
              name_of(inputs[i].dtype()));
      picked.push_back(inputs[i]);
    }
    Arrays in = fresh_arguments(picked), out;
    for (size_t k = 0; k < argnums.size(); ++k) {
      int n = argnums[k];
      all[static_cast<size_t>(n < 0 ? n + static_cast<int>(inputs.size()) : n)] = in[k];
    }
    {
      HistoryScope keep;
      out = fun(all);
    }
    require(!out.empty(), "[grad] the function returned nothing; a derivative needs a 0-d value.");
    require(out[0].ndim() == 0,
            "[grad] the function returned shape {}; a derivative needs a 0-d value. Reduce it, for "
            "example with sum.",
            text_of(out[0].shape()));
    std::vector<Maybe> g(out.size());
    g[0] = ones_like(out[0]);
    return std::pair(out, or_zeros(pull_back(out, in, g), picked));
  };
}
ValueAndGradFn value_and_grad(const ArraysFunction& fun, int argnum) {
  return value_and_grad(fun, std::vector<int>{argnum});
}
SimpleValueAndGradFn value_and_grad(const ScalarFunction& fun, const std::vector<int>& argnums) {
  auto both = value_and_grad([fun](const Arrays& x) { return Arrays{fun(x)}; }, argnums);
  return [both](const Arrays& x) {
    auto [value, g] = both(x);
    return std::pair(value[0], g);
  };
}
SimpleValueAndGradFn value_and_grad(const ScalarFunction& fun, int argnum) {
  return value_and_grad(fun, std::vector<int>{argnum});
}
std::function<std::pair<array, array>(const array&)> value_and_grad(const UnaryFunction& fun) {
  auto both = value_and_grad([fun](const Arrays& x) { return Arrays{fun(x[0])}; }, 0);
  return [both](const array& x) {
    auto [value, g] = both({x});
    return std::pair(value[0], g[0]);
  };
}
std::function<Arrays(const Arrays&)> grad(const ScalarFunction& fun,
                                          const std::vector<int>& argnums) {
  auto both = value_and_grad(fun, argnums);
  return [both](const Arrays& x) { return both(x).second; };
}
std::function<Arrays(const Arrays&)> grad(const ScalarFunction& fun, int argnum) {
  return grad(fun, std::vector<int>{argnum});
}
std::function<array(const array&)> grad(const UnaryFunction& fun) {
  auto both = value_and_grad(fun);
  return [both](const array& x) { return both(x).second; };
}

}  // namespace tarn
