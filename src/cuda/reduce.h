// Folds of axes as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/strided.h"

namespace tarn::cuda {

enum class Fold : uint8_t { sum, prod, max, min };
enum class FoldIn : uint8_t { real, integer, natural };  // double, int64, uint64

struct FoldCall {
  const void* x = nullptr;
  void* y = nullptr;
  void* partial = nullptr;  // outputs x pieces accumulators of eight bytes, when pieces > 1
  Strided kept{}, folded{};
  int64_t outputs = 1, each = 1;
  int64_t pieces = 1;
  int from = 0, to = 0;  // dtypes, as columns
  Fold fold = Fold::sum;
  FoldIn in = FoldIn::real;
};
// How many blocks or threads fold one output together.
int64_t fold_pieces(const FoldCall& call);
void launch_fold(const FoldCall& call, cudaStream_t queue);

// The index of the first extreme along an axis; NaN wins. y is uint32.
struct ArgCall {
  const void* x = nullptr;
  unsigned* y = nullptr;
  void* partial = nullptr;  // outputs x pieces times 16 bytes, when pieces > 1
  Strided kept{};
  int64_t outputs = 1, each = 1, stride = 1, pieces = 1;
  int from = 0;
  bool largest = true;
  FoldIn in = FoldIn::real;
};
int64_t arg_pieces(const ArgCall& call);
void launch_arg(const ArgCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
