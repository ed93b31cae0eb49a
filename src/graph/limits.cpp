#include "tarn/limits.h"

#include <cmath>

#include "base/require.h"

namespace tarn {
namespace {

// Bits of the fraction and of the exponent.
struct Format {
  int fraction, exponent;
};
Format format_of(Dtype t) {
  if (t == float16) return {10, 5};
  if (t == bfloat16) return {7, 8};
  return t == float64 ? Format{52, 11} : Format{23, 8};
}

}  // namespace

finfo::finfo(Dtype t) : dtype(t), bits(t == complex64 ? 32 : t.size * 8) {
  require(issubdtype(t, inexact), "[finfo] {} is no float dtype. Use iinfo for integers.",
          name_of(t));
  auto [fraction, exponent] = format_of(t);
  int largest = (1 << (exponent - 1)) - 1;
  eps = std::ldexp(1.0, -fraction);
  max = std::ldexp(2 - eps, largest);
  min = -max;
  smallest_normal = std::ldexp(1.0, 1 - largest);
}

iinfo::iinfo(Dtype t) : dtype(t), bits(t.size * 8) {
  require(issubdtype(t, integer), "[iinfo] {} is no integer dtype. Use finfo for floats.",
          name_of(t));
  bool is_signed = issubdtype(t, signedinteger);
  int free_bits = bits - (is_signed ? 1 : 0);
  max = ~uint64_t{0} >> (64 - free_bits);
  min = is_signed ? -static_cast<int64_t>(max) - 1 : 0;
}

}  // namespace tarn
