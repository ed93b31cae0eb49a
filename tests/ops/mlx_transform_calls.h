// Derivatives, batches, compiled and checkpointed functions of the other calls, for mlx_driver:
// args["of"] names the call, args["way"] the transform.
#pragma once

#include "ops/mlx_calls.h"

namespace tarn::mlx_test {

using Inner = std::function<ArraysFunction(const Case&)>;

inline Arrays part(const Arrays& x, size_t from, size_t to) {
  return {x.begin() + static_cast<int64_t>(from), x.begin() + static_cast<int64_t>(to)};
}
// The sum of all results, of which there are gradients.
inline ScalarFunction summed(const ArraysFunction& f) {
  return [f](const Arrays& x) {
    array total(0.0f);
    for (const array& y : f(x)) total = total + sum(y);
    return total;
  };
}

// f with rules of its own, which a result shows: 3 g x, 5 t, and 7 more of each example.
inline ArraysFunction with_rules(const ArraysFunction& f) {
  CustomVjp back = [](const Arrays& x, const Arrays& g, const Arrays&) {
    return Arrays{g[0] * x[0] * array(3, x[0].dtype())};
  };
  CustomJvp along = [](const Arrays&, const Arrays& t, const std::vector<int>&) {
    return Arrays{t[0] * array(5, t[0].dtype())};
  };
  CustomVmap each = [f](const Arrays& x, const std::vector<int>& axes) {
    return std::pair(Arrays{f(x)[0] + array(7, x[0].dtype())}, axes);
  };
  return custom_function(f, back, along, each);
}

// {"way": what}: arguments are those of the inner call, then tangents or a cotangent.
inline std::map<std::string, std::function<Arrays(const ArraysFunction&, const Case&)>> ways() {
  return {
      {"grad", [](auto& f, const Case& c) { return grad(summed(f), c.list("argnums"))(c.in); }},
      {"value_and_grad",
       [](auto& f, const Case& c) {
         auto [value, slopes] = value_and_grad(summed(f), c.list("argnums"))(c.in);
         slopes.insert(slopes.begin(), value);
         return slopes;
       }},
      {"vjp",
       [](auto& f, const Case& c) {
         return vjp(f, part(c.in, 0, c.in.size() - 1), {c.in.back()}).second;
       }},
      {"jvp",
       [](auto& f, const Case& c) {
         size_t half = c.in.size() / 2;
         return jvp(f, part(c.in, 0, half), part(c.in, half, c.in.size())).second;
       }},
      {"vmap",
       [](auto& f, const Case& c) {
         return vmap(f, c.list("in_axes"), {c.number("out_axis")})(c.in);
       }},
      {"checkpoint",
       [](auto& f, const Case& c) { return grad(summed(checkpoint(f)), c.list("argnums"))(c.in); }},
      {"compile",
       [](auto& f, const Case& c) {
         auto compiled = compile(f, c.flag("shapeless"));
         compiled(c.in);
         return compiled(c.in);
       }},
      {"disable_compile",
       [](auto& f, const Case& c) {
         disable_compile();
         Arrays out = compile(f)(c.in);
         enable_compile();
         return out;
       }},
      {"custom_vjp",
       [](auto& f, const Case& c) { return vjp(with_rules(f), {c[0]}, {c[1]}).second; }},
      {"custom_jvp",
       [](auto& f, const Case& c) { return jvp(with_rules(f), {c[0]}, {c[1]}).second; }},
      {"custom_vmap", [](auto& f, const Case& c) { return vmap(with_rules(f))(c.in); }}};
}

inline void add_transforms_of(Calls& calls) {
  auto known = std::make_shared<const Calls>(calls);
  for (const auto& [way, run] : ways())
    calls["transform_" + way] = [known, run](const Case& c) {
      ArraysFunction f = [call = known->at(c.word("of")), args = c.args](const Arrays& x) {
        return call(Case{x, args});
      };
      return run(f, c);
    };
}

}  // namespace tarn::mlx_test
