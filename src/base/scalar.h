// Functions of numbers that every reader of a formula agrees on: g++, clang++, nvcc and NVRTC.
// Includes nothing. The float functions have no branch, table or call, so loops over them become
// SIMD; errors are at most 2 ULP unless said otherwise. double goes to the C library.
#pragma once

#if defined(__CUDACC__)
#define TARN_FN __host__ __device__ __forceinline__
#else
#define TARN_FN [[gnu::always_inline]] inline
#endif

namespace tarn::math {

// One word for "if" that arrays can overload (as where).
template <class T>
TARN_FN constexpr T select(bool c, T a, T b) {
  return c ? a : b;
}
// The larger; NaN when either is NaN.
template <class T>
TARN_FN constexpr T max(T a, T b) {
  return ((a > b) | (a != a)) ? a : b;
}
template <class T>
TARN_FN constexpr T min(T a, T b) {
  return ((a < b) | (a != a)) ? a : b;
}
// A literal in the type of `like`; arrays overload it, so that a float64 derivative stays float64.
template <class T>
TARN_FN constexpr T constant(T, double c) {
  return static_cast<T>(c);
}

// A complex number of two floats, laid out as std::complex<float>.
struct c64 {
  float re = 0, im = 0;
};

namespace bits {
TARN_FN unsigned of(float x) { return __builtin_bit_cast(unsigned, x); }
TARN_FN float to(unsigned x) { return __builtin_bit_cast(float, x); }
}  // namespace bits

TARN_FN float abs(float x) { return bits::to(bits::of(x) & 0x7fffffffu); }
TARN_FN float copysign(float x, float s) {
  return bits::to((bits::of(x) & 0x7fffffffu) | (bits::of(s) & 0x80000000u));
}
TARN_FN bool isnan(float x) { return x != x; }
TARN_FN bool isinf(float x) { return abs(x) == __builtin_inff(); }
TARN_FN float sqrt(float x) { return __builtin_sqrtf(x); }
TARN_FN float fma(float a, float b, float c) { return a * b + c; }

// Rounding: |x| < 2^23 goes through the sum with 2^23, everything larger is an integer already.
TARN_FN float rint(float x) {
  const float magic = 8388608.f;
  float a = abs(x), r = (a + magic) - magic;
  return copysign(a < magic ? r : a, x);
}
TARN_FN float floor(float x) {
  float r = rint(x);
  return copysign(r > x ? r - 1.f : r, x);
}
TARN_FN float ceil(float x) {
  float r = rint(x);
  return copysign(r < x ? r + 1.f : r, x);
}
TARN_FN float trunc(float x) {
  float a = abs(x), r = rint(a);
  return copysign(r > a ? r - 1.f : r, x);
}

// 2^n for an integer n in [-150, 129], in two factors so that subnormals come out right.
TARN_FN float scale_by_power(float p, int n) {
  int h = n >> 1;
  return p * bits::to(static_cast<unsigned>(h + 127) << 23) *
         bits::to(static_cast<unsigned>(n - h + 127) << 23);
}
// exp(x): x = n ln 2 + r, then a polynomial of degree 7 in r (Cephes expf coefficients).
TARN_FN float exp(float x) {
  const float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  x = x > 89.f ? 89.f : x;
  x = x < -104.f ? -104.f : x;  // NaN passes both
  float t = x * 1.44269504088896341f + magic;
  float n = t - magic;
  float r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  return scale_by_power(p, static_cast<int>(bits::of(t)) - static_cast<int>(bits::of(magic)));
}
// log(x): mantissa in [sqrt(1/2), sqrt 2), Cephes logf polynomial.
TARN_FN float log(float x) {
  bool tiny = x < 1.17549435e-38f;
  float y = tiny ? x * 8388608.f : x;
  unsigned u = bits::of(y) - 0x3f3504f3u;
  float e = static_cast<float>(static_cast<int>(u) >> 23) - (tiny ? 23.f : 0.f);
  float m = bits::to((u & 0x007fffffu) + 0x3f3504f3u) - 1.f;
  float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  p = p * m * z + e * -2.12194440e-4f - 0.5f * z;
  float r = m + p + e * 0.693359375f;
  r = x > 0.f ? r : (x == 0.f ? -__builtin_inff() : __builtin_nanf(""));
  return x == __builtin_inff() ? x : r;
}
TARN_FN float log2(float x) { return log(x) * 1.44269504088896341f; }
TARN_FN float log10(float x) { return log(x) * 0.434294481903251828f; }
// Kahan's correction of log(1 + x): one division, exact where 1 + x rounds to 1.
TARN_FN float log1p(float x) {
  float u = 1.f + x, d = u - 1.f;
  float l = log(u);
  float r = d == 0.f ? x : l * (x / d);
  return ((u == __builtin_inff()) | (u <= 0.f)) ? l : r;
}
// exp(x) - 1: a polynomial below 1/2, the difference above.
TARN_FN float expm1(float x) {
  float p = 1.98412698e-4f;
  p = p * x + 1.38888889e-3f;
  p = p * x + 8.33333333e-3f;
  p = p * x + 4.16666667e-2f;
  p = p * x + 1.66666667e-1f;
  p = p * x + 0.5f;
  float small = p * x * x + x;
  return abs(x) < 0.35f ? small : exp(x) - 1.f;
}
TARN_FN float tanh(float x) {
  float a = abs(x), z = x * x;
  float big = 1.f - 2.f / (exp(a + a) + 1.f);
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  float small = p * z * x + x;
  return a < 0.625f ? small : copysign(big, x);
}
TARN_FN float sinh(float x) {
  float z = x * x, p = 2.03721912945e-4f;
  p = p * z + 8.33028376239e-3f;
  p = p * z + 1.66667160211e-1f;
  float small = p * z * x + x;
  float e = exp(abs(x) * 0.5f);  // halved, so that it does not overflow before the result does
  float big = copysign(0.5f * e * e - 0.5f / (e * e), x);
  return abs(x) < 1.f ? small : big;
}
TARN_FN float cosh(float x) {
  float e = exp(abs(x) * 0.5f);
  return 0.5f * e * e + 0.5f / (e * e);
}
// erf by two polynomials of N. Juffa's fit, split at 0.9277.
TARN_FN float erf(float x) {
  float t = abs(x), s = x * x;
  float r = -1.72853470e-5f * t + 3.83197126e-4f;
  float u = -3.88396438e-3f * t + 2.42546219e-2f;
  r = r * s + u;
  r = r * t - 1.06777877e-1f;
  r = r * t - 6.34846687e-1f;
  r = r * t - 1.28717512e-1f;
  r = r * t - t;
  float big = copysign(1.f - exp(r), x);
  float q = -5.96761703e-4f;
  q = q * s + 4.99119423e-3f;
  q = q * s - 2.67681349e-2f;
  q = q * s + 1.12819925e-1f;
  q = q * s - 3.76125336e-1f;
  q = q * s + 1.28379166e-1f;
  q = q * x + x;
  return t > 0.927734375f ? big : q;
}
// erfinv by two polynomials in log(1 - x^2) (N. Juffa's fit, the one MLX uses).
TARN_FN float erfinv(float a) {
  float t = log(1.f - a * a);
  float p = 3.03697567e-10f;
  p = p * t + 2.93243101e-8f;
  p = p * t + 1.22150334e-6f;
  p = p * t + 2.84108955e-5f;
  p = p * t + 3.93552968e-4f;
  p = p * t + 3.02698812e-3f;
  p = p * t + 4.83185798e-3f;
  p = p * t - 2.64646143e-1f;
  p = p * t + 8.40016484e-1f;
  float q = 5.43877832e-9f;
  q = q * t + 1.43286059e-7f;
  q = q * t + 1.22775396e-6f;
  q = q * t + 1.12962631e-7f;
  q = q * t - 5.61531961e-5f;
  q = q * t - 1.47697705e-4f;
  q = q * t + 2.31468701e-3f;
  q = q * t + 1.15392562e-2f;
  q = q * t - 2.32015476e-1f;
  q = q * t + 8.86226892e-1f;
  return a * (abs(t) > 6.125f ? p : q);
}
// sin and cos: the reduction modulo pi/2 is done in double, which keeps 2 ULP up to |x| = 1e8 and
// an absolute error of |x| * 1e-16 beyond.
struct Angle {
  float sine, cosine;
  int quadrant;
};
TARN_FN Angle reduce_angle(float x) {
  const double magic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  double t = static_cast<double>(x) * 0.63661977236758138 + magic, n = t - magic;
  int q = static_cast<int>(__builtin_bit_cast(unsigned long, t) & 3u);
  auto r = static_cast<float>((static_cast<double>(x) - n * 1.5707963267948966) -
                              n * 6.123233995736766e-17);
  r = r > 0.79f ? 0.79f
                : r;  // above 2^51 nothing is left of the angle; the result stays in [-1, 1]
  r = r < -0.79f ? -0.79f : r;
  float z = r * r;
  float s = -1.9515295891e-4f;
  s = s * z + 8.3321608736e-3f;
  s = s * z - 1.6666654611e-1f;
  s = s * z * r + r;
  float c = 2.443315711809948e-5f;
  c = c * z - 1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * z * z - 0.5f * z + 1.f;
  return {s, c, q};
}
TARN_FN float sin(float x) {
  Angle a = reduce_angle(x);
  float v = a.quadrant & 1 ? a.cosine : a.sine;
  v = a.quadrant & 2 ? -v : v;
  return x - x == 0.f ? v : x - x;  // an infinity gives NaN
}
TARN_FN float cos(float x) {
  Angle a = reduce_angle(x);
  float v = a.quadrant & 1 ? a.sine : a.cosine;
  v = (a.quadrant + 1) & 2 ? -v : v;
  return x - x == 0.f ? v : x - x;
}
TARN_FN float tan(float x) { return sin(x) / cos(x); }
// The inverse functions and powers are rare in models; they call the C library.
TARN_FN float asin(float x) { return __builtin_asinf(x); }
TARN_FN float acos(float x) { return __builtin_acosf(x); }
TARN_FN float atan(float x) { return __builtin_atanf(x); }
TARN_FN float atan2(float y, float x) { return __builtin_atan2f(y, x); }
TARN_FN float asinh(float x) { return __builtin_asinhf(x); }
TARN_FN float acosh(float x) { return __builtin_acoshf(x); }
TARN_FN float atanh(float x) { return __builtin_atanhf(x); }
TARN_FN float pow(float x, float y) { return __builtin_powf(x, y); }
TARN_FN float fmod(float x, float y) { return __builtin_fmodf(x, y); }

TARN_FN double abs(double x) { return __builtin_fabs(x); }
TARN_FN double copysign(double x, double s) { return __builtin_copysign(x, s); }
TARN_FN bool isnan(double x) { return x != x; }
TARN_FN bool isinf(double x) { return __builtin_fabs(x) == __builtin_inf(); }
TARN_FN double sqrt(double x) { return __builtin_sqrt(x); }
TARN_FN double rint(double x) { return __builtin_rint(x); }
TARN_FN double floor(double x) { return __builtin_floor(x); }
TARN_FN double ceil(double x) { return __builtin_ceil(x); }
TARN_FN double trunc(double x) { return __builtin_trunc(x); }
TARN_FN double exp(double x) { return __builtin_exp(x); }
TARN_FN double expm1(double x) { return __builtin_expm1(x); }
TARN_FN double log(double x) { return __builtin_log(x); }
TARN_FN double log2(double x) { return __builtin_log2(x); }
TARN_FN double log10(double x) { return __builtin_log10(x); }
TARN_FN double log1p(double x) { return __builtin_log1p(x); }
TARN_FN double sin(double x) { return __builtin_sin(x); }
TARN_FN double cos(double x) { return __builtin_cos(x); }
TARN_FN double tan(double x) { return __builtin_tan(x); }
TARN_FN double asin(double x) { return __builtin_asin(x); }
TARN_FN double acos(double x) { return __builtin_acos(x); }
TARN_FN double atan(double x) { return __builtin_atan(x); }
TARN_FN double atan2(double y, double x) { return __builtin_atan2(y, x); }
TARN_FN double sinh(double x) { return __builtin_sinh(x); }
TARN_FN double cosh(double x) { return __builtin_cosh(x); }
TARN_FN double tanh(double x) { return __builtin_tanh(x); }
TARN_FN double asinh(double x) { return __builtin_asinh(x); }
TARN_FN double acosh(double x) { return __builtin_acosh(x); }
TARN_FN double atanh(double x) { return __builtin_atanh(x); }
TARN_FN double erf(double x) { return __builtin_erf(x); }
TARN_FN double pow(double x, double y) { return __builtin_pow(x, y); }
TARN_FN double fmod(double x, double y) { return __builtin_fmod(x, y); }
// Newton's steps from the float value reach double precision inside (-1, 1).
TARN_FN double erfinv(double a) {
  if (!(a > -1 && a < 1))
    return a == 1 ? __builtin_inf() : a == -1 ? -__builtin_inf() : __builtin_nan("");
  auto start = static_cast<float>(a);
  double x = erfinv(start >= 1.f ? 0.99999994f : start <= -1.f ? -0.99999994f : start);
  for (int i = 0; i < 4; ++i)
    x -= (__builtin_erf(x) - a) / (1.1283791670955126 * __builtin_exp(-x * x));
  return x;
}

TARN_FN c64 operator+(c64 a, c64 b) { return {a.re + b.re, a.im + b.im}; }
TARN_FN c64 operator-(c64 a, c64 b) { return {a.re - b.re, a.im - b.im}; }
TARN_FN c64 operator-(c64 a) { return {-a.re, -a.im}; }
TARN_FN c64 operator*(c64 a, c64 b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
TARN_FN float abs(c64 a) { return __builtin_hypotf(a.re, a.im); }
// Smith's division: no overflow unless the quotient overflows.
TARN_FN c64 operator/(c64 a, c64 b) {
  if (abs(b.re) >= abs(b.im)) {
    float r = b.im / b.re, d = b.re + b.im * r;
    return {(a.re + a.im * r) / d, (a.im - a.re * r) / d};
  }
  float r = b.re / b.im, d = b.re * r + b.im;
  return {(a.re * r + a.im) / d, (a.im * r - a.re) / d};
}
TARN_FN bool operator==(c64 a, c64 b) { return a.re == b.re && a.im == b.im; }
TARN_FN bool operator!=(c64 a, c64 b) { return !(a == b); }
// Lexicographic, as NumPy sorts complex numbers.
TARN_FN bool operator<(c64 a, c64 b) { return a.re < b.re || (a.re == b.re && a.im < b.im); }
TARN_FN bool operator>(c64 a, c64 b) { return b < a; }
TARN_FN bool operator<=(c64 a, c64 b) { return a < b || a == b; }
TARN_FN bool operator>=(c64 a, c64 b) { return b <= a; }
TARN_FN bool isnan(c64 a) { return isnan(a.re) || isnan(a.im); }
TARN_FN bool isinf(c64 a) { return isinf(a.re) || isinf(a.im); }
TARN_FN float arg(c64 a) { return atan2(a.im, a.re); }
TARN_FN c64 exp(c64 a) {
  float e = exp(a.re);
  return a.im == 0.f ? c64{e, a.im} : c64{e * cos(a.im), e * sin(a.im)};
}
TARN_FN c64 log(c64 a) { return {log(abs(a)), arg(a)}; }
TARN_FN c64 log2(c64 a) { return log(a) * c64{1.44269504088896341f, 0}; }
TARN_FN c64 log10(c64 a) { return log(a) * c64{0.434294481903251828f, 0}; }
TARN_FN c64 log1p(c64 a) { return log(a + c64{1, 0}); }
TARN_FN c64 expm1(c64 a) { return exp(a) - c64{1, 0}; }
TARN_FN c64 sqrt(c64 a) {
  float m = abs(a);
  if (m == 0.f) return {0, a.im};
  float r = sqrt(0.5f * (m + abs(a.re)));
  return a.re >= 0 ? c64{r, a.im / (2 * r)} : c64{abs(a.im) / (2 * r), copysign(r, a.im)};
}
TARN_FN c64 sin(c64 a) { return {sin(a.re) * cosh(a.im), cos(a.re) * sinh(a.im)}; }
TARN_FN c64 cos(c64 a) { return {cos(a.re) * cosh(a.im), -sin(a.re) * sinh(a.im)}; }
TARN_FN c64 tan(c64 a) { return sin(a) / cos(a); }
TARN_FN c64 sinh(c64 a) { return {sinh(a.re) * cos(a.im), cosh(a.re) * sin(a.im)}; }
TARN_FN c64 cosh(c64 a) { return {cosh(a.re) * cos(a.im), sinh(a.re) * sin(a.im)}; }
TARN_FN c64 tanh(c64 a) { return sinh(a) / cosh(a); }
TARN_FN c64 rint(c64 a) { return {rint(a.re), rint(a.im)}; }
TARN_FN c64 pow(c64 a, c64 b) {
  if (a.re == 0.f && a.im == 0.f) return b.re == 0.f && b.im == 0.f ? c64{1, 0} : c64{0, 0};
  return exp(b * log(a));
}

}  // namespace tarn::math
