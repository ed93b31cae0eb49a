// The words that a program's own kernel may use beside CUDA's. Read by NVRTC only. Includes
// nothing, since formulas' words and the toolkit's headers exclude each other.
#pragma once

// Numbers of 16 bits: floats to compute with, rounded to nearest when they are written.
struct float16_t {
  unsigned short bits;
  float16_t() = default;
  template <class T>
  __device__ float16_t(T x) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(static_cast<float>(x)));
  }
  __device__ operator float() const {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
  }
};
struct bfloat16_t {
  unsigned short bits;
  bfloat16_t() = default;
  template <class T>
  __device__ bfloat16_t(T x) {
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(static_cast<float>(x)));
  }
  __device__ operator float() const { return __uint_as_float(static_cast<unsigned>(bits) << 16); }
};
struct complex64_t {
  float real, imag;
};

// An input's shape or strides.
struct KernelSizes {
  long long of[8];
  __device__ long long operator[](int axis) const { return of[axis]; }
};
