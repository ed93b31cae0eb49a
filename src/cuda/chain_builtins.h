// The names of g++ that formulas use, for NVRTC, which has the functions under their plain names.
#pragma once

namespace tarn {
template <class A, class B>
inline constexpr bool are_same = false;
template <class A>
inline constexpr bool are_same<A, A> = true;
}  // namespace tarn
#define __is_same(...) ::tarn::are_same<__VA_ARGS__>
#define __builtin_inff() __int_as_float(0x7f800000)
#define __builtin_nanf(text) __int_as_float(0x7fffffff)
#define __builtin_inf() __longlong_as_double(0x7ff0000000000000ll)
#define __builtin_nan(text) __longlong_as_double(0x7fffffffffffffffll)
#define __builtin_sqrtf ::sqrtf
#define __builtin_asinf ::asinf
#define __builtin_acosf ::acosf
#define __builtin_atanf ::atanf
#define __builtin_atan2f ::atan2f
#define __builtin_asinhf ::asinhf
#define __builtin_acoshf ::acoshf
#define __builtin_atanhf ::atanhf
#define __builtin_powf ::powf
#define __builtin_fmodf ::fmodf
#define __builtin_hypotf ::hypotf
#define __builtin_fabs ::fabs
#define __builtin_sqrt ::sqrt
#define __builtin_rint ::rint
#define __builtin_floor ::floor
#define __builtin_ceil ::ceil
#define __builtin_trunc ::trunc
#define __builtin_exp ::exp
#define __builtin_expm1 ::expm1
#define __builtin_log ::log
#define __builtin_log2 ::log2
#define __builtin_log10 ::log10
#define __builtin_log1p ::log1p
#define __builtin_sin ::sin
#define __builtin_cos ::cos
#define __builtin_tan ::tan
#define __builtin_asin ::asin
#define __builtin_acos ::acos
#define __builtin_atan ::atan
#define __builtin_atan2 ::atan2
#define __builtin_sinh ::sinh
#define __builtin_cosh ::cosh
#define __builtin_tanh ::tanh
#define __builtin_asinh ::asinh
#define __builtin_acosh ::acosh
#define __builtin_atanh ::atanh
#define __builtin_erf ::erf
#define __builtin_pow ::pow
#define __builtin_fmod ::fmod
