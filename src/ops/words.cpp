// Words that the rules of several kinds share.
#include <algorithm>

#include "ops/kinds.h"
#include "ops/movement.h"

namespace tarn::ops {

Dtype domain(const char* op, Types types, Dtype t) {
  bool complex = t == complex64, floats = issubdtype(t, floating);
  switch (types) {
    case Types::boolean:
      return bool_;
    case Types::integral:
      require(!complex && !floats, "[{}] takes integers or bool, not {}.", op, name_of(t));
      return t;
    case Types::real:
      require(!complex, "[{}] is not defined for complex64.", op);
      return t;
    case Types::number:
      return t;
    case Types::floating:
      require(!complex, "[{}] is not defined for complex64.", op);
      return floats ? t : float32;
    case Types::inexact:
      return floats || complex ? t : float32;
    case Types::complex:
      return complex64;
  }
  return t;
}

array sum_to(const array& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  size_t extra = g.ndim() - shape.size();
  std::vector<int> axes;
  for (size_t i = 0; i < g.ndim(); ++i)
    if (i < extra || (shape[i - extra] == 1 && g.shape()[i] != 1))
      axes.push_back(static_cast<int>(i));
  array summed = axes.empty() ? g : sum(g, axes, true);
  return reshape(summed, shape);
}

array align_batch(const array& x, size_t rank) {
  Shape shape = x.shape();
  if (shape.size() == rank + 1) return x;
  Shape aligned{shape[0]};
  for (size_t i = shape.size() - 1; i < rank; ++i) aligned.push_back(1);
  aligned.insert(aligned.end(), shape.begin() + 1, shape.end());
  return reshape(x, aligned);
}

Arrays align_batches(std::span<const array> in, const Batch& batch) {
  size_t rank = 0;
  for (size_t i = 0; i < in.size(); ++i)
    rank = std::max(rank, in[i].ndim() - (batch.mapped[i] ? 1 : 0));
  Arrays aligned;
  for (size_t i = 0; i < in.size(); ++i)
    aligned.push_back(batch.mapped[i] ? align_batch(in[i], rank) : in[i]);
  return aligned;
}

array batched(const array& x, bool mapped, int64_t size) {
  if (mapped) return x;
  Shape shape{size};
  shape.insert(shape.end(), x.shape().begin(), x.shape().end());
  return broadcast_to(x, shape);
}

std::vector<Maybe> adjoint_of(VjpRule rule, const Call& call, std::span<const Maybe> cotangents) {
  bool is_complex = call.out[0].dtype() == complex64;
  for (const auto& x : call.in) is_complex |= x.dtype() == complex64;
  if (!is_complex || !cotangents[0]) return rule(call, cotangents);
  Maybe turned = conjugate(*cotangents[0]);
  auto result = rule(call, {&turned, 1});
  for (auto& x : result)
    if (x) x = conjugate(*x);
  return result;
}

int normalize_axis(const char* op, int axis, size_t ndim) {
  int n = static_cast<int>(ndim), a = axis < 0 ? axis + n : axis;
  require<ShapeError>(a >= 0 && a < n, "[{}] axis {} for an array with {} axes.", op, axis, ndim);
  return a;
}

void check_mask(const char* op, const array& a, const array& mask) {
  require(mask.dtype() == bool_, "[{}] the mask is {}; it must be bool.", op,
          name_of(mask.dtype()));
  bool leads = mask.ndim() <= a.ndim();
  for (size_t i = 0; leads && i < mask.ndim(); ++i) leads = mask.shape()[i] == a.shape()[i];
  require<ShapeError>(leads, "[{}] the mask has shape {} and a {}: it must be a's first axes.", op,
                      text_of(mask.shape()), text_of(a.shape()));
}

Axes normalize_axes(const char* op, const std::vector<int>& axes, size_t ndim) {
  Axes out;
  for (int a : axes) out.push_back(normalize_axis(op, a, ndim));
  std::sort(out.begin(), out.end());
  require<ShapeError>(std::adjacent_find(out.begin(), out.end()) == out.end(),
                      "[{}] axes ({}) name an axis twice.", op, joined(axes));
  return out;
}

Shape broadcast_for(const char* op, const Shape& a, const Shape& b) {
  try {
    return broadcast_shapes(a, b);
  } catch (const ShapeError& e) {
    std::string text = e.what();
    throw ShapeError(fmt::format("[{}]{}", op, text.substr(text.find(']') + 1)));
  }
}

}  // namespace tarn::ops
