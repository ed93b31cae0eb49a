// The CPU kernels that carry the time (quantised matmul, GEMM, attention, rows), one table per ISA.
//
// A kernel is called by every worker as f(args, worker, workers) and does its own static share. It
// starts no thread, waits for nobody and allocates nothing; no result depends on `workers`. Where
// args have a `scratch`, give it heavy.<kernel>_scratch(args, workers) bytes, aligned to 64, one
// buffer for all workers. Strides count elements. Sizes are trusted: check them before.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/fft.h"

namespace tarn::cpu {

enum class Isa;  // isa.h

// How numbers lie in memory. Every kernel computes in float32 at least.
enum class Store : uint8_t { f32, f16, bf16 };

// What the codes of a quantised matrix are: unsigned integers under a scale and a bias, E2M1 (4
// bits) or E4M3 (8 bits) under a power of two, or E2M1 under a scale in E4M3.
enum class CodeKind : uint8_t { affine, mxfp4, mxfp8, nvfp4 };

// A quantised matrix in MLX's layout, packed along its columns: a row is cols * bits / 8 bytes of
// codes and cols / group scales and, when affine, biases; an affine value is scale * code + bias.
// bits: 2 3 4 5 6 8. group: 32 64 128, or 16 of nvfp4; it divides cols. Codes need no alignment.
struct QuantMatrix {
  const void *codes = nullptr, *scales = nullptr, *biases = nullptr;
  int64_t rows = 0, cols = 0;
  int bits = 4;
  int group = 64;
  Store scale_type = Store::f16;  // affine; else scales are bytes
  CodeKind kind = CodeKind::affine;
};

// y[m][N] = x[m][K] · Wᵀ with W (N, K); or, with transpose false, x · W with W (K, N). Where there
// is a rank, qmm_balanced adds u · b, and so does, from 16 rows on, qmm_exact.
struct Qmm {
  const float* x = nullptr;  // rows of K; unused by qmm_balanced
  int64_t x_stride = 0;
  const void* packed = nullptr;  // what pack_activations wrote; qmm_balanced only
  float* y = nullptr;
  int64_t y_stride = 0;
  int64_t m = 0;
  QuantMatrix w{};
  bool transpose = true;  // qmm_balanced takes true only
  void* scratch = nullptr;
  const float *u = nullptr, *b = nullptr;  // (m, rank) and (rank, N), contiguous
  int64_t rank = 0;
};

// Float activations to what qmm_balanced reads: two int8 digits with one scale per min(group, 64)
// columns, or, at level amx from 16 rows on, bfloat16. The bytes depend on m and on cols, bits and
// group of the weights only, so one pack serves q, k and v, or gate and up, when those agree.
struct PackActivations {
  const float* x = nullptr;
  int64_t x_stride = 0;
  int64_t m = 0;
  int64_t cols = 0;  // K, a multiple of group
  int bits = 4;      // of the weights that will meet them
  int group = 64;
  void* packed = nullptr;  // packed_bytes(...) bytes, aligned to 64
};

// out[rows][cols] = the numbers of w, rounded to out_type.
struct Dequantize {
  QuantMatrix w{};
  void* out = nullptr;
  Store out_type = Store::f32;
  int64_t out_stride = 0;
};

// MLX's encoder. Scales and biases are written in x's type; cols is a multiple of group.
struct Quantize {
  const void* x = nullptr;
  Store type = Store::f32;
  int64_t x_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 4;
  int group = 64;
  void* codes = nullptr;
  void* scales = nullptr;
  void* biases = nullptr;
};

// c[i][j] = alpha * sum over k of a[i][k] * b[k][j], plus beta * c[i][j] unless beta is 0. Inputs
// and output share `type`; sums are float32. Any strides; fastest when one of each pair is 1.
// c's columns are contiguous. `batch` such products lie *_batch elements apart (0 repeats).
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  int64_t a_row = 0, a_col = 1, a_batch = 0;
  const void* b = nullptr;
  int64_t b_row = 0, b_col = 1, b_batch = 0;
  void* c = nullptr;
  int64_t c_row = 0, c_batch = 0;
  int64_t batch = 1;
  float alpha = 1;
  float beta = 0;
  Store type = Store::f32;
  void* scratch = nullptr;
};

// The same for float64.
struct Gemm64 {
  int64_t m = 0, n = 0, k = 0;
  const double* a = nullptr;
  int64_t a_row = 0, a_col = 1, a_batch = 0;
  const double* b = nullptr;
  int64_t b_row = 0, b_col = 1, b_batch = 0;
  double* c = nullptr;
  int64_t c_row = 0, c_batch = 0;
  int64_t batch = 1;
  double alpha = 1;
  double beta = 0;
  void* scratch = nullptr;
};

enum class MaskKind : uint8_t { none, additive, boolean };

// Where the rows of a (batch, head, row, ·) tensor lie; the last axis is contiguous.
struct HeadStrides {
  int64_t batch = 0, head = 0, row = 0;
};

// out = softmax(scale * q · kᵀ + mask) · v over the first `length` keys; q heads share kv heads
// evenly. A masked score (boolean false, or causal) is the lowest finite float, so a row with no
// visible key is the mean of v. A sink is one more score per q head that meets no value.
struct Attention {
  int64_t batch = 0, q_heads = 0, kv_heads = 0;
  int64_t queries = 0;    // L
  int64_t length = 0;     // valid keys
  int64_t key_dim = 0;    // D of q and k
  int64_t value_dim = 0;  // D of v and out
  const void* q = nullptr;
  HeadStrides q_at{};
  const void* k = nullptr;
  HeadStrides k_at{};
  const void* v = nullptr;
  HeadStrides v_at{};
  Store kv_type = Store::f32;
  void* out = nullptr;
  HeadStrides out_at{};
  Store type = Store::f32;  // of q and out
  float scale = 1;
  bool causal = false;  // query i sees key j when j <= i + length - queries
  MaskKind mask_kind = MaskKind::none;
  const void* mask = nullptr;  // float, or bytes where 0 hides
  HeadStrides mask_at{};       // 0 repeats
  int64_t mask_key = 1;
  const float* sinks = nullptr;  // q_heads of them
  void* scratch = nullptr;
  const void* next_k = nullptr;  // keys that this worker meets next: asked for, if any
};

// Kernels of rows: x and y are (rows, cols), columns contiguous, of `type`. y may be x.
struct Rows {
  const void* x = nullptr;
  int64_t x_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  Store type = Store::f32;
  const void* weight = nullptr;  // norms: cols numbers of `weight_type`, or none
  const void* bias = nullptr;    // layer_norm: the same
  Store weight_type = Store::f32;
  float eps = 1e-5f;  // norms
};

enum class RowFold : uint8_t { sum, max, min };

// One number a row: to y (of `type`, stride 1), or unrounded to `wide` where that is given, which
// lets a caller cut a long row into fixed pieces. max and min pass NaN on; max of nothing is -inf.
struct FoldRows {
  const void* x = nullptr;
  int64_t x_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  Store type = Store::f32;
  RowFold fold = RowFold::sum;
  void* y = nullptr;
  double* wide = nullptr;
};

// The index of the first largest number of each row; NaN wins only in column 0.
struct ArgmaxRows {
  const void* x = nullptr;
  int64_t x_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  Store type = Store::f32;
  uint32_t* y = nullptr;
};

// y[i] = sum over t of x[t][i] * w[t][i] for i < n.
constexpr int64_t kMostTaps = 64;
template <class T>
struct Taps {
  const T* x[kMostTaps] = {};
  const T* w[kMostTaps] = {};
  int64_t count = 0;
  T* y = nullptr;
  int64_t n = 0;
};

struct Heavy {
  template <class Args>
  using Kernel = void (*)(const Args&, int worker, int workers);
  template <class Args>
  using Scratch = size_t (*)(const Args&, int workers);

  Kernel<Qmm> qmm_exact;
  Scratch<Qmm> qmm_exact_scratch;
  // After pack_activations and a barrier. Below 16 rows, rows do not depend on each other.
  Kernel<Qmm> qmm_balanced;
  Scratch<Qmm> qmm_balanced_scratch;
  Kernel<PackActivations> pack_activations;
  size_t (*packed_bytes)(int64_t m, int64_t cols, int group);
  Kernel<Dequantize> dequantize;
  Kernel<Quantize> quantize;
  Kernel<Gemm> gemm;
  Scratch<Gemm> gemm_scratch;
  Kernel<Gemm64> gemm64;
  Scratch<Gemm64> gemm64_scratch;
  Kernel<Attention> attention;
  Scratch<Attention> attention_scratch;
  Kernel<Rows> softmax;
  Kernel<Rows> rms_norm;
  Kernel<Rows> layer_norm;
  Kernel<Rows> logsumexp;  // y holds one number a row, y_stride apart
  Kernel<FoldRows> fold_rows;
  Kernel<ArgmaxRows> argmax_rows;
  void (*multiply_taps)(const Taps<float>&);
  void (*multiply_taps64)(const Taps<double>&);
  Kernel<FftLines<float>> fft;
  Scratch<FftLines<float>> fft_scratch;
  Kernel<FftLines<double>> fft64;
  Scratch<FftLines<double>> fft64_scratch;
  // One line of plan.inside numbers in place, in the scratch of a plan without chirp.
  void (*fft_planes)(const FftPlan<double>& plan, double* re, double* im, void* scratch);
};

// The kernels of the level in use (best_isa()), and of one level, which must be available.
const Heavy& heavy();
const Heavy& heavy(Isa isa);

}  // namespace tarn::cpu
