// Sorts along an axis as kernels are told of them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "cuda/strided.h"

namespace tarn::cuda {

// What makes of a number's bits a key, whose order is that of sorting.
struct KeyOrder {
  uint64_t sign = 0;      // the bit, of signed numbers
  uint64_t infinity = 0;  // its bits, of floats
  bool real = false;
};

// The places of a line's numbers in order, or the numbers themselves.
struct SortCall {
  const void* x = nullptr;
  void* y = nullptr;
  void* scratch = nullptr;
  Strided from{}, to{};  // where lines begin
  int64_t lines = 1, each = 1, from_step = 1, to_step = 1;
  int64_t kth = 0;  // of a partition
  KeyOrder order{};
  int bytes = 4;       // of a number
  bool places = true;  // y has uint32, else numbers
};
// Whole lines, stable.
inline constexpr int64_t most_of_block = 4096;
void launch_short_sort(const SortCall& call, cudaStream_t queue);
size_t long_sort_scratch(const SortCall& call);
void launch_long_sort(const SortCall& call, cudaStream_t queue);
// What belongs before the kth in front of it and the rest behind it, each in the order it had.
void launch_partition(const SortCall& call, cudaStream_t queue);
// The same of few and long lines.
bool is_long_partition(const SortCall& call);
size_t long_partition_scratch(const SortCall& call);
void launch_long_partition(const SortCall& call, cudaStream_t queue);

// y = where each value can stand in its line, or behind its equals. Lines and values contiguous.
struct SearchCall {
  const void *line = nullptr, *value = nullptr;
  unsigned* y = nullptr;
  int64_t count = 0, of_line = 1, each = 0;  // values in all, and of a line; numbers of a line
  KeyOrder order{};
  int bytes = 4;
  bool right = false;
};
void launch_search(const SearchCall& call, cudaStream_t queue);

// y = the bits of `keys` streams of threefry, `each` bytes of each.
struct RandomCall {
  const unsigned* key = nullptr;
  void* y = nullptr;
  int64_t keys = 0, each = 0;
};
void launch_random_bits(const RandomCall& call, cudaStream_t queue);

}  // namespace tarn::cuda
