// The 14 element types and the rules that relate them.
#pragma once

#include <complex>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <type_traits>

namespace tarn {

// IEEE binary16, stored; arithmetic goes through float and rounds to nearest even on store.
struct float16_t {
  uint16_t bits = 0;
  float16_t() = default;
  float16_t(float value);
  operator float() const;
};

// The upper half of a float, rounded to nearest even.
struct bfloat16_t {
  uint16_t bits = 0;
  bfloat16_t() = default;
  bfloat16_t(float value);
  operator float() const { return __builtin_bit_cast(float, uint32_t{bits} << 16); }
};

using complex64_t = std::complex<float>;

struct Dtype {
  // clang-format off
  enum class Val : uint8_t {
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, float32, float64, bfloat16, complex64,
  };
  enum class Kind : char { b = 'b', u = 'u', i = 'i', f = 'f', c = 'c', V = 'V' };
  // clang-format on
  enum class Category {
    complexfloating,
    floating,
    inexact,
    signedinteger,
    unsignedinteger,
    integer,
    number,
    generic,
  };

  Val val = Val::float32;
  uint8_t size = 4;  // bytes an element

  constexpr Dtype() = default;
  constexpr Dtype(Val v, uint8_t bytes) : val(v), size(bytes) {}
  constexpr operator Val() const { return val; }
  friend constexpr bool operator==(Dtype a, Dtype b) { return a.val == b.val; }
};

inline constexpr int dtype_count = 14;
inline constexpr Dtype bool_{Dtype::Val::bool_, 1};
inline constexpr Dtype uint8{Dtype::Val::uint8, 1};
inline constexpr Dtype uint16{Dtype::Val::uint16, 2};
inline constexpr Dtype uint32{Dtype::Val::uint32, 4};
inline constexpr Dtype uint64{Dtype::Val::uint64, 8};
inline constexpr Dtype int8{Dtype::Val::int8, 1};
inline constexpr Dtype int16{Dtype::Val::int16, 2};
inline constexpr Dtype int32{Dtype::Val::int32, 4};
inline constexpr Dtype int64{Dtype::Val::int64, 8};
inline constexpr Dtype float16{Dtype::Val::float16, 2};
inline constexpr Dtype float32{Dtype::Val::float32, 4};
inline constexpr Dtype float64{Dtype::Val::float64, 8};
inline constexpr Dtype bfloat16{Dtype::Val::bfloat16, 2};
inline constexpr Dtype complex64{Dtype::Val::complex64, 8};

inline constexpr Dtype::Category complexfloating = Dtype::Category::complexfloating;
inline constexpr Dtype::Category floating = Dtype::Category::floating;
inline constexpr Dtype::Category inexact = Dtype::Category::inexact;
inline constexpr Dtype::Category signedinteger = Dtype::Category::signedinteger;
inline constexpr Dtype::Category unsignedinteger = Dtype::Category::unsignedinteger;
inline constexpr Dtype::Category integer = Dtype::Category::integer;
inline constexpr Dtype::Category number = Dtype::Category::number;
inline constexpr Dtype::Category generic = Dtype::Category::generic;

// The dtype both operands are brought to. Order does not matter: bool gives way to all, integers to
// floats, float16 with bfloat16 gives float32, uint64 with a signed integer gives float32.
Dtype promote_types(Dtype a, Dtype b);
bool issubdtype(Dtype a, Dtype b);
bool issubdtype(Dtype a, Dtype::Category b);
bool issubdtype(Dtype::Category a, Dtype b);
bool issubdtype(Dtype::Category a, Dtype::Category b);
constexpr uint8_t size_of(Dtype t) { return t.size; }
Dtype::Kind kindof(Dtype t);
const char* name_of(Dtype t);
std::ostream& operator<<(std::ostream& out, Dtype t);
std::ostream& operator<<(std::ostream& out, Dtype::Kind k);
// 1+2j; the standard library would print (1,2).
std::ostream& operator<<(std::ostream& out, complex64_t v);
std::ostream& operator<<(std::ostream& out, float16_t v);
std::ostream& operator<<(std::ostream& out, bfloat16_t v);

// The dtype of a C++ number; as in MLX a double literal makes a float32 array.
template <class T>
constexpr Dtype dtype_of_literal() {
  if constexpr (std::is_same_v<T, bool>)
    return bool_;
  else if constexpr (std::is_same_v<T, float16_t>)
    return float16;
  else if constexpr (std::is_same_v<T, bfloat16_t>)
    return bfloat16;
  else if constexpr (std::is_floating_point_v<T>)
    return float32;
  else if constexpr (std::is_same_v<T, complex64_t> || std::is_same_v<T, std::complex<double>>)
    return complex64;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 1)
    return std::is_signed_v<T> ? int8 : uint8;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 2)
    return std::is_signed_v<T> ? int16 : uint16;
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 4)
    return std::is_signed_v<T> ? int32 : uint32;
  else {
    static_assert(std::is_integral_v<T> && sizeof(T) == 8, "not a number that an array can hold");
    return std::is_signed_v<T> ? int64 : uint64;
  }
}
// MLX's spelling: `dtype = TypeToDtype<T>()`.
template <class T>
struct TypeToDtype {
  constexpr operator Dtype() const { return dtype_of_literal<T>(); }
};

// A number the array constructors and operators take.
template <class T>
concept Number = std::is_arithmetic_v<T> || std::is_same_v<T, float16_t> ||
    std::is_same_v<T, bfloat16_t> || std::is_same_v<T, complex64_t>;

// Calls f(T{}) with the C++ type that stores `t`.
template <class F>
decltype(auto) visit_dtype(Dtype t, F&& f) {
  switch (t.val) {
    case Dtype::Val::bool_:
      return f(bool{});
    case Dtype::Val::uint8:
      return f(uint8_t{});
    case Dtype::Val::uint16:
      return f(uint16_t{});
    case Dtype::Val::uint32:
      return f(uint32_t{});
    case Dtype::Val::uint64:
      return f(uint64_t{});
    case Dtype::Val::int8:
      return f(int8_t{});
    case Dtype::Val::int16:
      return f(int16_t{});
    case Dtype::Val::int32:
      return f(int32_t{});
    case Dtype::Val::int64:
      return f(int64_t{});
    case Dtype::Val::float16:
      return f(float16_t{});
    case Dtype::Val::float64:
      return f(double{});
    case Dtype::Val::bfloat16:
      return f(bfloat16_t{});
    case Dtype::Val::complex64:
      return f(complex64_t{});
    case Dtype::Val::float32:
      break;
  }
  return f(float{});
}

}  // namespace tarn
