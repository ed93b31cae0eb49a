// What scans accumulate in, and scans of a warp's and a block's numbers.
#pragma once

#include "cuda/numbers.cuh"
#include "cuda/scan.h"
#include "ops/binary.h"

namespace tarn::cuda {

// A sum or product of complex numbers so far.
struct Complex {
  double re, im;
  __device__ Complex operator+(Complex o) const { return {re + o.re, im + o.im}; }
  __device__ Complex operator*(Complex o) const {
    return {re * o.re - im * o.im, re * o.im + im * o.re};
  }
};

template <Scan scan>
struct ScanOf {
  // a is of what comes first.
  template <class Acc>
  __device__ static Acc join(Acc a, Acc b) {
    if constexpr (scan == Scan::sum) return a + b;
    if constexpr (scan == Scan::prod) return a * b;
    if constexpr (scan == Scan::max) return a != a || !(b != b || b > a) ? a : b;
    if constexpr (scan == Scan::log_sum_exp) return ops::LogAddExp::value(a, b);
  }
};

template <class Acc>
__device__ Acc start_of(const ScanCall& c) {
  if constexpr (__is_same(Acc, double)) return c.start;
  if constexpr (__is_same(Acc, long)) return c.start_integer;
  if constexpr (__is_same(Acc, Complex)) return {c.start, 0};
}

// Calls f.operator()<T>() with the type that is stored under the column.
template <class Acc, class F>
__device__ void with_stored(int column, F f) {
  if constexpr (__is_same(Acc, Complex)) return f.template operator()<math::c64>();
  if constexpr (__is_same(Acc, double)) {
    if (column == half_column) return f.template operator()<ops::Half>();
    if (column == float_column) return f.template operator()<float>();
    if (column == bfloat_column) return f.template operator()<ops::Bfloat>();
    return f.template operator()<double>();
  }
  if constexpr (__is_same(Acc, long)) switch (column) {
      case 0:
        return f.template operator()<bool>();
      case 1:
        return f.template operator()<ops::u8>();
      case 2:
        return f.template operator()<ops::u16>();
      case 3:
        return f.template operator()<unsigned>();
      case 5:
        return f.template operator()<signed char>();
      case 6:
        return f.template operator()<short>();
      case 7:
        return f.template operator()<int>();
      default:
        return f.template operator()<long>();
    }
}
template <class Acc, class T>
__device__ Acc loaded(const ScanCall& c, int64_t i) {
  T x = static_cast<const T*>(c.x)[i];
  if constexpr (__is_same(T, math::c64)) {
    return {x.re, x.im};
  } else if constexpr (__is_same(Acc, double)) {
    double wide = ops::converted<T, double>(x);
    return c.negated ? -wide : wide;
  } else {
    return static_cast<long>(x) ^ c.turned;
  }
}
template <class Acc, class T>
__device__ void stored(const ScanCall& c, int64_t i, Acc x) {
  T* y = static_cast<T*>(c.y) + i;
  if constexpr (__is_same(T, math::c64))
    *y = {static_cast<float>(x.re), static_cast<float>(x.im)};
  else if constexpr (__is_same(Acc, double))
    *y = ops::converted<double, T>(c.negated ? -x : x);
  else
    *y = static_cast<T>(x ^ c.turned);
}

template <class Acc>
__device__ Acc from_lane_before(Acc x, int step) {
  if constexpr (__is_same(Acc, Complex))
    return {__shfl_up_sync(~0u, x.re, step), __shfl_up_sync(~0u, x.im, step)};
  else
    return __shfl_up_sync(~0u, x, step);
}
// Up to and with this lane.
template <class S, class Acc>
__device__ Acc scan_of_warp(Acc x) {
  for (int step = 1; step < 32; step *= 2) {
    Acc before = from_lane_before(x, step);
    if (threadIdx.x % 32 >= step) x = S::join(before, x);
  }
  return x;
}
// Of all threads before this one; `total` is of all. `shared` has room for a number a warp, and
// nobody uses it before the next barrier.
template <class S, class Acc>
__device__ Acc scan_of_block(Acc mine, Acc start, Acc* shared, Acc& total) {
  Acc upto = scan_of_warp<S>(mine), inside = from_lane_before(upto, 1);
  if (threadIdx.x % 32 == 31) shared[threadIdx.x / 32] = upto;
  __syncthreads();
  Acc before = start;
  total = start;
  for (int w = 0; w < blockDim.x / 32; ++w) {
    if (w == threadIdx.x / 32) before = total;
    total = S::join(total, shared[w]);
  }
  return threadIdx.x % 32 == 0 ? before : S::join(before, inside);
}

}  // namespace tarn::cuda
