// Fourier transforms: the tables of a length, and what a kernel is told.
#pragma once

#include <cstdint>

namespace tarn::cpu {

// Lines that are transformed side by side, one a lane: 64 bytes of numbers at every level.
template <class T>
constexpr int64_t kLines = 64 / static_cast<int64_t>(sizeof(T));

// A pass of Stockham's algorithm: `m` butterflies of `radix` points, each followed by turns of
// radix - 1 complex numbers, e^(-2 pi i p j / (radix m)) for j = 1 ....
template <class T>
struct FftPass {
  int radix = 0;
  int64_t m = 0;
  const T* turns = nullptr;
};
// A length that is a product of 2, 3, 5, 7, 11 and 13.
constexpr int kMostPasses = 64;
template <class T>
struct FftLength {
  int64_t n = 0;  // 0: not planned
  int count = 0;
  FftPass<T> passes[kMostPasses] = {};
};

// Planes: the real parts, then the imaginary ones.
template <class T>
struct FftPlan {
  int64_t n = 0;                   // of a line
  int64_t inside = 0;              // n, or the length of Bluestein's convolution
  FftLength<T> whole{};            // n at once, for short lines
  FftLength<T> columns{}, rows{};  // inside = columns.n * rows.n, in four steps
  const T* between = nullptr;      // turns between the two: planes of inside + kLines
  const T* chirp = nullptr;        // Bluestein: e^(-pi i j^2 / n), planes of n
  const T* kernel = nullptr;       // Bluestein: its transform / inside, planes of inside
  const T* halves = nullptr;       // real lines of 2n: e^(-pi i k / n), planes of n + 1
};

enum class FftForm : uint8_t {
  complex,   // complex64 to complex64
  real,      // real numbers to complex64, all of them
  forward,   // real numbers to the first n / 2 + 1
  backward,  // those to real float32
};

// Lines along the middle axis of (outer, n, inner). A plan for n / 2 serves real lines of even n.
template <class T>
struct FftLines {
  const FftPlan<T>* plan = nullptr;
  FftForm form = FftForm::complex;
  bool inverse = false;
  bool wide_input = false;  // real numbers are float64
  int64_t n = 0, outer = 1, inner = 1;
  double scale = 1;
  const void* in = nullptr;
  void* out = nullptr;
  void* scratch = nullptr;
};

}  // namespace tarn::cpu
