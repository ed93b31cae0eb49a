// Quantised numbers and products of chosen matrices, for mlx_driver.
#pragma once

#include "ops/mlx_calls.h"

namespace tarn::mlx_test {

// An optional input: {"has": [...]} names the inputs, in order.
inline std::optional<array> named(const Case& c, const char* name) {
  if (!c.has("has")) return std::nullopt;
  auto names = c.args["has"].get<std::vector<std::string>>();
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return c[i];
  return std::nullopt;
}
inline std::optional<int> group_of(const Case& c) {
  return c.has("group") ? std::optional(c.number("group")) : std::nullopt;
}
inline std::optional<int> bits_of(const Case& c) {
  return c.has("bits") ? std::optional(c.number("bits")) : std::nullopt;
}
inline std::string mode_of(const Case& c) { return c.word("mode", "affine"); }
// The last of w, scales and biases, which begin at input `at`.
inline std::optional<array> biases_of(const Case& c, size_t at) {
  return mode_of(c) == "affine" ? c.maybe(at + 2) : std::nullopt;
}

inline void add_quantized(Calls& calls) {
  calls["quantize"] = [](const Case& c) {
    return quantize(c[0], group_of(c), bits_of(c), mode_of(c), named(c, "global"));
  };
  calls["dequantize"] = [](const Case& c) {
    return Arrays{dequantize(c[0], c[1], biases_of(c, 0), group_of(c), bits_of(c), mode_of(c),
                             named(c, "global"),
                             c.has("dtype") ? std::optional(c.dtype()) : std::nullopt)};
  };
  calls["quantized_matmul"] = [](const Case& c) {
    return Arrays{quantized_matmul(c[0], c[1], c[2], biases_of(c, 1), c.flag("transpose"),
                                   group_of(c), bits_of(c), mode_of(c))};
  };
  calls["gather_qmm"] = [](const Case& c) {
    return Arrays{gather_qmm(c[0], c[1], c[2], biases_of(c, 1), named(c, "lhs"), named(c, "rhs"),
                             c.flag("transpose"), group_of(c), bits_of(c), mode_of(c),
                             c.flag("sorted"))};
  };
  calls["qqmm"] = [](const Case& c) {
    return Arrays{qqmm(c[0], c[1], named(c, "scales"), group_of(c), bits_of(c), mode_of(c),
                       named(c, "global_x"), named(c, "global_w"))};
  };
  calls["gather_qqmm"] = [](const Case& c) {
    return Arrays{gather_qqmm(c[0], c[1], named(c, "scales"), named(c, "lhs"), named(c, "rhs"),
                              group_of(c), bits_of(c), mode_of(c), named(c, "global_x"),
                              named(c, "global_w"), c.flag("sorted"))};
  };
  calls["from_fp8"] = [](const Case& c) { return Arrays{from_fp8(c[0], c.dtype())}; };
  calls["to_fp8"] = [](const Case& c) { return Arrays{to_fp8(c[0])}; };
  calls["gather_mm"] = [](const Case& c) {
    return Arrays{gather_mm(c[0], c[1], named(c, "lhs"), named(c, "rhs"), c.flag("sorted"))};
  };
  calls["segmented_mm"] = [](const Case& c) { return Arrays{segmented_mm(c[0], c[1], c[2])}; };
  calls["block_masked_mm"] = [](const Case& c) {
    return Arrays{block_masked_mm(c[0], c[1], c.number("block", 64), named(c, "out"),
                                  named(c, "lhs"), named(c, "rhs"))};
  };
  calls["hadamard_transform"] = [](const Case& c) {
    return Arrays{hadamard_transform(
        c[0], c.has("scale") ? std::optional(static_cast<float>(c.real("scale"))) : std::nullopt)};
  };
}

}  // namespace tarn::mlx_test
