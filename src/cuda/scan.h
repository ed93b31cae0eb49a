// Scans along an axis as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/strided.h"

namespace tarn::cuda {

enum class Scan : uint8_t { sum, prod, max, log_sum_exp };
enum class ScanIn : uint8_t { real, integer, complex };  // double, int64, two doubles

struct ScanCall {
  const void* x = nullptr;
  void* y = nullptr;
  void* partial = nullptr;  // pieces x lines accumulators, when pieces > 1
  Strided from{}, to{};     // where lines begin
  int64_t lines = 1, each = 1, from_step = 1, to_step = 1;
  int64_t pieces = 1;  // of a line
  int type = 0;        // a dtype, as column
  Scan scan = Scan::sum;
  ScanIn in = ScanIn::real;
  bool reverse = false, inclusive = true;
  // A minimum is the maximum of negated numbers; integers are turned by an exclusive or, which puts
  // those of uint64 in the order of int64 as well.
  bool negated = false;
  int64_t turned = 0;
  double start = 0;
  int64_t start_integer = 0;
};
// How many blocks or threads scan one line together.
int64_t scan_pieces(const ScanCall& call);
inline constexpr size_t scan_accumulator = 16;  // bytes at most
void launch_scan(const ScanCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
