#include "tarn/dtype.h"

#include <ostream>

#include "base/require.h"
#include "tarn/shape.h"

namespace tarn {
namespace {

using Cat = Dtype::Category;
using Val = Dtype::Val;

bool is_unsigned(Dtype t) { return t.val >= Val::uint8 && t.val <= Val::uint64; }
bool is_signed(Dtype t) { return t.val >= Val::int8 && t.val <= Val::int64; }
bool is_integer(Dtype t) { return is_unsigned(t) || is_signed(t); }
bool is_float(Dtype t) { return t.val >= Val::float16 && t.val <= Val::bfloat16; }

Dtype promote_integers(Dtype a, Dtype b) {
  if (is_unsigned(a) == is_unsigned(b)) return a.size >= b.size ? a : b;
  Dtype u = is_unsigned(a) ? a : b, s = is_unsigned(a) ? b : a;
  if (u.size < s.size) return s;
  if (u == uint64) return float32;
  return u == uint8 ? int16 : u == uint16 ? int32 : int64;
}

Dtype promote_floats(Dtype a, Dtype b) {
  if (a == b) return a;
  if (a == float64 || b == float64) return float64;
  return float32;  // float32 with a half, or the two halves with each other
}

Cat category_of(Dtype t) {
  if (t == complex64) return Cat::complexfloating;
  if (is_float(t)) return Cat::floating;
  if (is_signed(t)) return Cat::signedinteger;
  if (is_unsigned(t)) return Cat::unsignedinteger;
  return Cat::generic;
}

}  // namespace

float16_t::float16_t(float value) {
  auto x = __builtin_bit_cast(uint32_t, value);
  uint32_t sign = (x >> 16) & 0x8000u;
  x &= 0x7fffffffu;
  if (x > 0x7f800000u) {
    bits = static_cast<uint16_t>(sign | 0x7e00u);
  } else if (x >= 0x477ff000u) {  // 65520 and above round to infinity
    bits = static_cast<uint16_t>(sign | 0x7c00u);
  } else if (x < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the subnormal's bits at the end
    float magnitude = __builtin_bit_cast(float, x) + 0.5f;
    bits = static_cast<uint16_t>(sign | (__builtin_bit_cast(uint32_t, magnitude) - 0x3f000000u));
  } else {
    uint32_t rounded = x + 0xfffu + ((x >> 13) & 1u) - 0x38000000u;
    bits = static_cast<uint16_t>(sign | (rounded >> 13));
  }
}

float16_t::operator float() const {
  uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u)
    return __builtin_bit_cast(float, sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  // Multiplying by 2^112 moves the exponent and makes subnormals normal.
  float scaled = __builtin_bit_cast(float, magnitude << 13) * 0x1p112f;
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(uint32_t, scaled));
}

bfloat16_t::bfloat16_t(float value) {
  auto x = __builtin_bit_cast(uint32_t, value);
  if ((x & 0x7fffffffu) > 0x7f800000u)
    bits = static_cast<uint16_t>((x >> 16) | 0x40u);
  else
    bits = static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
}

Dtype promote_types(Dtype a, Dtype b) {
  if (a == b || b == bool_) return a;
  if (a == bool_) return b;
  if (a == complex64 || b == complex64) return complex64;
  if (is_integer(a) && is_integer(b)) return promote_integers(a, b);
  if (is_integer(a)) return b;
  if (is_integer(b)) return a;
  return promote_floats(a, b);
}

bool issubdtype(Cat a, Cat b) {
  if (a == b || b == Cat::generic) return true;
  switch (b) {
    case Cat::inexact:
      return a == Cat::floating || a == Cat::complexfloating;
    case Cat::integer:
      return a == Cat::signedinteger || a == Cat::unsignedinteger;
    case Cat::number:
      return a != Cat::generic;
    default:
      return false;
  }
}
bool issubdtype(Dtype a, Cat b) {
  return a == bool_ ? b == Cat::generic : issubdtype(category_of(a), b);
}
bool issubdtype(Cat, Dtype) { return false; }
bool issubdtype(Dtype a, Dtype b) { return a == b; }

Dtype::Kind kindof(Dtype t) {
  if (t == bool_) return Dtype::Kind::b;
  if (t == bfloat16) return Dtype::Kind::V;
  if (t == complex64) return Dtype::Kind::c;
  if (is_unsigned(t)) return Dtype::Kind::u;
  return is_signed(t) ? Dtype::Kind::i : Dtype::Kind::f;
}

const char* name_of(Dtype t) {
  constexpr const char* names[] = {"bool",    "uint8",   "uint16",   "uint32",   "uint64",
                                   "int8",    "int16",   "int32",    "int64",    "float16",
                                   "float32", "float64", "bfloat16", "complex64"};
  return names[static_cast<int>(t.val)];
}
std::ostream& operator<<(std::ostream& out, Dtype t) { return out << name_of(t); }
std::ostream& operator<<(std::ostream& out, Dtype::Kind k) { return out << static_cast<char>(k); }

std::ostream& operator<<(std::ostream& out, complex64_t v) {
  return out << fmt::format("{:.6g}{:+.6g}j", v.real(), v.imag());
}
std::ostream& operator<<(std::ostream& out, float16_t v) { return out << static_cast<float>(v); }
std::ostream& operator<<(std::ostream& out, bfloat16_t v) { return out << static_cast<float>(v); }

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (size_t i = 0; i < shape.size(); ++i) out << (i ? ", " : "") << shape[i];
  return out << (shape.size() == 1 ? ",)" : ")");
}

int normalize_axis_index(int axis, int ndim, const std::string& msg_prefix) {
  int a = axis < 0 ? axis + ndim : axis;
  require<ShapeError>(a >= 0 && a < ndim, "{}axis {} for an array with {} axes.", msg_prefix, axis,
                      ndim);
  return a;
}
int next_power_of_2(int n) {
  require<OverflowError>(n <= 1 << 30, "[next_power_of_2] {} is above 2^30.", n);
  int power = 1;
  while (power < n) power *= 2;
  return power;
}
void detail::refuse_cast(std::string_view op, const std::string& number) {
  fail<OverflowError>("[{}] {} is no size that a shape can hold: at most 2^63 - 1.",
                      op.empty() ? "safe_cast" : op, number);
}

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  if (a == b) return a;
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  size_t skip = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t m = out[skip + i], n = shorter[i];
    require<ShapeError>(m == n || m == 1 || n == 1,
                        "[broadcast_shapes] shapes {} and {} do not broadcast: sizes {} and {} "
                        "differ and neither is 1.",
                        text_of(a), text_of(b), m, n);
    out[skip + i] = m == 1 ? n : m;
  }
  return out;
}

}  // namespace tarn
