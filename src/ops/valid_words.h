// What the checks of calls from files share.
#pragma once

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/checked.h"
#include "ops/movement.h"

namespace tarn::ops {

using In = std::span<const array>;
using Check = bool (*)(const Params&, In);
__extension__ using Wide = __int128;  // what no product of two 64-bit numbers leaves

inline bool in_domain(const Spec& spec, Dtype t) { return domain(spec.name, spec.types, t) == t; }
inline bool is_axis(int axis, const array& x) {
  return axis >= 0 && axis < static_cast<int>(x.ndim());
}
inline int64_t size_at(const array& x, int axis) { return x.shape()[static_cast<size_t>(axis)]; }
inline bool is_index(const array& x) {
  return issubdtype(x.dtype(), integer) || x.dtype() == bool_;
}
inline bool is_mode(Update mode) { return mode <= Update::min; }

inline std::optional<int64_t> count(const Shape& shape) {
  std::optional<int64_t> n = 1;
  for (auto d : shape) n = n ? checked_mul(*n, d) : n;
  return n;
}
inline bool is_shape(const Shape& shape) {
  return std::ranges::all_of(shape, [](int64_t d) { return d >= 0; }) && count(shape);
}
inline bool distinct(const Axes& axes, const array& x) {
  std::vector<bool> seen(x.ndim());
  for (int a : axes) {
    if (!is_axis(a, x) || seen[static_cast<size_t>(a)]) return false;
    seen[static_cast<size_t>(a)] = true;
  }
  return true;
}
inline bool same_dtypes(In in) {
  return std::ranges::all_of(in, [&](const array& x) { return x.dtype() == in[0].dtype(); });
}
// Equal but for one axis.
inline bool equal_beside(const Shape& a, const Shape& b, int axis) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && static_cast<int>(i) != axis) return false;
  return true;
}
inline bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 0, skip = to.size() - from.size(); i < from.size(); ++i)
    if (from[i] != 1 && from[i] != to[skip + i]) return false;
  return true;
}

// Views multiply it by strides, also where an axis has one element.
inline bool is_step(int64_t step) {
  constexpr int64_t most = int64_t{1} << 31;
  return step != 0 && step >= -most && step <= most;
}

// Those of contractions, in valid_products.cpp.
void add_product_checks(std::unordered_map<const Op*, Check>& checks);
// Those of decompositions, in valid_linalg.cpp.
void add_decomposition_checks(std::unordered_map<const Op*, Check>& checks);

}  // namespace tarn::ops
