// One row of x as 16-bit integers, for products with 4-bit codes on tensor cores.
//
// A group of x is d * (256 * high + low) with digits of eight bits, as the CPU has it in balanced
// precision. Digits lie as the right operand takes them: of eight numbers first those with an even
// place, then the others.
#pragma once

#include "cuda/matmul.h"
#include "ops/columns.h"

namespace tarn::cuda::digits {

constexpr int threads = 256;  // of a block

struct alignas(16) Line {
  unsigned of[4];
};

// x as it comes, and what is done to it: gated, or normed.
struct Source {
  const float* numbers = nullptr;
  const float* times = nullptr;  // x is silu(x) times this
  const void* weight = nullptr;  // of an rms_norm
  int k = 0, weight_type = 0;
  float eps = 0, of_k = 1;  // the latter: 1 / k
  bool normed = false;
  bool in_lines = true;  // numbers and weight begin at multiples of 16 bytes
};

// x in shared memory.
template <int group>
struct Digits {
  static constexpr int zero_bytes = 2 * sizeof(Line);
  ops::u8* planes;  // (2, k): high digits, low ones
  float2* sums;     // (k / group): d, and d times the sum of the integers
  Line* zeros;
  int k;
  __device__ Digits(void* at, int k)
      : planes(static_cast<ops::u8*>(at)),
        sums(reinterpret_cast<float2*>(planes + 2 * k + 64)),
        zeros(reinterpret_cast<Line*>(planes + k + 16)),
        k(k) {}
  __device__ void* end() const { return sums + k / group; }
  __device__ const Line* from(int digit, int number) const {
    return reinterpret_cast<const Line*>(planes + digit * (k + 64) + number);
  }
};
template <int group>
constexpr size_t digits_bytes(int64_t k) {
  return static_cast<size_t>(2 * k + k / group * 8) + 64;
}

}  // namespace tarn::cuda::digits
