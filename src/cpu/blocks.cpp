// Elementwise blocks, compiled once per instruction set (TARN_BLOCKS names the table).
//
// One formula a loop; the compiler vectorises it for the unit's flags. Formulas only are included:
// anything else compiled here could be picked by the linker for machines that lack these
// instructions. float16 and bfloat16 are converted to float and back by the casts.
#include "cpu/blocks.h"

#include "ops/catalogue.h"
#include "ops/columns.h"

#if defined(__clang__)
#define TARN_EACH_ELEMENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TARN_EACH_ELEMENT _Pragma("GCC ivdep")
#endif

namespace tarn::cpu {
namespace {

using namespace ops;

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
