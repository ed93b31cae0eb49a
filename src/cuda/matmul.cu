// Products of any strides and float type, for where cuBLASLt is not there or does not fit.
//
// A block makes a tile of 64 x 64, a thread 4 x 4 of it; tiles of a and b pass through shared
// memory in the type that sums are kept in: float, and double for float64 and complex64.
#include "cuda/matmul.h"
#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

constexpr int tile = 64, deep = 16, side = 16, each = tile / side;

struct Complex {
  double re = 0, im = 0;
};
__device__ Complex operator*(Complex a, Complex b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
__device__ Complex& operator+=(Complex& a, Complex b) {
  a.re += b.re, a.im += b.im;
  return a;
}

template <class Acc>
__device__ Acc element(const void* p, int type, int64_t i) {
  if constexpr (__is_same(Acc, Complex)) {
    math::c64 x = static_cast<const math::c64*>(p)[i];
    return {x.re, x.im};
  } else {
    return read_number<Acc>(p, type, i);
  }
}
template <class Acc>
__device__ void set_element(void* p, int type, int64_t i, Acc x) {
  if constexpr (__is_same(Acc, Complex))
    static_cast<math::c64*>(p)[i] = {static_cast<float>(x.re), static_cast<float>(x.im)};
  else
    write_number(p, type, i, x);
}

template <class Acc>
__global__ void multiply(const __grid_constant__ MatmulCall c) {
  __shared__ Acc as[deep][tile + 1], bs[deep][tile + 1];
  int64_t row = static_cast<int64_t>(blockIdx.x) * tile,
          col = static_cast<int64_t>(blockIdx.y) * tile;
  int x = threadIdx.x % side, y = threadIdx.x / side;
  for (int64_t batch = blockIdx.z; batch < c.batch; batch += gridDim.z) {
    int64_t a = offset_of(c.a_batch, batch), b = offset_of(c.b_batch, batch);
    Acc sums[each][each] = {};
    for (int64_t k = 0; k < c.k; k += deep) {
      for (int i = threadIdx.x; i < deep * tile; i += side * side) {
        // Neighbouring threads read along whichever axis is contiguous.
        int ar = c.a_col == 1 ? i / deep : i % tile, ak = c.a_col == 1 ? i % deep : i / tile;
        int bc = c.b_col == 1 ? i % tile : i / deep, bk = c.b_col == 1 ? i / tile : i % deep;
        as[ak][ar] = row + ar < c.m && k + ak < c.k
                         ? element<Acc>(c.a, c.type, a + (row + ar) * c.a_row + (k + ak) * c.a_col)
                         : Acc{};
        bs[bk][bc] = col + bc < c.n && k + bk < c.k
                         ? element<Acc>(c.b, c.type, b + (k + bk) * c.b_row + (col + bc) * c.b_col)
                         : Acc{};
      }
      __syncthreads();
      for (int d = 0; d < deep; ++d)
        for (int i = 0; i < each; ++i)
          for (int j = 0; j < each; ++j) sums[i][j] += as[d][y + i * side] * bs[d][x + j * side];
      __syncthreads();
    }
    for (int i = 0; i < each; ++i)
      for (int j = 0; j < each; ++j) {
        int64_t r = row + y + i * side, s = col + x + j * side;
        if (r < c.m && s < c.n) set_element(c.c, c.type, (batch * c.m + r) * c.n + s, sums[i][j]);
      }
  }
}

}  // namespace

void launch_matmul(const MatmulCall& c, cudaStream_t queue) {
  constexpr int64_t most_batches = 65535;
  dim3 grid(static_cast<unsigned>((c.m + tile - 1) / tile),
            static_cast<unsigned>((c.n + tile - 1) / tile),
            static_cast<unsigned>(c.batch < most_batches ? c.batch : most_batches));
  if (c.type == 13)
    multiply<Complex><<<grid, side * side, 0, queue>>>(c);
  else if (c.type == 11)
    multiply<double><<<grid, side * side, 0, queue>>>(c);
  else
    multiply<float><<<grid, side * side, 0, queue>>>(c);
}

}  // namespace tarn::cuda
