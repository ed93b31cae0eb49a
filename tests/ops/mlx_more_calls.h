// Windows, sums of products, searches, updates at array indices and distributions, for mlx_driver.
#pragma once

#include "ops/mlx_calls.h"

namespace tarn::mlx_test {

inline void add_updates(Calls& calls) {
  calls["slice_at"] = [](const Case& c) {
    return Arrays{slice(c[0], c[1], c.list("axes"), c.shape("size"))};
  };
  calls["slice_update_at"] = [](const Case& c) {
    return Arrays{slice_update(c[0], c[1], c[2], c.list("axes"))};
  };
  calls["slice_update_with"] = [](const Case& c) {
    using Update = array (*)(const array&, const array&, Shape, Shape, Shape, StreamOrDevice);
    const std::map<std::string, Update> ways{{"add", slice_update_add},
                                             {"multiply", slice_update_prod},
                                             {"maximum", slice_update_max},
                                             {"minimum", slice_update_min}};
    Update update = ways.at(c.word("way"));
    return Arrays{update(c[0], c[1], c.shape("start"), c.shape("stop"), c.shape("steps"), {})};
  };
  calls["masked_scatter"] = [](const Case& c) { return Arrays{masked_scatter(c[0], c[1], c[2])}; };
  calls["roll_each"] = [](const Case& c) {
    return Arrays{roll(c[0], c.shape("shift"), c.list("axes"))};
  };
}
// What is defined of a partition: the element at k, and what lies on both sides.
inline array parts_sorted(const array& x, int k, int axis) {
  int n = static_cast<int>(x.shape(axis));
  if (k < 0) k += n;
  auto parts = split(x, Shape{k, k + 1}, axis);
  return concatenate({sort(parts[0], axis), parts[1], sort(parts[2], axis)}, axis);
}
inline void add_partitions(Calls& calls) {
  calls["partition"] = [](const Case& c) {
    int k = c.number("k"), axis = c.number("axis");
    return Arrays{parts_sorted(partition(c[0], k, axis), k, axis)};
  };
  calls["argpartition"] = [](const Case& c) {
    int k = c.number("k"), axis = c.number("axis");
    array order = argsort(c[0], axis), ranks = argsort(order, axis);
    array by_rank = take_along_axis(ranks, argpartition(c[0], k, axis), axis);
    return Arrays{take_along_axis(order, parts_sorted(by_rank, k, axis), axis)};
  };
}
inline void add_windows_and_products(Calls& calls) {
#define TARN_WINDOW(op) calls[#op] = [](const Case& c) { return Arrays{op(c.number("n"))}; };
  TARN_WINDOW(hanning)
  TARN_WINDOW(hamming)
  TARN_WINDOW(bartlett)
  TARN_WINDOW(blackman)
#undef TARN_WINDOW
  calls["einsum"] = [](const Case& c) { return Arrays{einsum(c.word("subscripts"), c.in)}; };
  calls["logical_xor"] = [](const Case& c) { return Arrays{logical_xor(c[0], c[1])}; };
  calls["matrix_transpose"] = [](const Case& c) { return Arrays{matrix_transpose(c[0])}; };
  calls["full_like"] = [](const Case& c) {
    return Arrays{c.has("dtype") ? full_like(c[0], c[1], c.dtype()) : full_like(c[0], c[1])};
  };
  calls["convolve"] = [](const Case& c) {
    return Arrays{convolve(c[0], c[1], c.word("mode", "full"))};
  };
  calls["kron"] = [](const Case& c) { return Arrays{kron(c[0], c[1])}; };
  calls["vecdot"] = [](const Case& c) { return Arrays{vecdot(c[0], c[1], c.number("axis", -1))}; };
  calls["diff"] = [](const Case& c) {
    return Arrays{diff(c[0], c.number("n", 1), c.number("axis", -1))};
  };
  calls["searchsorted"] = [](const Case& c) {
    return Arrays{searchsorted(c[0], c[1], c.word("side", "left"))};
  };
  calls["minmax"] = [](const Case& c) {
    bool keep = c.flag("keepdims");
    auto [low, high] = c.has("axes") ? minmax(c[0], c.list("axes"), keep) : minmax(c[0], keep);
    return Arrays{low, high};
  };
  calls["unique"] = [](const Case& c) {
    return unique(c[0], c.number("size"), c.flag("index"), c.flag("inverse"), c.flag("counts"),
                  c.maybe(1));
  };
  calls["count_nonzero"] = [](const Case& c) {
    if (!c.has("axis")) return Arrays{count_nonzero(c[0], c.flag("keepdims"))};
    return Arrays{count_nonzero(c[0], c.number("axis"), c.flag("keepdims"))};
  };
  calls["trace_as"] = [](const Case& c) { return Arrays{trace(c[0], 0, 0, 1, c.dtype())}; };
  calls["scan_flat"] = [](const Case& c) {
    bool reverse = c.flag("reverse"), inclusive = c.flag("inclusive");
    std::string op = c.word("scan");
    if (op == "cumsum") return Arrays{cumsum(c[0], reverse, inclusive)};
    if (op == "cumprod") return Arrays{cumprod(c[0], reverse, inclusive)};
    if (op == "cummax") return Arrays{cummax(c[0], reverse, inclusive)};
    if (op == "cummin") return Arrays{cummin(c[0], reverse, inclusive)};
    return Arrays{logcumsumexp(c[0], reverse, inclusive)};
  };
}
inline void add_distributions(Calls& calls) {
  calls["random_complex_normal"] = [](const Case& c) {
    return Arrays{random::normal(c.shape("shape"), complex64, c[0])};
  };
  calls["random_normal_around"] = [](const Case& c) {
    return Arrays{random::normal(c.shape("shape"), c.dtype(), c[1], c[2], c[0])};
  };
  calls["random_truncated_normal"] = [](const Case& c) {
    return Arrays{random::truncated_normal(c[1], c[2], c.shape("shape"), c.dtype(), c[0])};
  };
  calls["random_laplace"] = [](const Case& c) {
    return Arrays{random::laplace(c.shape("shape"), c.dtype(), static_cast<float>(c.real("loc")),
                                  static_cast<float>(c.real("scale", 1)), c[0])};
  };
  calls["random_multivariate_normal"] = [](const Case& c) {
    array x = random::multivariate_normal(c[1], c[2], c.shape("shape"), c.dtype(), c[0]);
    return Arrays{abs(x - c[1])};  // a singular vector may have either sign
  };
  calls["random_categorical_many"] = [](const Case& c) {
    if (c.has("count"))
      return Arrays{random::categorical(c[1], c.number("axis"), c.number("count"), c[0])};
    return Arrays{random::categorical(c[1], c.number("axis"), c.shape("shape"), c[0])};
  };
}
}  // namespace tarn::mlx_test
