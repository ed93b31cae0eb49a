// Quantised matmul with float32 activations and sums: weights become floats on the way.
//
// For few tokens each vector of weights is decoded once and met by every token while it is in a
// register. For many, a block of W is decoded and multiplied by the
// packed form of heavy_tile.h, which repays the decoding as many times as there are tokens.

#include "cpu/heavy_floats.h"
#include "cpu/heavy_levels.h"
#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kFewTokens = 8;
constexpr int64_t kBlock = 256;  // rows (or columns) of W decoded at once: 320 KiB with kDepth

using F32 = Stored<Store::f32>;

// y of T tokens for one row of W. Neighbouring vectors sum apart: a chain of multiply-adds would
// wait for each other.
template <class Codes, int T>
void dot_row(const Qmm& q, int64_t row) {
  Vf sum[2][T] = {};
  for (int64_t k = 0; k < q.w.cols; k += kDecodeRun)
    Codes::each(q.w, row, k, smaller(kDecodeRun, q.w.cols - k), [&](int64_t i, Vf w) {
      TARN_UNROLL
      for (int t = 0; t < T; ++t) sum[i / kLanes % 2][t] += load(q.x + t * q.x_stride + k + i) * w;
    });
  for (int t = 0; t < T; ++t) q.y[t * q.y_stride + row] = sum_lanes<float>(sum[0][t] + sum[1][t]);
}

// y[:, n .. n + count] from W's rows n .. n + count.
template <class Codes>
void multiply_rows(const Qmm& q, int64_t n, int64_t count, float* scratch) {
  float* block = scratch;
  for (int64_t k = 0; k < q.w.cols; k += kDepth) {
    const int64_t depth = smaller(kDepth, q.w.cols - k);
    for (int64_t r = 0; r < count; ++r)
      decode_row<Codes>(q.w, n + r, {k, k + depth}, block + r * depth);
    const Operand<F32> a{q.x + k, q.x_stride, 1, 1}, b{block, depth, 1, 1};
    multiply(a, {0, q.m}, b, {0, count}, depth, q.y + n, q.y_stride, k > 0,
             scratch + kBlock * kDepth);
  }
}

// The same from W's columns n .. n + count, W being (K, N).
template <class Codes>
void multiply_cols(const Qmm& q, int64_t n, int64_t count, float* scratch) {
  float* block = scratch;
  for (int64_t k = 0; k < q.w.rows; k += kDepth) {
    const int64_t depth = smaller(kDepth, q.w.rows - k);
    for (int64_t r = 0; r < depth; ++r)
      decode_row<Codes>(q.w, k + r, {n, n + count}, block + r * count);
    const Operand<F32> a{q.x + k, q.x_stride, 1, 1}, b{block, 1, count, 1};
    multiply(a, {0, q.m}, b, {0, count}, depth, q.y + n, q.y_stride, k > 0,
             scratch + kBlock * kDepth);
  }
}

template <class Codes>
void run(const Qmm& q, int worker, int workers) {
  if (q.transpose && q.m <= kFewTokens) {
    const Range rows = share(q.w.rows, 1, worker, workers);
    return with_rows<kFewTokens>(q.m, [&]<int T>() {
      for (int64_t r = rows.begin; r < rows.end; ++r) dot_row<Codes, T>(q, r);
    });
  }
  auto* scratch =
      static_cast<float*>(q.scratch) + worker * (kBlock * kDepth + kBlockScratch<float>);
  constexpr int64_t kUnit = 32;  // columns of W are decoded in steps of the smallest group
  const Range mine = share(q.transpose ? q.w.rows : q.w.cols, kUnit, worker, workers);
  for (int64_t n = mine.begin; n < mine.end; n += kBlock) {
    const int64_t count = smaller(kBlock, mine.end - n);
    q.transpose ? multiply_rows<Codes>(q, n, count, scratch)
                : multiply_cols<Codes>(q, n, count, scratch);
  }
}

}  // namespace

size_t qmm_exact_scratch(const Qmm& q, int workers) {
  if (q.transpose && q.m <= kFewTokens) return 0;
  return static_cast<size_t>((kBlock * kDepth + kBlockScratch<float>)*workers) * sizeof(float);
}

void qmm_exact(const Qmm& q, int worker, int workers) {
  with_codes(q.w, [&]<class Codes>() { run<Codes>(q, worker, workers); });
}

}  // namespace tarn::cpu::TARN_LEVEL
