// Numbers of any dtype in a kernel: read into and written from what it computes in.
#pragma once

#include "cuda/strided.h"
#include "ops/columns.h"

namespace tarn::cuda {

// Columns of a table by dtype, as Dtype::Val counts them.
inline constexpr int half_column = 9, float_column = 10, bfloat_column = 12;

// Calls f with a number of the column's type: float32, float16 or bfloat16.
template <class F>
auto with_float_type(int column, F f) {
  if (column == float_column) return f(float());
  if (column == half_column) return f(ops::Half());
  return f(ops::Bfloat());
}

// Of element i in row order, in elements from the first.
__device__ inline int64_t offset_of(const Strided& s, int64_t i) {
  int64_t offset = 0;
  for (int axis = s.axes - 1; axis > 0; --axis) {
    offset += i % s.size[axis] * s.stride[axis];
    i /= s.size[axis];
  }
  return s.axes > 0 ? offset + i * s.stride[0] : 0;
}

template <class Acc, class T>
__device__ Acc read_as(const void* p, int64_t i) {
  T x = static_cast<const T*>(p)[i];
  if constexpr (__is_same(T, ops::Half) || __is_same(T, ops::Bfloat))
    return static_cast<Acc>(ops::widened(x));
  else
    return static_cast<Acc>(x);
}
// Element i of an array whose dtype is the column (the order of Dtype::Val; none is complex).
template <class Acc>
__device__ Acc read_number(const void* p, int column, int64_t i) {
  switch (column) {
    case 0:
    case 1:
      return read_as<Acc, ops::u8>(p, i);
    case 2:
      return read_as<Acc, ops::u16>(p, i);
    case 3:
      return read_as<Acc, unsigned>(p, i);
    case 4:
      return read_as<Acc, unsigned long>(p, i);
    case 5:
      return read_as<Acc, signed char>(p, i);
    case 6:
      return read_as<Acc, short>(p, i);
    case 7:
      return read_as<Acc, int>(p, i);
    case 8:
      return read_as<Acc, long>(p, i);
    case 9:
      return read_as<Acc, ops::Half>(p, i);
    case 10:
      return read_as<Acc, float>(p, i);
    case 11:
      return read_as<Acc, double>(p, i);
    default:
      return read_as<Acc, ops::Bfloat>(p, i);
  }
}
template <class Acc>
__device__ void write_number(void* p, int column, int64_t i, Acc x) {
  switch (column) {
    case 0:
      static_cast<ops::u8*>(p)[i] = x != Acc(0);
      break;
    case 1:
      static_cast<ops::u8*>(p)[i] = static_cast<ops::u8>(x);
      break;
    case 2:
      static_cast<ops::u16*>(p)[i] = static_cast<ops::u16>(x);
      break;
    case 3:
      static_cast<unsigned*>(p)[i] = static_cast<unsigned>(x);
      break;
    case 4:
      static_cast<unsigned long*>(p)[i] = static_cast<unsigned long>(x);
      break;
    case 5:
      static_cast<signed char*>(p)[i] = static_cast<signed char>(x);
      break;
    case 6:
      static_cast<short*>(p)[i] = static_cast<short>(x);
      break;
    case 7:
      static_cast<int*>(p)[i] = static_cast<int>(x);
      break;
    case 8:
      static_cast<long*>(p)[i] = static_cast<long>(x);
      break;
    case 9:
      static_cast<ops::Half*>(p)[i] = ops::narrowed_half(static_cast<float>(x));
      break;
    case 10:
      static_cast<float*>(p)[i] = static_cast<float>(x);
      break;
    case 11:
      static_cast<double*>(p)[i] = static_cast<double>(x);
      break;
    default:
      static_cast<ops::Bfloat*>(p)[i] = ops::narrowed_bfloat(static_cast<float>(x));
      break;
  }
}

struct Plus {
  __device__ float operator()(float a, float b) const { return a + b; }
};
// Of all threads of the block, in an order that does not change; every thread gets it. `shared`
// has room for 32 values, which nobody else uses meanwhile.
template <class T, class Join>
__device__ T of_block(T mine, T* shared, Join join) {
  for (int step = 16; step > 0; step /= 2) mine = join(mine, __shfl_xor_sync(~0u, mine, step));
  int warps = (static_cast<int>(blockDim.x) + 31) / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = mine;
  __syncthreads();
  T all = shared[0];
  for (int w = 1; w < warps; ++w) all = join(all, shared[w]);
  return all;
}

}  // namespace tarn::cuda
