// Numbers as unsigned integers whose order is that of sorting: rising, NaN last, and the two zeros
// equal, as NaNs are.
#pragma once

#include "cuda/sort.h"
#include "ops/columns.h"

namespace tarn::cuda {

template <class Key, class Bits>
__device__ Key key_of(Bits number, const KeyOrder& o) {
  Key bits = number, sign = static_cast<Key>(o.sign);
  if (!o.real) return bits ^ sign;
  Key all = sign | (sign - 1), magnitude = bits & (sign - 1);
  if (magnitude > static_cast<Key>(o.infinity)) return all;
  if (magnitude == 0) return sign;
  return bits & sign ? bits ^ all : bits | sign;
}

// Calls f.operator()<Bits>() with what holds a number: up to four bytes where keys have 32 bits.
template <class Key, class F>
__device__ void with_bits(int bytes, F f) {
  if constexpr (sizeof(Key) == 8) {
    f.template operator()<unsigned long>();
  } else {
    if (bytes == 1) return f.template operator()<ops::u8>();
    if (bytes == 2) return f.template operator()<ops::u16>();
    f.template operator()<unsigned>();
  }
}

}  // namespace tarn::cuda
