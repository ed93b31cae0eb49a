// The kernels of derivatives, one table per ISA: see heavy.h for what a kernel is.
#pragma once

#include "cpu/heavy.h"

namespace tarn::cpu {

// Of rows (rows, cols) of x and cotangents g, all contiguous.
struct RowsBack {
  const float* x = nullptr;
  const float* g = nullptr;       // rms_norm: like x; softmax: one number a row
  const float* weight = nullptr;  // rms_norm: cols numbers, or none
  float* y = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  float eps = 0;
};

// Of attention with neither mask nor sinks, queries at most as many as keys: the cotangents of q, k
// and v, contiguous in each batch item and `batch_step` apart, from that of the output.
struct AttentionBack {
  Attention a{};  // of float32, without its output
  const float* g = nullptr;
  HeadStrides g_at{};
  float* dq = nullptr;  // (q_heads, queries, key_dim)
  float* dk = nullptr;  // (kv_heads, length, key_dim)
  float* dv = nullptr;  // (kv_heads, length, value_dim)
  int64_t batch_step = 0;
};

constexpr int64_t kMostTileRank = 64;  // that products in bfloat16 add a term of

struct HeavyBack {
  Heavy::Kernel<RowsBack> rms_norm;  // y = the cotangent of x
  Heavy::Kernel<RowsBack> softmax;   // y = g * softmax(x)
  Heavy::Kernel<AttentionBack> attention;
  Heavy::Scratch<AttentionBack> attention_scratch;
  // Qmm of transpose false in bfloat16, of what `pack` made (whose cols are w.rows). Null where the
  // level has no unit for that.
  Heavy::Kernel<Qmm> qmm = nullptr;
  Heavy::Scratch<Qmm> qmm_scratch = nullptr;
  Heavy::Kernel<PackActivations> pack = nullptr;
  size_t (*packed_bytes)(int64_t m, int64_t cols) = nullptr;
};

const HeavyBack& heavy_back();
const HeavyBack& heavy_back(Isa isa);

}  // namespace tarn::cpu
