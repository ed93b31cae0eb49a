// What follows from an op's kind: the rules that make an Op of a struct with a formula.
#pragma once

#include <concepts>
#include <type_traits>
#include <vector>

#include "base/require.h"
#include "graph/node.h"
#include "graph/op.h"
#include "ops/catalogue.h"
#include "tarn/ops.h"

namespace tarn {
// What formulas call `select` and `constant` on numbers, for arrays: derivatives need both.
array select(const array& condition, const array& a, const array& b);
array constant(const array& like, double value);
// A real array as complex64: x, and x times i.
array on_real_axis(const array& x);
array on_imaginary_axis(const array& x);
}  // namespace tarn

namespace tarn::ops {

// --- words the rules share

// The dtype an op of `types` computes in when given `t`. Throws ValueError outside its domain.
Dtype domain(const char* op, Types types, Dtype t);
// g summed over the axes along which an operand of `shape` was broadcast.
array sum_to(const array& g, const Shape& shape);
// What a rule that pairs without conjugation, sum g y, says of cotangents that come back adjoint,
// see Elementwise::pulled.
std::vector<Maybe> adjoint_of(VjpRule rule, const Call& call, std::span<const Maybe> cotangents);
// (B, s...) seen as (B, 1, ..., s...) with `rank` axes after the batch.
array align_batch(const array& x, size_t rank);
// Every mapped input seen with the axes of the longest one behind its batch.
Arrays align_batches(std::span<const array> in, const Batch& batch);
// x with the batch as axis 0, repeated where it was not mapped.
array batched(const array& x, bool mapped, int64_t size);
// The value under another name; `stop` cuts derivatives.
array alias(const array& a, bool stop = false);
int normalize_axis(const char* op, int axis, size_t ndim);
// A bool mask has a's first axes. Throws ValueError or ShapeError.
void check_mask(const char* op, const array& a, const array& mask);
// Sorted, unique, non-negative. Throws ShapeError.
Axes normalize_axes(const char* op, const std::vector<int>& axes, size_t ndim);
// Broadcast for an operation: its name stands in the error. Throws ShapeError.
Shape broadcast_for(const char* op, const Shape& a, const Shape& b);

template <class T>
concept NoGrad = requires {
  requires std::same_as<typename T::grad, none>;
};

// The op of a struct: one object, one address.
template <class T>
inline constexpr Op op_of = T::Kind::template rules<T>();

// --- elementwise

namespace detail {
template <class T>
concept Grad1 = requires(array x) {
  { T::grad(x, x, x) } -> std::same_as<array>;
};
template <class T>
concept Grad2 = requires(array x) {
  { T::grad(x, x, x, x) } -> std::same_as<pair<array>>;
};
// What a function of a complex number that is no derivative times the tangent says of itself.
template <class T>
concept OfComplexParts = requires(array x) {
  { T::complex_grad(x, x, x) } -> std::same_as<array>;
  { T::complex_tangent(x, x, x) } -> std::same_as<array>;
};
template <class T>
constexpr bool has_grad() {
  if constexpr (NoGrad<T>)
    return true;
  else if constexpr (T::spec.types == Types::complex)
    return OfComplexParts<T>;
  else if constexpr (T::arity == 1)
    return Grad1<T>;
  else
    return Grad2<T>;
}
template <class T>
concept SaysCheap = requires {
  { T::cheap } -> std::convertible_to<bool>;
};
inline bool differentiable(const array& a) { return issubdtype(a.dtype(), inexact); }
}  // namespace detail

struct Elementwise {
  template <class T>
  static constexpr Op rules() {
    static_assert(detail::has_grad<T>(),
                  "an elementwise op needs `grad(g, y, x...)`, or `using grad = none;`");
    Op op{.name = T::spec.name, .kind = Kind::elementwise, .doc = T::spec.doc};
    op.infer = &infer<T>;
    op.vmap = &vmap<T>;
    op.cheap = detail::SaysCheap<T>;
    op.in_place = true;
    if constexpr (!NoGrad<T>) {
      op.vjp = &vjp<T>;
      op.jvp = &jvp<T>;
    }
    return op;
  }

  // The result's dtype for operands in the op's domain.
  template <class T>
  static constexpr Dtype result(Dtype t) {
    using R1 = decltype([] {
      if constexpr (T::arity == 1) {
        if constexpr (T::spec.types == Types::complex)
          return T::value(c64());
        else if constexpr (T::spec.types == Types::boolean)
          return T::value(true);
        else if constexpr (T::spec.types == Types::integral)
          return T::value(int());
        else
          return T::value(float());
      } else if constexpr (T::arity == 2) {
        if constexpr (T::spec.types == Types::boolean)
          return T::value(true, true);
        else if constexpr (T::spec.types == Types::integral)
          return T::value(int(), int());
        else
          return T::value(float(), float());
      }
    }());
    if constexpr (std::same_as<R1, bool>) return bool_;
    if constexpr (T::arity == 1 && T::spec.types >= Types::number) {
      if constexpr (T::spec.types != Types::real && T::spec.types != Types::floating) {
        if constexpr (std::same_as<decltype(T::value(c64())), float>)
          if (t == complex64) return float32;
      }
    }
    return t;
  }

  template <class T>
  static ArraySpec infer(const Params&, std::span<const array> in) {
    Shape shape = in[0].shape();
    for (size_t i = 1; i < in.size(); ++i)
      shape = broadcast_for(T::spec.name, shape, in[i].shape());
    return {std::move(shape), T::arity == 3 ? in[1].dtype() : result<T>(in[0].dtype())};
  }

  template <class T>
  static std::vector<array> factors(const Call& call, const array& g) {
    if constexpr (T::spec.types == Types::complex) {
      return {T::complex_grad(g, call.out[0], call.in[0])};
    } else if constexpr (T::arity == 1) {
      return {T::grad(g, call.out[0], call.in[0])};
    } else if constexpr (T::arity == 2) {
      auto [a, b] = T::grad(g, call.out[0], call.in[0], call.in[1]);
      return {a, b};
    } else {
      auto [a, b] = T::grad(g, call.in[0], call.in[1], call.in[2]);
      return {a, a, b};  // the condition has no derivative
    }
  }
  // A complex cotangent g stands for the real function Re(conj(g) y), as in MLX and PyTorch: it
  // comes back times the conjugate of the derivative.
  template <class T>
  static std::vector<array> pulled(const Call& call, const array& g) {
    if (call.in.back().dtype() != complex64) return factors<T>(call, g);
    if constexpr (detail::OfComplexParts<T>) {
      return {T::complex_grad(g, call.out[0], call.in[0])};
    } else {
      auto all = factors<T>(call, conjugate(g));
      for (auto& x : all) x = conjugate(x);
      return all;
    }
  }
  template <class T>
  static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents) {
    if (!cotangents[0]) return std::vector<Maybe>(call.in.size());
    auto all = pulled<T>(call, *cotangents[0]);
    std::vector<Maybe> result(call.in.size());
    for (size_t i = T::arity == 3; i < call.in.size(); ++i)
      if (detail::differentiable(call.in[i])) result[i] = sum_to(all[i], call.in[i].shape());
    return result;
  }
  template <class T>
  static std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents) {
    if constexpr (detail::OfComplexParts<T>) {
      if (!tangents[0]) return {Maybe{}};
      if (call.in[0].dtype() == complex64)
        return {T::complex_tangent(*tangents[0], call.out[0], call.in[0])};
    }
    Maybe sum;
    for (size_t i = T::arity == 3; i < call.in.size(); ++i) {
      if (!tangents[i]) continue;
      array term = factors<T>(call, *tangents[i])[i];
      sum = sum ? *sum + term : term;
    }
    if (sum && sum->shape() != call.out[0].shape()) sum = broadcast_to(*sum, call.out[0].shape());
    return {sum};
  }
  template <class T>
  static Arrays vmap(const Params& p, std::span<const array> in, const Batch& batch) {
    return {record(op_of<T>, p, align_batches(in, batch), {})};
  }
};

// Records T on operands that are already in its domain and of one dtype.
template <class T>
array apply(StreamOrDevice s, array a) {
  Shape shape = a.shape();
  Dtype t = Elementwise::result<T>(a.dtype());
  return record(op_of<T>, {}, Inputs(std::move(a)), std::move(shape), t, s);
}
template <class T>
array apply(StreamOrDevice s, array a, array b) {
  Shape shape =
      a.shape() == b.shape() ? a.shape() : broadcast_for(T::spec.name, a.shape(), b.shape());
  Dtype t = Elementwise::result<T>(a.dtype());
  return record(op_of<T>, {}, Inputs(std::move(a), std::move(b)), std::move(shape), t, s);
}
// The same after promotion.
template <class T>
array elementwise(StreamOrDevice s, const array& a) {
  return apply<T>(s, astype(a, domain(T::spec.name, T::spec.types, a.dtype()), s));
}
template <class T>
array elementwise(StreamOrDevice s, const array& a, const array& b) {
  Dtype t = domain(T::spec.name, T::spec.types, result_type(a, b));
  return apply<T>(s, astype(a, t, s), astype(b, t, s));
}

// Casts and copies are elementwise as well, with a table of their own.
struct AsType {
  struct P {
    Dtype dtype{};
    TARN_FIELDS(dtype)
  };
};
struct Copy {};
extern const Op as_type_op, copy_op;

// Of sort and argsort. With kth, which is not negative then, only as far as that its element stands
// where sorting would put it and those that belong before it do; on either side they stay in the
// order in which they came.
struct SortParams {
  int axis = 0;
  int kth = -1;
  TARN_FIELDS(axis, kth)
};

// --- the other kinds: an op is a struct with a Spec and the rules that are peculiar to it

template <class T>
concept HasShape = requires(const Params& p, std::span<const array> in) {
  { T::infer(p, in) } -> std::same_as<ArraySpec>;
};
template <class T>
concept HasTranspose = requires(const Call& c, const array& g) {
  { T::transpose(c, g) } -> std::same_as<std::vector<Maybe>>;
};
template <class T>
concept HasVjp = requires(const Call& c, std::span<const Maybe> g) {
  { T::vjp(c, g) } -> std::same_as<std::vector<Maybe>>;
};
template <class T>
concept HasJvp = requires(const Call& c, std::span<const Maybe> t) {
  { T::jvp(c, t) } -> std::same_as<std::vector<Maybe>>;
};
template <class T>
concept HasVmap = requires(const Params& p, std::span<const array> in, const Batch& b) {
  { T::vmap(p, in, b) } -> std::same_as<Arrays>;
};
template <class T>
concept HasExpand = requires(const Params& p, std::span<const array> in) {
  { T::expand(p, in) } -> std::same_as<Arrays>;
};
template <class T>
concept HasView = requires(const Params& p, const Layout& l) {
  { T::view(p, l) } -> std::same_as<std::optional<Layout>>;
};

namespace detail {

template <class T>
constexpr Op named(Kind kind) {
  Op op{.name = T::spec.name, .kind = kind, .doc = T::spec.doc};
  if constexpr (HasShape<T>) op.infer = &T::infer;
  if constexpr (HasVmap<T>) op.vmap = &T::vmap;
  if constexpr (HasExpand<T>) op.expand = &T::expand;
  if constexpr (HasView<T>) op.view = &T::view;
  if constexpr (HasVjp<T>) op.vjp = &T::vjp;
  if constexpr (HasJvp<T>) op.jvp = &T::jvp;
  if constexpr (requires { &T::resize; }) op.resize = &T::resize;
  if constexpr (requires { typename T::P; }) op.params = &Params::type<typename T::P>;
  return op;
}

// Cotangents of a linear op from its transpose.
template <class T>
std::vector<Maybe> vjp_of_linear(const Call& call, std::span<const Maybe> cotangents) {
  if (!cotangents[0]) return std::vector<Maybe>(call.in.size());
  return T::transpose(call, *cotangents[0]);
}
// The same where the coefficients may be complex.
template <class T>
std::vector<Maybe> vjp_of_product(const Call& call, std::span<const Maybe> cotangents) {
  return adjoint_of(&vjp_of_linear<T>, call, cotangents);
}
// A linear op's tangent is the op on the tangents: of its first `T::linear` inputs (0: of all).
template <class T>
std::vector<Maybe> jvp_of_linear(const Call& call, std::span<const Maybe> tangents) {
  size_t n = T::linear == 0 ? call.in.size() : static_cast<size_t>(T::linear);
  bool any = false;
  for (size_t i = 0; i < n; ++i) any |= tangents[i].has_value();
  if (!any) return {Maybe{}};
  std::vector<array> in(call.in.begin(), call.in.end());
  for (size_t i = 0; i < n; ++i) in[i] = tangents[i] ? *tangents[i] : zeros_like(in[i]);
  return {record(op_of<T>, call.params, std::move(in), {})};
}
// The product rule: one input replaced by its tangent at a time.
template <class T>
std::vector<Maybe> jvp_of_product(const Call& call, std::span<const Maybe> tangents) {
  Maybe sum;
  for (size_t i = 0; i < call.in.size(); ++i) {
    if (!tangents[i]) continue;
    std::vector<array> in(call.in.begin(), call.in.end());
    in[i] = *tangents[i];
    array term = record(op_of<T>, call.params, std::move(in), {});
    sum = sum ? *sum + term : term;
  }
  return {sum};
}

}  // namespace detail

struct Movement {
  template <class T>
  static constexpr Op rules() {
    static_assert(HasShape<T> && HasVmap<T>, "a movement op needs `infer` and `vmap`");
    static_assert(HasTranspose<T> || NoGrad<T>,
                  "a movement op needs `transpose`, or `using grad = none;`");
    Op op = detail::named<T>(Kind::movement);
    if constexpr (HasTranspose<T>) {
      op.vjp = &detail::vjp_of_linear<T>;
      if constexpr (!HasJvp<T>) op.jvp = &detail::jvp_of_linear<T>;
    }
    return op;
  }
};
struct Reduction {
  template <class T>
  static constexpr Op rules() {
    static_assert(HasShape<T> && HasVmap<T>, "a reduction needs `infer` and `vmap`");
    static_assert((HasVjp<T> && (HasJvp<T> || requires { T::linear; })) || NoGrad<T>,
                  "a reduction needs `vjp` and `jvp`, or `using grad = none;`");
    Op op = detail::named<T>(Kind::reduction);
    if constexpr (requires { T::linear; }) op.jvp = &detail::jvp_of_linear<T>;
    return op;
  }
};
struct Contraction {
  template <class T>
  static constexpr Op rules() {
    static_assert(HasShape<T> && HasVmap<T> && HasTranspose<T>,
                  "a contraction needs `infer`, `vmap` and `transpose`");
    Op op = detail::named<T>(Kind::contraction);
    op.vjp = &detail::vjp_of_product<T>;
    if constexpr (!HasJvp<T>) op.jvp = &detail::jvp_of_product<T>;
    return op;
  }
};
struct Fused {
  template <class T>
  static constexpr Op rules() {
    static_assert(HasShape<T> && HasExpand<T>, "a fused op needs `infer` and `expand`");
    return detail::named<T>(Kind::fused);
  }
};
struct Source {
  template <class T>
  static constexpr Op rules() {
    static_assert(HasShape<T>, "a source needs `infer`");
    return detail::named<T>(Kind::source);
  }
};

}  // namespace tarn::ops
