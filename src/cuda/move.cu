// Gathers and in-place updates: a thread an element.
#include "cuda/fault.cuh"
#include "cuda/launch.cuh"
#include "cuda/move.h"
#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;

__device__ int64_t element_index() {
  return static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
}
template <class Call, class Copy>
__device__ void copy_element(const Call& c, int64_t to, int64_t from, Copy) {
  static_cast<Copy*>(c.y)[to] = static_cast<const Copy*>(c.x)[from];
}
template <class Call>
__device__ void copy_element(const Call& c, int64_t to, int64_t from) {
  switch (c.bytes) {
    case 1:
      return copy_element(c, to, from, ops::u8());
    case 2:
      return copy_element(c, to, from, ops::u16());
    case 4:
      return copy_element(c, to, from, unsigned());
    default:
      return copy_element(c, to, from, ops::c64());
  }
}

__global__ void gather(const __grid_constant__ GatherCall c) {
  wait_for_queue();
  int64_t i = element_index();
  if (i >= c.n * c.box_size) return;
  int64_t which = i / c.box_size, from = offset_of(c.box, i % c.box_size);
  for (int k = 0; k < c.indexed; ++k) {
    auto index = read_number<int64_t>(c.index[k], c.index_type[k], which);
    from += c.stride[k] * checked(index, c.size[k], c.taken[k], c.axis[k], c.fault);
  }
  copy_element(c, i, from);
}
__global__ void gather_axis(const __grid_constant__ GatherAxisCall c) {
  int64_t i = element_index();
  if (i >= c.count) return;
  auto index = read_number<int64_t>(c.index, c.index_type, offset_of(c.at, i));
  int64_t at = checked(index, c.size, 1, c.axis, c.fault);
  copy_element(c, i, offset_of(c.from, i) + at * c.stride);
}
__global__ void update(const __grid_constant__ UpdateCall c) {
  wait_for_queue();
  int64_t i = element_index();
  if (i >= c.count) return;
  int64_t to = *c.number + offset_of(c.to, i), from = offset_of(c.from, i);
  if (c.from_type == c.to_type) return copy_element(c, to, from);
  write_number(c.y, c.to_type, to, read_number<float>(c.x, c.from_type, from));
}

template <class T>
__device__ void copy_piece(const void* x, void* y, int64_t bytes) {
  int64_t each = static_cast<int64_t>(gridDim.x) * threads, n = bytes / int64_t{sizeof(T)};
  for (int64_t i = element_index(); i < n; i += each)
    static_cast<T*>(y)[i] = static_cast<const T*>(x)[i];
}
__global__ void join(const __grid_constant__ JoinCall c) {
  const char* x = static_cast<const char*>(c.x[blockIdx.y]);
  char* y = static_cast<char*>(c.y) + c.at[blockIdx.y];
  int64_t bytes = c.bytes[blockIdx.y];
  auto all = reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(y) | bytes;
  all % 16 == 0 ? copy_piece<uint4>(x, y, bytes) : copy_piece<ops::u8>(x, y, bytes);
}

// A block a line of y: it looks for the updates of its line, and adds them in their order, as the
// CPU does.
__global__ void scatter_add(const __grid_constant__ ScatterCall c) {
  __shared__ int found[threads];
  __shared__ int count;
  int64_t line = blockIdx.x, outer = line / c.size, at = line % c.size;
  float* y = c.y + line * c.inner;
  for (int64_t first = 0; first < c.count; first += threads) {
    int64_t i = first + threadIdx.x;
    bool mine = i < c.count && checked(read_number<int64_t>(c.index, c.index_type, i), c.size, 1,
                                       c.axis, c.fault) == at;
    if (!__syncthreads_or(mine)) continue;
    if (threadIdx.x == 0) count = 0;
    for (int warp = 0; warp < threads / 32; ++warp) {
      __syncthreads();
      if (static_cast<int>(threadIdx.x) / 32 != warp) continue;
      unsigned all = __ballot_sync(~0u, mine), before = (1u << threadIdx.x % 32) - 1;
      if (mine) found[count + __popc(all & before)] = static_cast<int>(threadIdx.x);
      __syncwarp();
      if (threadIdx.x % 32 == 0) count += __popc(all);
    }
    __syncthreads();
    for (int k = 0; k < count; ++k) {
      const float* x = c.x + ((first + found[k]) * c.outer + outer) * c.inner;
      for (int64_t j = threadIdx.x; j < c.inner; j += threads) y[j] += x[j];
    }
    __syncthreads();
  }
}

unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }

}  // namespace

void launch_gather(const GatherCall& c, cudaStream_t queue) {
  static const bool early = can_begin_early(gather);
  launch_early(gather, early, dim3(blocks_for(c.n * c.box_size)), threads, 0, queue, c);
}
void launch_gather_axis(const GatherAxisCall& c, cudaStream_t queue) {
  gather_axis<<<blocks_for(c.count), threads, 0, queue>>>(c);
}
void launch_join(const JoinCall& c, cudaStream_t queue) {
  constexpr unsigned blocks = 16;  // of a piece
  join<<<dim3(blocks, static_cast<unsigned>(c.count)), threads, 0, queue>>>(c);
}
void launch_update(const UpdateCall& c, cudaStream_t queue) {
  static const bool early = can_begin_early(update);
  launch_early(update, early, dim3(blocks_for(c.count)), threads, 0, queue, c);
}

void launch_scatter_add(const ScatterCall& c, cudaStream_t queue) {
  scatter_add<<<static_cast<unsigned>(c.outer * c.size), threads, 0, queue>>>(c);
}

}  // namespace tarn::cuda
