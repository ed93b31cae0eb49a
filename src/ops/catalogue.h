// The elementwise operations as lists. Formulas only: the per-ISA units include this file.
#pragma once

#include "ops/binary.h"
#include "ops/unary.h"

namespace tarn::ops {

using UnaryOps = List<Negative, Abs, Sign, Square, Floor, Ceil, Trunc, Round, Exp, Expm1, Log, Log2,
                      Log10, Log1p, Sqrt, Rsqrt, Sin, Cos, Tan, ArcSin, ArcCos, ArcTan, Sinh, Cosh,
                      Tanh, ArcSinh, ArcCosh, ArcTanh, Sigmoid, Erf, ErfInv, Conjugate, Real, Imag,
                      LogicalNot, BitwiseInvert, IsNan, IsInf>;
using BinaryOps =
    List<Add, Subtract, Multiply, Divide, FloorDivide, Remainder, Power, Maximum, Minimum, ArcTan2,
         LogAddExp, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, LogicalAnd, LogicalOr,
         LogicalXor, BitwiseAnd, BitwiseOr, BitwiseXor, LeftShift, RightShift>;
using TernaryOps = List<Where>;

}  // namespace tarn::ops
