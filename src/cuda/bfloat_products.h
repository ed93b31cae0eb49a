// Products of many rows with quantised weights: both as bfloat16 in the step's memory, and then the
// library.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/matmul.h"

namespace tarn::cuda {

// Whether codes are of 4 bits, words of them lie in one group, and y begins at a multiple of 16
// bytes.
bool in_words(const QuantizedCall& call);
// y in bfloat16, its rows `lead` numbers apart: a multiple of 8. For codes in_words only.
void launch_dequantize_words(const QuantizedCall& call, int64_t lead, cudaStream_t queue);
// y in bfloat16 of x (rows, cols) in float32, y's rows `lead` numbers apart.
void launch_narrow(const float* x, void* y, int64_t rows, int64_t cols, int64_t lead,
                   cudaStream_t queue);

// A low-rank term as more columns of a product: u b is [hi(u) lo(u) hi(u)] times [hi(b) hi(b)
// lo(b)] up to lo(u) lo(b), where hi is a number in bfloat16 and lo what is left of it: 16 bits.
struct TermsCall {
  const float* from = nullptr;              // u (count, rank), or b turned
  int64_t count = 0, row = 0, of_rank = 0;  // how many, and the strides of `from`
  void* to = nullptr;                       // bfloat16
  int64_t to_row = 0, to_term = 0;          // strides
  int rank = 0, terms = 0;                  // terms: at least 3 rank, zeros behind those
  bool weights = false;                     // the order of b
};
void launch_terms(const TermsCall& u, const TermsCall& b, cudaStream_t queue);

}  // namespace tarn::cuda
