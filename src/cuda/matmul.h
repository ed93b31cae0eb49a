// Products of matrices as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/strided.h"

namespace tarn::cuda {

// c (batch, m, n) = a (batch, m, k) b (batch, k, n), c row-contiguous. Strides count elements.
struct MatmulCall {
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  int64_t m = 0, n = 0, k = 0, batch = 1;
  int64_t a_row = 0, a_col = 0, b_row = 0, b_col = 0;
  Strided a_batch{}, b_batch{};
  int type = 0;  // a dtype, as column: a float or complex64
  // For the library only:
  bool c_in_float = false;      // c is float32 whatever `type` is
  const void* added = nullptr;  // to c, and of its type and shape
};
void launch_matmul(const MatmulCall& call, cudaStream_t queue);

// y (m, n) = x (m, k) w^T with w (n, k) in `bits`-bit codes, a scale and a bias for each group of
// them along k. Row-contiguous.
struct QuantizedCall {
  const void *x = nullptr, *codes = nullptr, *scales = nullptr, *biases = nullptr;
  void *y = nullptr, *scratch = nullptr;
  int64_t m = 0, n = 0, k = 0;
  int bits = 4, group = 64;
  int type = 0, scale_type = 0;  // dtypes, as columns
};
// What is done to x before, and to y after; of float32.
struct Neighbours {
  const void* weight = nullptr;  // of an rms_norm of x, (k,)
  const float* times = nullptr;  // x is silu(x) times this, (k,)
  const float* added = nullptr;  // to y, (m, n)
  int weight_type = 0;
  bool normed = false;
  float eps = 0;
};
inline constexpr int64_t most_quantized_rows = 8;  // of x; with more, dense weights are cheaper
void launch_quantized(const QuantizedCall& call, cudaStream_t queue);
// The same on tensor cores, with x as the sum of `terms` bfloat16 terms: 4 bits.
bool few_rows_fit(const QuantizedCall& call, int terms);
size_t few_rows_scratch(const QuantizedCall& call, int terms);
// Products of the same x.
struct FewRowsCalls {
  QuantizedCall of[most_calls];
  Neighbours beside[most_calls];  // of one row only
  int count = 1;
  bool paired = false;  // the result is silu of the first times the second; see one_row_fits
  bool early = false;   // one row: weights are complete when the launch in front of this one begins
  unsigned first_block[most_calls + 1] = {};  // of each; made by the launch
};
void launch_few_rows(const FewRowsCalls& calls, int terms, int processors, cudaStream_t queue);
// The same for one row, with x in two digits of eight bits: balanced precision. Only it has pairs.
bool one_row_fits(const QuantizedCall& call);
void launch_one_row(const FewRowsCalls& calls, int processors, cudaStream_t queue);
// The same for any number of rows, which launch_pack_rows packed: 4 bits, scales in bfloat16,
// capability 9.0. Calls' x is what was packed, and weights are rounded to bfloat16.
bool many_rows_fit(const QuantizedCall& call, int major);
size_t packed_rows_bytes(int64_t m, int64_t k);
void launch_pack_rows(const float* x, void* y, int64_t m, int64_t k, cudaStream_t queue);
void launch_many_rows(const FewRowsCalls& calls, int processors, cudaStream_t queue);
size_t most_shared_bytes();  // of a block
// y (n, k): the weights as numbers of `type`.
void launch_dequantize(const QuantizedCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
