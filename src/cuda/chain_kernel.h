// What the source of every compiled chain begins with: moving numbers several at a time, and
// finding where the elements of an input lie. Read by NVRTC only, after chain_builtins.h.
#pragma once

#include "ops/catalogue.h"
#include "ops/columns.h"

namespace tarn::cuda {

// The op of that row in a table of formulas.
template <int row, class L>
struct At;
template <int row, class Op, class... More>
struct At<row, ops::List<Op, More...>> : At<row - 1, ops::List<More...>> {};
template <class Op, class... More>
struct At<0, ops::List<Op, More...>> {
  using op = Op;
};
template <int row>
using UnaryAt = typename At<row, ops::UnaryOps>::op;
template <int row>
using BinaryAt = typename At<row, ops::BinaryOps>::op;
template <int row>
using TernaryAt = typename At<row, ops::TernaryOps>::op;

// n numbers side by side, moved together.
template <class T, int n>
struct alignas(sizeof(T) * n < 16 ? sizeof(T) * n : 16) Some {
  T of[n];
};

// A launch's parameters: addresses, the size, the shape and strides, as chain_source.cpp lays them
// out.
template <int count>
struct Words {
  long of[count];
};

template <class T, int n>
__device__ Some<T, n> load(long data, long i) {
  return *reinterpret_cast<const Some<T, n>*>(reinterpret_cast<const T*>(data) + i);
}
template <class T, int n>
__device__ Some<T, n> repeat(long data, long i) {
  Some<T, n> x;
  for (int k = 0; k < n; ++k) x.of[k] = reinterpret_cast<const T*>(data)[i];
  return x;
}
template <class T, int n>
__device__ void store(long data, long i, const Some<T, n>& x) {
  *reinterpret_cast<Some<T, n>*>(reinterpret_cast<T*>(data) + i) = x;
}

// Where element i lies. Index is wide enough for the number of elements.
template <class Index, int axes>
__device__ long place(const long* shape, const long* strides, long i) {
  auto left = static_cast<Index>(i);
  long at = 0;
#pragma unroll
  for (int axis = axes - 1; axis > 0; --axis) {
    auto size = static_cast<Index>(shape[axis]);
    at += static_cast<long>(left % size) * strides[axis];
    left /= size;
  }
  return at + static_cast<long>(left) * strides[0];
}
template <class T, int n, class Index, int axes>
__device__ Some<T, n> gather(long data, const long* shape, const long* strides, long i) {
  Some<T, n> x;
  for (int k = 0; k < n; ++k)
    x.of[k] = reinterpret_cast<const T*>(data)[place<Index, axes>(shape, strides, i + k)];
  return x;
}

}  // namespace tarn::cuda
