// Ops that fold an axis: reductions (axes stay, with size 1) and scans.
#pragma once

#include "ops/kinds.h"

namespace tarn::ops {

struct ReduceParams {
  Axes axes{};
  TARN_FIELDS(axes)
};
struct ScanParams {
  int axis = 0;
  bool reverse = false, inclusive = true;
  TARN_FIELDS(axis, reverse, inclusive)
};
struct ArgParams {
  int axis = 0;
  TARN_FIELDS(axis)
};

#define TARN_RULES                                                         \
  using Kind = Reduction;                                                  \
  static ArraySpec infer(const Params& params, std::span<const array> in); \
  static Arrays vmap(const Params& params, std::span<const array> in, const Batch& batch);
#define TARN_VJP static std::vector<Maybe> vjp(const Call& call, std::span<const Maybe> cotangents);
#define TARN_JVP static std::vector<Maybe> jvp(const Call& call, std::span<const Maybe> tangents);

struct Sum {
  static constexpr Spec spec{"sum", Types::number, "The sum over axes."};
  using P = ReduceParams;
  static constexpr int linear = 1;
  TARN_RULES TARN_VJP
};
struct Prod {
  static constexpr Spec spec{"prod", Types::number, "The product over one axis."};
  using P = ReduceParams;
  TARN_RULES TARN_VJP TARN_JVP
};
struct Max {
  static constexpr Spec spec{"max", Types::number, "The largest over axes; NaN wins."};
  using P = ReduceParams;
  TARN_RULES TARN_VJP TARN_JVP
};
struct Min {
  static constexpr Spec spec{"min", Types::number, "The smallest over axes; NaN wins."};
  using P = ReduceParams;
  TARN_RULES TARN_VJP TARN_JVP
};
struct All {
  static constexpr Spec spec{"all", Types::boolean, "True where every element is."};
  using P = ReduceParams;
  using grad = none;
  TARN_RULES
};
struct Any {
  static constexpr Spec spec{"any", Types::boolean, "True where some element is."};
  using P = ReduceParams;
  using grad = none;
  TARN_RULES
};
struct ArgMax {
  static constexpr Spec spec{"argmax", Types::number, "The index of the first largest."};
  using P = ArgParams;
  using grad = none;
  TARN_RULES
};
struct ArgMin {
  static constexpr Spec spec{"argmin", Types::number, "The index of the first smallest."};
  using P = ArgParams;
  using grad = none;
  TARN_RULES
};
struct CumSum {
  static constexpr Spec spec{"cumsum", Types::number, "Running sums."};
  using P = ScanParams;
  static constexpr int linear = 1;
  TARN_RULES TARN_VJP
};
struct CumProd {
  static constexpr Spec spec{"cumprod", Types::number, "Running products."};
  using P = ScanParams;
  TARN_RULES TARN_VJP TARN_JVP
};
struct CumMax {
  static constexpr Spec spec{"cummax", Types::real, "Running maxima; NaN wins."};
  using P = ScanParams;
  TARN_RULES TARN_VJP TARN_JVP
};
struct CumMin {
  static constexpr Spec spec{"cummin", Types::real, "Running minima; NaN wins."};
  using P = ScanParams;
  TARN_RULES TARN_VJP TARN_JVP
};
struct LogCumSumExp {
  static constexpr Spec spec{"logcumsumexp", Types::floating, "log of running sums of exp.", 1e-5};
  using P = ScanParams;
  TARN_RULES TARN_VJP TARN_JVP
};
// h[i] = a[i] h[i - 1] + b[i] along an axis, h[-1] = 0; in reverse h[i] = a[i] h[i + 1] + b[i]. The
// derivative of a running product is one, and its own derivative is one again: right where
// elements are zero, to every order.
struct LinearRecurrence {
  static constexpr Spec spec{"linear_recurrence", Types::inexact, "h = a h + b along an axis."};
  struct P {
    int axis = 0;
    bool reverse = false;
    TARN_FIELDS(axis, reverse)
  };
  TARN_RULES TARN_VJP TARN_JVP
};

#undef TARN_RULES
#undef TARN_VJP
#undef TARN_JVP

using ReduceOps = List<Sum, Prod, Max, Min, All, Any>;
using ArgReduceOps = List<ArgMax, ArgMin>;
using ScanOps = List<CumSum, CumProd, CumMax, CumMin, LogCumSumExp, LinearRecurrence>;

}  // namespace tarn::ops
