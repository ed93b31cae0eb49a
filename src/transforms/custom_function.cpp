// Functions whose derivatives and batches the caller gives.
#include "base/require.h"
#include "ops/kinds.h"
#include "tarn/transforms.h"
#include "transforms/derive.h"

namespace tarn {
namespace {

struct Rules {
  CustomVjp vjp{};
  CustomJvp jvp{};
  CustomVmap vmap{};
};

// The rules are no part of the value, so plans are shared by functions that differ in them only.
struct CustomFunctionParams {
  std::shared_ptr<const Rules> rules{};
  int which = 0, count = 0;
  TARN_FIELDS(which, count)
};

// One result: in are the result itself, all `count` results as fun made them, fun's arguments.
struct Parts {
  const Rules& rules;
  Arrays results{}, arguments{};
};
Parts parts_of(const Params& params, std::span<const array> in) {
  const auto& p = params.as<CustomFunctionParams>();
  auto count = static_cast<size_t>(p.count);
  auto results = in.subspan(1, count), arguments = in.subspan(1 + count);
  return {*p.rules, {results.begin(), results.end()}, {arguments.begin(), arguments.end()}};
}

void check_returned(const char* rule, const char* what, size_t made, size_t needed) {
  require(made == needed, "[custom_function] {} returned {} {}, {} are needed.", rule, made, what,
          needed);
}
array fitting(const char* rule, size_t i, const array& made, const array& like) {
  require<ShapeError>(made.shape() == like.shape(),
                      "[custom_function] {} returned shape {} at {}; what it belongs to has shape "
                      "{}.",
                      rule, text_of(made.shape()), i, text_of(like.shape()));
  return astype(made, like.dtype());
}

// Without a rule the cotangent goes on to fun's own history.
std::vector<Maybe> vjp_of(const Call& call, std::span<const Maybe> cotangents) {
  Parts parts = parts_of(call.params, call.in);
  size_t count = parts.results.size();
  std::vector<Maybe> terms(call.in.size());
  if (!parts.rules.vjp) {
    for (size_t k = 0; k < count; ++k) terms[1 + k] = cotangents[k];
    return terms;
  }
  Arrays given, outputs(call.out.begin(), call.out.end());
  for (size_t k = 0; k < count; ++k)
    given.push_back(cotangents[k] ? *cotangents[k] : zeros_like(parts.results[k]));
  Arrays made = parts.rules.vjp(parts.arguments, given, outputs);
  check_returned("vjp", "cotangents", made.size(), parts.arguments.size());
  for (size_t i = 0; i < made.size(); ++i)
    if (ops::detail::differentiable(parts.arguments[i]))
      terms[1 + count + i] = fitting("vjp", i, made[i], parts.arguments[i]);
  return terms;
}

std::vector<Maybe> jvp_of(const Call& call, std::span<const Maybe> tangents) {
  Parts parts = parts_of(call.params, call.in);
  size_t count = parts.results.size();
  std::vector<Maybe> out(count);
  if (!parts.rules.jvp) {
    for (size_t k = 0; k < count; ++k) out[k] = tangents[1 + k];
    return out;
  }
  Arrays given;
  std::vector<int> argnums;
  for (size_t i = 0; i < parts.arguments.size(); ++i) {
    const Maybe& t = tangents[1 + count + i];
    if (!t) continue;
    given.push_back(*t);
    argnums.push_back(static_cast<int>(i));
  }
  if (given.empty()) return out;
  Arrays made = parts.rules.jvp(parts.arguments, given, argnums);
  check_returned("jvp", "tangents", made.size(), count);
  for (size_t k = 0; k < count; ++k) out[k] = fitting("jvp", k, made[k], parts.results[k]);
  return out;
}

array with_batch(const array& x, bool mapped, int64_t batch) {
  if (mapped) return x;
  Shape shape = x.shape();
  shape.insert(shape.begin(), batch);
  return broadcast_to(x, shape);
}

Arrays joined(std::initializer_list<const Arrays*> parts) {
  Arrays all;
  for (const Arrays* p : parts) all.insert(all.end(), p->begin(), p->end());
  return all;
}
Arrays part(const Arrays& all, size_t from, size_t count) {
  auto first = all.begin() + static_cast<std::ptrdiff_t>(from);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

// The given derivatives of one example as derivatives of a batch. axes[i] is 0 or -1.
std::shared_ptr<const Rules> batched(const Rules& one, const std::vector<int>& axes) {
  auto rules = std::make_shared<Rules>();
  if (one.vjp)
    rules->vjp = [f = one.vjp, axes](const Arrays& x, const Arrays& g, const Arrays& y) {
      std::vector<int> in_axes = axes;
      in_axes.resize(x.size() + g.size() + y.size(), 0);
      Arrays made = vmap(
          [&](const Arrays& in) {
            return f(part(in, 0, x.size()), part(in, x.size(), g.size()),
                     part(in, x.size() + g.size(), y.size()));
          },
          in_axes)(joined({&x, &g, &y}));
      // What all examples share collects the cotangents of all.
      for (size_t i = 0; i < made.size() && i < axes.size(); ++i)
        if (axes[i] < 0) made[i] = sum(made[i], 0);
      return made;
    };
  if (one.jvp)
    rules->jvp = [f = one.jvp, axes](const Arrays& x, const Arrays& t,
                                     const std::vector<int>& argnums) {
      std::vector<int> in_axes = axes;
      for (int n : argnums) in_axes.push_back(axes[static_cast<size_t>(n)]);
      return vmap(
          [&](const Arrays& in) {
            return f(part(in, 0, x.size()), part(in, x.size(), t.size()), argnums);
          },
          in_axes)(joined({&x, &t}));
    };
  return rules;
}

Arrays with_rules(const std::shared_ptr<const Rules>& rules, const Arrays& results,
                  const Arrays& arguments);

Arrays vmap_of(const Params& params, std::span<const array> in, const Batch& batch) {
  Parts parts = parts_of(params, in);
  size_t count = parts.results.size();
  std::vector<int> axes;
  bool any = false;
  for (size_t i = 0; i < parts.arguments.size(); ++i) {
    axes.push_back(batch.mapped[1 + count + i] ? 0 : -1);
    any |= axes.back() == 0;
  }
  Arrays results;
  if (parts.rules.vmap && any) {
    auto [made, out_axes] = parts.rules.vmap(parts.arguments, axes);
    check_returned("vmap", "results", made.size(), count);
    check_returned("vmap", "axes", out_axes.size(), count);
    for (size_t k = 0; k < count; ++k) {
      bool mapped = out_axes[k] >= 0;
      results.push_back(
          with_batch(mapped ? moveaxis(made[k], out_axes[k], 0) : made[k], mapped, batch.size));
    }
    return results;
  }
  for (size_t k = 0; k < count; ++k)
    results.push_back(with_batch(parts.results[k], batch.mapped[1 + k], batch.size));
  return with_rules(batched(parts.rules, axes), results, parts.arguments);
}

const Op custom_function_op{.name = "custom_function",
                            .kind = Kind::movement,
                            .doc = "A result whose derivative the caller gives.",
                            .infer =
                                [](const Params&, std::span<const array> in) {
                                  return ArraySpec{in[0].shape(), in[0].dtype()};
                                },
                            .vjp = vjp_of,
                            .jvp = jvp_of,
                            .vmap = vmap_of,
                            .view = [](const Params&, const Layout& l) { return std::optional(l); },
                            .transparent = true,
                            .result =
                                [](const Params& params) {
                                  const auto& p = params.as<CustomFunctionParams>();
                                  return ResultOf{p.which, p.count};
                                }};

Arrays with_rules(const std::shared_ptr<const Rules>& rules, const Arrays& results,
                  const Arrays& arguments) {
  Arrays out;
  for (size_t k = 0; k < results.size(); ++k) {
    Arrays one{results[k]};
    CustomFunctionParams p{rules, static_cast<int>(k), static_cast<int>(results.size())};
    out.push_back(record(custom_function_op, p, joined({&one, &results, &arguments}), {}));
  }
  return out;
}

}  // namespace

ArraysFunction custom_function(ArraysFunction fun, std::optional<CustomVjp> fun_vjp,
                               std::optional<CustomJvp> fun_jvp,
                               std::optional<CustomVmap> fun_vmap) {
  auto rules = std::make_shared<const Rules>(
      Rules{fun_vjp.value_or(nullptr), fun_jvp.value_or(nullptr), fun_vmap.value_or(nullptr)});
  return [fun = std::move(fun), rules](const Arrays& inputs) {
    return with_rules(rules, fun(inputs), inputs);
  };
}

ArraysFunction custom_vjp(ArraysFunction fun, CustomVjp fun_vjp) {
  return custom_function(std::move(fun), std::move(fun_vjp));
}

}  // namespace tarn
