// Numbers of 16 bits and floats, and floats as sums of those.
#pragma once

#include "ops/columns.h"

namespace tarn::cuda {

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(ops::Bfloat x) { return ops::widened(x); }
__device__ inline float wide(ops::Half x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
template <class T>
__device__ T narrow(float x) {
  if constexpr (__is_same(T, float)) {
    return x;
  } else {
    T y;
    if constexpr (__is_same(T, ops::Half))
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    else
      asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
  }
}
// Two numbers in a word, the first in its low half.
template <class T>
__device__ unsigned pair_of(float first, float second) {
  unsigned pair;
  if constexpr (__is_same(T, ops::Half))
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}
// The first and the second term of a number. One beyond float16's range is as large as that has,
// but what is infinite or not a number makes sums that are none.
template <class T>
__device__ void split(float x, T (&terms)[2]) {
  constexpr float most = 65504, none_larger = 3.4028235e38f;
  const float size = fabsf(x);
  if (__is_same(T, ops::Half) && size > most && size <= none_larger) x = copysignf(most, x);
  terms[0] = narrow<T>(x);
  terms[1] = narrow<T>(x - wide(terms[0]));
}

}  // namespace tarn::cuda
