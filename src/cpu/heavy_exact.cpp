// Quantised matmul with float32 activations and sums: weights become floats on the way.
//
// For few tokens each vector of weights is decoded once and met by every token while it is in a
// register. For many, a panel of W is decoded into strips of B, as heavy_tile.h wants them, and
// meets all tokens of a block: a strip of tokens stays in L1 while the panel passes from L2.

#include "cpu/heavy_floats.h"
#include "cpu/heavy_levels.h"
#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int kFewTokens = 8;
constexpr int64_t kTokens = 1008;  // packed at once, whole strips at every level
constexpr int64_t kPanel = 256;    // outputs decoded at once: 640 KiB of an L2 with kDeepest
constexpr int64_t kDeepest = 640;  // the strip of tokens is then 35 KiB of an L1 of 48
constexpr int64_t kRun = 128;      // columns of a row decoded before they are turned

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

// --- many tokens -------------------------------------------------------------------------------

constexpr int kRows = kTileRows<float>, kCols = kTileCols<float>;

// Parts of n as even as `unit` allows, none longer than `most`.
int64_t even_part(int64_t n, int64_t most, int64_t unit) {
  return round_up(ceil_div(n, ceil_div(n, most)), unit);
}

// What a call's blocks have in common. Sums are cut by their number of terms alone, so neither the
// tokens nor the workers change a result.
struct Blocks {
  int64_t depth = 0;              // of the whole product
  int64_t tokens = 0, steps = 0;  // of a block; the last one has the term's steps as well
  int64_t x_floats = 0, w_floats = 0;
};
Blocks blocks_of(const Qmm& q) {
  Blocks b;
  b.depth = q.transpose ? q.w.cols : q.w.rows;
  b.tokens = even_part(q.m, kTokens, kRows);
  b.steps = even_part(b.depth, kDeepest, 32);
  // Of the longest block: fewer tokens never need more, whatever they are parts of.
  const int64_t room = smaller(round_up(q.m, kRows), kTokens);
  b.x_floats = round_up(room * (b.steps + q.rank) + kPackSlack, 16);
  b.w_floats = round_up(kPanel * (b.steps + q.rank) + kPackSlack, 16);
  return b;
}
int64_t block_floats(const Qmm& q) {
  const Blocks b = blocks_of(q);
  return b.x_floats + b.w_floats;
}

// Some rows of W as strips of outputs, `length` steps each, from `steps` of their columns: decoded
// a run at a time and turned.
template <class Codes>
void decode_rows(const QuantMatrix& w, Range rows, Range steps, int64_t length, float* to) {
  alignas(64) float runs[kCols * kRun];
  const int64_t depth = steps.end - steps.begin;
  for (int64_t n = rows.begin; n < rows.end; n += kCols, to += kCols * length) {
    const int64_t count = smaller(kCols, rows.end - n);
    for (int64_t k = 0; k < depth; k += kRun) {
      const int64_t run = smaller(kRun, depth - k);
      for (int64_t r = 0; r < count; ++r)
        decode_run<Codes>(w, n + r, steps.begin + k, run, runs + r * kRun);
      pack_strip<F32, kCols>({runs, kRun, 1, 1}, 0, count, 0, run, to + k * kCols);
    }
  }
}

// Some columns of W as strips of outputs, from the rows `steps`: they lie as they are wanted.
template <class Codes>
void decode_columns(const QuantMatrix& w, Range cols, Range steps, int64_t length, float* to) {
  const int64_t depth = steps.end - steps.begin, count = cols.end - cols.begin;
  for (int64_t i = count; i < round_up(count, kCols); i += kLanes)  // what no column fills
    for (int64_t k = 0; k < depth; ++k)
      store(to + i / kCols * kCols * length + k * kCols + i % kCols, Vf{});
  for (int64_t k = 0; k < depth; ++k, to += kCols)
    for (int64_t n = 0; n < count; n += kDecodeRun)
      Codes::each(w, steps.begin + k, cols.begin + n, smaller(kDecodeRun, count - n),
                  [&](int64_t i, Vf v) {
                    store(to + (n + i) / kCols * kCols * length + (n + i) % kCols, v);
                  });
}

// Some outputs of W, and of b where the term is part of the steps.
template <class Codes>
void pack_outputs(const Qmm& q, Range outputs, Range steps, int64_t length, float* to) {
  q.transpose ? decode_rows<Codes>(q.w, outputs, steps, length, to)
              : decode_columns<Codes>(q.w, outputs, steps, length, to);
  const int64_t depth = steps.end - steps.begin;
  if (depth == length) return;
  const Operand<F32> b{q.b, 1, q.transpose ? q.w.rows : q.w.cols, 1};
  for (int64_t n = outputs.begin; n < outputs.end; n += kCols)
    pack_strip<F32, kCols>(b, n, smaller(kCols, outputs.end - n), 0, q.rank,
                           to + (n - outputs.begin) * length + depth * kCols);
}

// Some tokens of x, and of u where the term is part of the steps.
void pack_tokens(const Qmm& q, Range tokens, Range steps, int64_t length, float* to) {
  const int64_t depth = steps.end - steps.begin;
  const Operand<F32> x{q.x, q.x_stride, 1, 1}, u{q.u, q.rank, 1, 1};
  for (int64_t i = tokens.begin; i < tokens.end; i += kRows, to += kRows * length) {
    const int64_t n = smaller(kRows, tokens.end - i);
    pack_strip<F32, kRows>(x, i, n, steps.begin, depth, to);
    if (depth < length) pack_strip<F32, kRows>(u, i, n, 0, q.rank, to + depth * kRows);
  }
}

// Packed tokens by packed outputs.
void meet(const Qmm& q, const float* x, Range tokens, const float* w, Range outputs, int64_t length,
          bool add) {
  for (int64_t i = tokens.begin; i < tokens.end; i += kRows)
    for (int64_t j = outputs.begin; j < outputs.end; j += kCols)
      multiply_strips<float>(x + (i - tokens.begin) * length, smaller(kRows, tokens.end - i),
                             w + (j - outputs.begin) * length, smaller(kCols, outputs.end - j),
                             length, q.y + i * q.y_stride + j, q.y_stride, add);
}

template <class Codes>
void multiply_many(const Qmm& q, Range mine, float* scratch) {
  const Blocks b = blocks_of(q);
  float *x = scratch, *w = scratch + b.x_floats;
  for (int64_t t = 0; t < q.m; t += b.tokens)
    for (int64_t k = 0; k < b.depth; k += b.steps) {
      const Range tokens{t, smaller(t + b.tokens, q.m)};
      const Range steps{k, smaller(k + b.steps, b.depth)};
      const int64_t length = steps.end - steps.begin + (steps.end == b.depth ? q.rank : 0);
      pack_tokens(q, tokens, steps, length, x);
      for (int64_t n = mine.begin; n < mine.end; n += kPanel) {
        const Range outputs{n, smaller(n + kPanel, mine.end)};
        pack_outputs<Codes>(q, outputs, steps, length, w);
        meet(q, x, tokens, w, outputs, length, k > 0);
      }
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
  constexpr int64_t kUnit = 32;  // columns of W are decoded in steps of the smallest group
  const Range mine = share(q.transpose ? q.w.rows : q.w.cols, kUnit, worker, workers);
  multiply_many<Codes>(q, mine, static_cast<float*>(q.scratch) + block_floats(q) * worker);
}

}  // namespace

size_t qmm_exact_scratch(const Qmm& q, int workers) {
  if (q.transpose && q.m <= kFewTokens) return 0;
  return static_cast<size_t>(block_floats(q) * workers) * sizeof(float);
}

void qmm_exact(const Qmm& q, int worker, int workers) {
  with_codes(q.w, [&]<class Codes>() { run<Codes>(q, worker, workers); });
}

}  // namespace tarn::cpu::TARN_LEVEL
