// Elementwise blocks, compiled once per instruction set (TARN_BLOCKS names the table).
//
// One formula a loop; the compiler vectorises it for the unit's flags. Formulas only are included:
// anything else compiled here could be picked by the linker for machines that lack these
// instructions. float16 and bfloat16 are converted to float and back by the casts.
#include "cpu/blocks.h"

#include "ops/catalogue.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define TARN_EACH_ELEMENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TARN_EACH_ELEMENT _Pragma("GCC ivdep")
#endif

namespace tarn::cpu {
namespace {

using namespace ops;
using u8 = unsigned char;
using u16 = unsigned short;

struct Half {
  u16 bits;
};
struct Bfloat {
  u16 bits;
};

// The type a loop loads and stores for a value type: bool as a byte, or g++ does not vectorise.
template <class T>
struct Stored {
  using type = T;
};
template <>
struct Stored<bool> {
  using type = u8;
};
template <class T>
using stored = typename Stored<T>::type;
template <class T>
TARN_FN T loaded(stored<T> x) {
  if constexpr (__is_same(T, bool))
    return x != 0;
  else
    return x;
}

template <class T, Types types>
constexpr bool in_domain() {
  constexpr bool complex = __is_same(T, c64);
  constexpr bool real = __is_same(T, float) || __is_same(T, double);
  constexpr bool boolean = __is_same(T, bool);
  switch (types) {
    case Types::boolean:
      return boolean;
    case Types::integral:
      return !real && !complex;
    case Types::real:
      return !complex;
    case Types::number:
      return true;
    case Types::floating:
      return real;
    case Types::inexact:
      return real || complex;
    case Types::complex:
      return complex;
  }
  return false;
}

template <class Op, class T>
void unary(const void* av, const void*, const void*, void* yv, size_t n) {
  using R = decltype(Op::value(T()));
  auto a = static_cast<const stored<T>*>(av);
  auto y = static_cast<stored<R>*>(yv);
  TARN_EACH_ELEMENT
  for (size_t i = 0; i < n; ++i) y[i] = Op::value(loaded<T>(a[i]));
}
template <class Op, class T>
void binary(const void* av, const void* bv, const void*, void* yv, size_t n) {
  using R = decltype(Op::value(T(), T()));
  auto a = static_cast<const stored<T>*>(av), b = static_cast<const stored<T>*>(bv);
  auto y = static_cast<stored<R>*>(yv);
  TARN_EACH_ELEMENT
  for (size_t i = 0; i < n; ++i) y[i] = Op::value(loaded<T>(a[i]), loaded<T>(b[i]));
}
template <class Op, class T>
void ternary(const void* cv, const void* av, const void* bv, void* yv, size_t n) {
  auto c = static_cast<const u8*>(cv);
  auto a = static_cast<const stored<T>*>(av), b = static_cast<const stored<T>*>(bv);
  auto y = static_cast<stored<T>*>(yv);
  TARN_EACH_ELEMENT
  for (size_t i = 0; i < n; ++i) y[i] = Op::value(c[i] != 0, loaded<T>(a[i]), loaded<T>(b[i]));
}

template <class Op, class T>
constexpr Block block_of() {
  if constexpr (!in_domain<T, Op::spec.types>())
    return nullptr;
  else if constexpr (Op::arity == 1)
    return &unary<Op, T>;
  else if constexpr (Op::arity == 2)
    return &binary<Op, T>;
  else
    return &ternary<Op, T>;
}

TARN_FN float widened(Half h) {
#if defined(__F16C__)
  return _cvtsh_ss(h.bits);
#else
  unsigned sign = (h.bits & 0x8000u) << 16, m = h.bits & 0x7fffu;
  float scaled = bits::to(m << 13) * 0x1p112f;
  unsigned finite = bits::of(scaled), infinite = 0x7f800000u | ((m & 0x3ffu) << 13);
  return bits::to(sign | (m >= 0x7c00u ? infinite : finite));
#endif
}
TARN_FN float widened(Bfloat b) { return bits::to(static_cast<unsigned>(b.bits) << 16); }
TARN_FN Half narrowed_half(float x) {
#if defined(__F16C__)
  // Not _cvtss_sh: clang makes it of a C99 literal, which -Wpedantic refuses.
  const __m128i rounded = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT);
  return {static_cast<u16>(_mm_cvtsi128_si32(rounded))};
#else
  unsigned v = bits::of(x), sign = (v >> 16) & 0x8000u;
  v &= 0x7fffffffu;
  unsigned small = bits::of(bits::to(v) + 0.5f) - 0x3f000000u;
  unsigned normal = (v + 0xfffu + ((v >> 13) & 1u) - 0x38000000u) >> 13;
  unsigned r = v < 0x38800000u ? small : normal;
  r = v >= 0x477ff000u ? 0x7c00u : r;
  r = v > 0x7f800000u ? 0x7e00u : r;
  return {static_cast<u16>(sign | r)};
#endif
}
TARN_FN Bfloat narrowed_bfloat(float x) {
  unsigned u = bits::of(x), r = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return {static_cast<u16>((u & 0x7fffffffu) > 0x7f800000u ? ((u >> 16) | 0x40u) : r)};
}

template <class From, class To>
TARN_FN To converted(From x) {
  if constexpr (__is_same(To, Half))
    return narrowed_half(x);
  else if constexpr (__is_same(To, Bfloat))
    return narrowed_bfloat(x);
  else if constexpr (__is_same(From, Half) || __is_same(From, Bfloat))
    return widened(x);
  else if constexpr (__is_same(From, To))
    return x;
  else if constexpr (__is_same(To, bool) && __is_same(From, c64))
    return x != c64{};
  else if constexpr (__is_same(From, c64))
    return static_cast<To>(x.re);
  else if constexpr (__is_same(To, c64))
    return c64{static_cast<float>(x), 0.f};
  else if constexpr (__is_same(To, bool))
    return x != From(0);
  else
    return static_cast<To>(x);
}
template <class From, class To>
void cast(const void* av, const void*, const void*, void* yv, size_t n) {
  auto a = static_cast<const stored<From>*>(av);
  auto y = static_cast<stored<To>*>(yv);
  TARN_EACH_ELEMENT
  for (size_t i = 0; i < n; ++i) y[i] = converted<From, To>(loaded<From>(a[i]));
}
template <class From, class To>
constexpr Block cast_of() {
  constexpr bool half_in = __is_same(From, Half) || __is_same(From, Bfloat);
  constexpr bool half_out = __is_same(To, Half) || __is_same(To, Bfloat);
  if constexpr (half_in && !__is_same(To, float))
    return nullptr;
  else if constexpr (half_out && !__is_same(From, float))
    return nullptr;
  else
    return &cast<From, To>;
}

// The 14 columns, in the order of Dtype::Val.
template <class From>
constexpr BlockRow cast_row() {
  return {{cast_of<From, bool>(), cast_of<From, u8>(), cast_of<From, u16>(),
           cast_of<From, unsigned>(), cast_of<From, unsigned long>(), cast_of<From, signed char>(),
           cast_of<From, short>(), cast_of<From, int>(), cast_of<From, long>(),
           cast_of<From, Half>(), cast_of<From, float>(), cast_of<From, double>(),
           cast_of<From, Bfloat>(), cast_of<From, c64>()}};
}
template <class Op>
constexpr BlockRow row() {
  return {{block_of<Op, bool>(), block_of<Op, u8>(), block_of<Op, u16>(), block_of<Op, unsigned>(),
           block_of<Op, unsigned long>(), block_of<Op, signed char>(), block_of<Op, short>(),
           block_of<Op, int>(), block_of<Op, long>(), nullptr, block_of<Op, float>(),
           block_of<Op, double>(), nullptr, block_of<Op, c64>()}};
}

template <class L>
struct Rows;
template <class... Op>
struct Rows<List<Op...>> {
  static constexpr BlockRow of[] = {row<Op>()...};
};
constexpr BlockRow casts[] = {
    cast_row<bool>(),          cast_row<u8>(),          cast_row<u16>(),   cast_row<unsigned>(),
    cast_row<unsigned long>(), cast_row<signed char>(), cast_row<short>(), cast_row<int>(),
    cast_row<long>(),          cast_row<Half>(),        cast_row<float>(), cast_row<double>(),
    cast_row<Bfloat>(),        cast_row<c64>()};

}  // namespace

extern const Blocks TARN_BLOCKS;
constinit const Blocks TARN_BLOCKS{Rows<UnaryOps>::of, Rows<BinaryOps>::of, Rows<TernaryOps>::of,
                                   casts};

}  // namespace tarn::cpu
