// Every public op by name, for mlx_driver: {name, function of arrays and JSON arguments}.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tarn/tarn.h"

namespace tarn::mlx_test {

using Arrays = std::vector<array>;
using Json = nlohmann::json;

// One case: its inputs, and arguments that may be absent.
struct Case {
  Arrays in{};
  Json args{};

  const array& operator[](size_t i) const { return in.at(i); }
  bool has(const char* key) const { return args.contains(key) && !args[key].is_null(); }
  int number(const char* key, int otherwise = 0) const {
    return has(key) ? args[key].get<int>() : otherwise;
  }
  double real(const char* key, double otherwise = 0) const {
    return has(key) ? args[key].get<double>() : otherwise;
  }
  bool flag(const char* key) const { return has(key) && args[key].get<bool>(); }
  std::string word(const char* key, const char* otherwise = "") const {
    return has(key) ? args[key].get<std::string>() : otherwise;
  }
  std::vector<int> list(const char* key) const { return args.at(key).get<std::vector<int>>(); }
  Shape shape(const char* key) const {
    auto v = args.at(key).get<std::vector<int64_t>>();
    return {v.begin(), v.end()};
  }
  Dtype dtype(const char* key = "dtype") const { return named(word(key, "float32")); }
  std::optional<array> maybe(size_t i) const {
    return i < in.size() ? std::optional<array>(in[i]) : std::nullopt;
  }

  static Dtype named(const std::string& name) {
    for (Dtype t : {bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16,
                    float32, float64, bfloat16, complex64})
      if (name == name_of(t) || (name == "bool" && t == bool_)) return t;
    throw ValueError("no dtype " + name);
  }
};

using Calls = std::map<std::string, std::function<Arrays(const Case&)>, std::less<>>;

inline void add_maths(Calls& calls) {
#define TARN_UNARY(op) calls[#op] = [](const Case& c) { return Arrays{op(c[0])}; };
  TARN_UNARY(abs)
  TARN_UNARY(negative)
  TARN_UNARY(sign)
  TARN_UNARY(square)
  TARN_UNARY(reciprocal)
  TARN_UNARY(floor) TARN_UNARY(ceil) TARN_UNARY(trunc) TARN_UNARY(exp) TARN_UNARY(expm1) TARN_UNARY(
      log) TARN_UNARY(log2) TARN_UNARY(log10) TARN_UNARY(log1p) TARN_UNARY(sqrt) TARN_UNARY(rsqrt)
      TARN_UNARY(sin) TARN_UNARY(cos) TARN_UNARY(tan) TARN_UNARY(arcsin) TARN_UNARY(
          arccos) TARN_UNARY(arctan) TARN_UNARY(sinh) TARN_UNARY(cosh) TARN_UNARY(tanh)
          TARN_UNARY(arcsinh) TARN_UNARY(arccosh) TARN_UNARY(arctanh) TARN_UNARY(
              degrees) TARN_UNARY(radians) TARN_UNARY(sigmoid) TARN_UNARY(erf) TARN_UNARY(erfinv)
              TARN_UNARY(conjugate) TARN_UNARY(real) TARN_UNARY(imag) TARN_UNARY(
                  positive) TARN_UNARY(logical_not) TARN_UNARY(bitwise_invert) TARN_UNARY(isnan)
                  TARN_UNARY(isinf) TARN_UNARY(isfinite) TARN_UNARY(isposinf) TARN_UNARY(
                      isneginf) TARN_UNARY(stop_gradient) TARN_UNARY(atleast_1d)
                      TARN_UNARY(atleast_2d) TARN_UNARY(atleast_3d) TARN_UNARY(
                          zeros_like) TARN_UNARY(ones_like) TARN_UNARY(contiguous) TARN_UNARY(copy)
#undef TARN_UNARY
#define TARN_BINARY(op) calls[#op] = [](const Case& c) { return Arrays{op(c[0], c[1])}; };
                          TARN_BINARY(add) TARN_BINARY(subtract) TARN_BINARY(multiply) TARN_BINARY(
                              divide) TARN_BINARY(floor_divide) TARN_BINARY(remainder)
                              TARN_BINARY(power) TARN_BINARY(maximum) TARN_BINARY(minimum)
                                  TARN_BINARY(arctan2) TARN_BINARY(logaddexp) TARN_BINARY(
                                      equal) TARN_BINARY(not_equal) TARN_BINARY(less)
                                      TARN_BINARY(less_equal) TARN_BINARY(greater) TARN_BINARY(
                                          greater_equal) TARN_BINARY(logical_and)
                                          TARN_BINARY(logical_or) TARN_BINARY(bitwise_and)
                                              TARN_BINARY(bitwise_or) TARN_BINARY(bitwise_xor)
                                                  TARN_BINARY(left_shift) TARN_BINARY(right_shift)
                                                      TARN_BINARY(matmul) TARN_BINARY(inner)
                                                          TARN_BINARY(outer)
#undef TARN_BINARY
                                                              calls["round"] = [](const Case& c) {
                                                                return Arrays{round(
                                                                    c[0], c.number("decimals"))};
                                                              };
  calls["divmod"] = [](const Case& c) { return divmod(c[0], c[1]); };
  calls["where"] = [](const Case& c) { return Arrays{where(c[0], c[1], c[2])}; };
  calls["clip"] = [](const Case& c) {
    auto low = c.flag("low") ? c.maybe(1) : std::nullopt;
    return Arrays{clip(c[0], low, c.flag("high") ? std::optional(c.in.back()) : std::nullopt)};
  };
  calls["nan_to_num"] = [](const Case& c) {
    auto bound = [&](const char* key) {
      return c.has(key) ? std::optional(static_cast<float>(c.real(key))) : std::nullopt;
    };
    return Arrays{
        nan_to_num(c[0], static_cast<float>(c.real("nan")), bound("posinf"), bound("neginf"))};
  };
  calls["isclose"] = [](const Case& c) {
    return Arrays{isclose(c[0], c[1], 1e-5, 1e-8, c.flag("equal_nan"))};
  };
  calls["allclose"] = [](const Case& c) {
    return Arrays{allclose(c[0], c[1], 1e-5, 1e-8, c.flag("equal_nan"))};
  };
  calls["array_equal"] = [](const Case& c) {
    return Arrays{array_equal(c[0], c[1], c.flag("equal_nan"))};
  };
  calls["astype"] = [](const Case& c) { return Arrays{astype(c[0], c.dtype())}; };
}

inline void add_reductions(Calls& calls) {
#define TARN_REDUCTION(op)                                                          \
  calls[#op] = [](const Case& c) {                                                  \
    if (c.has("axes")) return Arrays{op(c[0], c.list("axes"), c.flag("keepdims"))}; \
    return Arrays{op(c[0], c.flag("keepdims"))};                                    \
  };
  TARN_REDUCTION(all)
  TARN_REDUCTION(any)
  TARN_REDUCTION(sum)
  TARN_REDUCTION(prod)
  TARN_REDUCTION(max)
  TARN_REDUCTION(min) TARN_REDUCTION(mean) TARN_REDUCTION(logsumexp) TARN_REDUCTION(median)
#undef TARN_REDUCTION
#define TARN_SPREAD(op)                                                                         \
  calls[#op] = [](const Case& c) {                                                              \
    int ddof = c.number("ddof");                                                                \
    if (c.has("axes")) return Arrays{tarn::op(c[0], c.list("axes"), c.flag("keepdims"), ddof)}; \
    return Arrays{tarn::op(c[0], c.flag("keepdims"), ddof)};                                    \
  };
      TARN_SPREAD(var) TARN_SPREAD(std)
#undef TARN_SPREAD
#define TARN_ARG(op)                                                                  \
  calls[#op] = [](const Case& c) {                                                    \
    if (c.has("axis")) return Arrays{op(c[0], c.number("axis"), c.flag("keepdims"))}; \
    return Arrays{op(c[0], c.flag("keepdims"))};                                      \
  };
          TARN_ARG(argmax) TARN_ARG(argmin)
#undef TARN_ARG
#define TARN_SCAN(op)                                                                  \
  calls[#op] = [](const Case& c) {                                                     \
    return Arrays{op(c[0], c.number("axis"), c.flag("reverse"), c.flag("inclusive"))}; \
  };
              TARN_SCAN(cumsum) TARN_SCAN(cumprod) TARN_SCAN(cummax) TARN_SCAN(cummin)
                  TARN_SCAN(logcumsumexp)
#undef TARN_SCAN
#define TARN_SORT(op)                                                     \
  calls[#op] = [](const Case& c) {                                        \
    return Arrays{c.has("axis") ? op(c[0], c.number("axis")) : op(c[0])}; \
  };
                      TARN_SORT(sort) TARN_SORT(argsort)
#undef TARN_SORT
#define TARN_KTH(op) \
  calls[#op] = [](const Case& c) { return Arrays{op(c[0], c.number("k"), c.number("axis"))}; };
                          TARN_KTH(topk)
#undef TARN_KTH
                              calls["softmax"] = [](const Case& c) {
                                return Arrays{softmax(c[0], c.list("axes"))};
                              };
  calls["trace"] = [](const Case& c) {
    return Arrays{trace(c[0], c.number("offset"), c.number("axis1"), c.number("axis2", 1))};
  };
}

inline void add_products(Calls& calls) {
  calls["addmm"] = [](const Case& c) {
    return Arrays{addmm(c[0], c[1], c[2], static_cast<float>(c.real("alpha", 1)),
                        static_cast<float>(c.real("beta", 1)))};
  };
  calls["tensordot"] = [](const Case& c) {
    if (c.has("axis")) return Arrays{tensordot(c[0], c[1], c.number("axis"))};
    return Arrays{tensordot(c[0], c[1], c.list("axes_a"), c.list("axes_b"))};
  };
  calls["rms_norm"] = [](const Case& c) {
    return Arrays{fast::rms_norm(c[0], c.maybe(1), static_cast<float>(c.real("eps")))};
  };
  calls["fast_cross_entropy"] = [](const Case& c) {
    return Arrays{fast::cross_entropy(c[0], c[1])};
  };
  calls["gated_delta_update"] = [](const Case& c) {
    std::optional<array> state, mask;
    if (c.flag("state")) state = c[5];
    if (c.flag("mask")) mask = c.in.back();
    return fast::gated_delta_update(c[0], c[1], c[2], c[3], c[4], state, mask);
  };
  calls["layer_norm"] = [](const Case& c) {
    std::optional<array> weight, bias;
    size_t next = 1;
    if (c.flag("weight")) weight = c[next++];
    if (c.flag("bias")) bias = c[next];
    return Arrays{fast::layer_norm(c[0], weight, bias, static_cast<float>(c.real("eps")))};
  };
  calls["rope"] = [](const Case& c) {
    std::optional<float> base;
    if (c.has("base")) base = static_cast<float>(c.real("base"));
    return Arrays{fast::rope(c[0], c.number("dims"), c.flag("traditional"), base,
                             static_cast<float>(c.real("scale", 1)), c.number("offset"),
                             c.maybe(1))};
  };
  calls["attention"] = [](const Case& c) {
    std::optional<array> mask, sinks;
    size_t next = 3;
    if (c.flag("mask")) mask = c[next++];
    if (c.flag("sinks")) sinks = c[next];
    return Arrays{fast::scaled_dot_product_attention(
        c[0], c[1], c[2], static_cast<float>(c.real("scale")), c.word("mode"), mask, sinks)};
  };
}

inline void add_random(Calls& calls);
inline void add_layout(Calls& calls);
inline void add_quantized(Calls& calls);
inline void add_creation(Calls& calls);
inline void add_windows_and_products(Calls& calls);
inline void add_updates(Calls& calls);
inline void add_partitions(Calls& calls);
inline void add_distributions(Calls& calls);
inline void add_words(Calls& calls);
inline void add_transforms_of(Calls& calls);

}  // namespace tarn::mlx_test

#include "ops/mlx_conv_calls.h"
#include "ops/mlx_fft_calls.h"
#include "ops/mlx_layout_calls.h"
#include "ops/mlx_linalg_calls.h"
#include "ops/mlx_more_calls.h"
#include "ops/mlx_quantized_calls.h"
#include "ops/mlx_transform_calls.h"
#include "ops/mlx_word_calls.h"

namespace tarn::mlx_test {

inline Calls every_call() {
  Calls calls;
  add_maths(calls);
  add_reductions(calls);
  add_products(calls);
  add_convolutions(calls);
  add_transforms(calls);
  add_random(calls);
  add_layout(calls);
  add_quantized(calls);
  add_creation(calls);
  add_windows_and_products(calls);
  add_updates(calls);
  add_partitions(calls);
  add_distributions(calls);
  add_linalg(calls);
  add_words(calls);
  add_transforms_of(calls);
  return calls;
}

}  // namespace tarn::mlx_test
