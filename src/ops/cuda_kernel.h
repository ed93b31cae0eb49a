// Kernels in CUDA that a program brings: what a call is told, and the source that is compiled.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/op.h"

namespace tarn::ops {

struct CudaKernelText {
  uint64_t id = 0;  // of no other in this process
  std::string name{};
  std::vector<std::string> inputs{}, outputs{};
  std::string source{}, header{};
  bool wants_rows = true;
  int shared_memory = 0;
};

// The results lie in one array, each from a byte that any vector of numbers may begin at.
struct CudaKernelParams {
  std::shared_ptr<const CudaKernelText> text{};
  std::string constants{};                    // declarations of the template arguments
  SmallVector<int64_t, 6> threads{};          // of the grid and of a block: x, y, z
  SmallVector<int64_t, 4> begins{}, sizes{};  // bytes, elements
  SmallVector<int, 4> dtypes{};               // Dtype::Val
  Dtype dtype{};                              // of the array
  int64_t size = 0;
  bool filled = false;
  float fill = 0;
  TARN_FIELDS(text, constants, threads, begins, sizes, dtypes, dtype, size, filled, fill)
};

extern const Op cuda_kernel_op;

// What the kernel is called in its source.
std::string cuda_kernel_symbol(const CudaKernelText& text);
// Whether an input's "_shape", "_strides" or "_ndim" is mentioned, and so is a parameter.
bool cuda_kernel_mentions(const CudaKernelText& text, size_t input, const char* what);
std::string cuda_kernel_source(const CudaKernelParams& p, std::span<const Dtype> inputs);

}  // namespace tarn::ops
