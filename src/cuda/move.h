// Movements as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/fault.h"
#include "cuda/strided.h"

namespace tarn::cuda {

inline constexpr int most_indexed = 4;  // axes that index arrays choose on

// y (n, box...) = the boxes of x that begin at the indices.
struct GatherCall {
  const void* x = nullptr;
  void* y = nullptr;
  Fault* fault = nullptr;
  Strided box{};  // sizes of a box, strides of x
  int64_t n = 0, box_size = 1;
  int indexed = 0;
  const void* index[most_indexed] = {};
  int index_type[most_indexed] = {};  // a dtype, as column
  int axis[most_indexed] = {};
  int64_t size[most_indexed] = {}, taken[most_indexed] = {}, stride[most_indexed] = {};
  int bytes = 4;  // of an element
};
void launch_gather(const GatherCall& call, cudaStream_t queue);

// y (rows in order) = one element of x a line and index.
struct GatherAxisCall {
  const void *x = nullptr, *index = nullptr;
  void* y = nullptr;
  Fault* fault = nullptr;
  Strided from{}, at{};  // x without the axis and the index, in the shape of the result
  int64_t count = 0, size = 0, stride = 0;
  int axis = 0, index_type = 0, bytes = 4;
};
void launch_gather_axis(const GatherAxisCall& call, cudaStream_t queue);

// y = all of x, one behind the other; `at` is where each begins, in bytes.
inline constexpr int most_pieces = 64;
struct JoinCall {
  const void* x[most_pieces] = {};
  void* y = nullptr;
  int64_t bytes[most_pieces] = {}, at[most_pieces] = {};
  int count = 0;
};
void launch_join(const JoinCall& call, cudaStream_t queue);

// A box of y is replaced by x, which may be of another float.
struct UpdateCall {
  const void* x = nullptr;
  void* y = nullptr;
  const int64_t* number = nullptr;  // where in y the box begins
  Strided from{}, to{};
  int64_t count = 0;
  int bytes = 4;
  int from_type = 0, to_type = 0;  // dtypes, as columns
};
void launch_update(const UpdateCall& call, cudaStream_t queue);

// y (outer, size, inner) += x (count, outer, inner), where each of the count lies at its index of
// the middle axis.
struct ScatterCall {
  const float* x = nullptr;
  float* y = nullptr;
  const void* index = nullptr;
  Fault* fault = nullptr;
  int64_t count = 0, outer = 1, size = 0, inner = 1;
  int axis = 0, index_type = 0;
};
void launch_scatter_add(const ScatterCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
