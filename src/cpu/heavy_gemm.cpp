// Matrix products of floats: packed blocks around a register tile (heavy_tile.h), or streams where
// one side has few vectors (heavy_skinny.h).
//
// Every worker packs what its own part of C needs, so the longer side of C is cut and the shorter
// one is packed by all. float16 and bfloat16 become float32 while packing; their sums run in a
// float32 block that is rounded once.

#include "cpu/heavy_levels.h"
#include "cpu/heavy_skinny.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kRoundRows = 504, kRoundCols = 512;  // float32 block of a half-precision C

template <class Kind, class Args>
Product<Kind> item_of(const Args& g, int64_t item, int64_t bytes) {
  const auto* a = reinterpret_cast<const char*>(g.a) + item * g.a_batch * bytes;
  const auto* b = reinterpret_cast<const char*>(g.b) + item * g.b_batch * bytes;
  auto* c = reinterpret_cast<char*>(g.c) + item * g.c_batch * bytes;
  return {g.m, g.n,     g.k,   {a, g.a_row, g.a_col, g.alpha}, {b, g.b_col, g.b_row, 1},
          c,   g.c_row, g.beta};
}

// --- the packed form ---------------------------------------------------------------------------

// Into C itself: its old numbers take beta first.
template <class Kind>
void multiply_in_place(const Product<Kind>& p, Range rows, Range cols,
                       typename Kind::Sum* scratch) {
  using T = typename Kind::Sum;
  auto* c = static_cast<T*>(p.c);
  if (p.beta != 0 && p.beta != 1)
    for (int64_t i = rows.begin; i < rows.end; ++i)
      for (int64_t j = cols.begin; j < cols.end; ++j) c[i * p.c_row + j] *= p.beta;
  multiply(p.a, rows, p.b, cols, p.k, c, p.c_row, p.beta != 0, scratch);
}

// Through a block of floats that is rounded once.
template <class Kind>
void multiply_rounded(const Product<Kind>& p, Range rows, Range cols, float* scratch) {
  float* block = scratch;
  float* rest = scratch + kRoundRows * kRoundCols;
  for (int64_t i0 = rows.begin; i0 < rows.end; i0 += kRoundRows)
    for (int64_t j0 = cols.begin; j0 < cols.end; j0 += kRoundCols) {
      const Range is{i0, smaller(i0 + kRoundRows, rows.end)};
      const Range js{j0, smaller(j0 + kRoundCols, cols.end)};
      multiply(p.a, is, p.b, js, p.k, block - i0 * kRoundCols - j0, kRoundCols, false, rest);
      for (int64_t i = is.begin; i < is.end; ++i)
        store_row(p, i, j0, js.end - j0, block + (i - i0) * kRoundCols);
    }
}

// --- shares ------------------------------------------------------------------------------------

template <class T, class Args>
int64_t scratch_elements(const Args& g, bool rounded) {
  if (is_skinny(g)) return round_up(smaller(g.m, g.n) * g.k, 16) + kSkinny * kStreamCols;
  return round_up(kBlockScratch<T> + (rounded ? kRoundRows * kRoundCols : 0), 16);
}

// Cuts batch x (the longer side of C) among the workers and does this one's part.
template <class Kind, class Args>
void run(const Args& g, int64_t bytes, bool rounded, int worker, int workers) {
  using T = typename Kind::Sum;
  T* scratch = reinterpret_cast<T*>(g.scratch) + worker * scratch_elements<T>(g, rounded);
  const bool skinny = is_skinny(g), cut_rows = g.m > g.n;
  const int64_t side = cut_rows ? g.m : g.n;
  const int64_t unit = skinny ? kLanesOf<T> : cut_rows ? kTileRows<T> : kTileCols<T>;
  const int64_t units = ceil_div(side, unit);
  const Range mine = share(g.batch * units, 1, worker, workers);
  for (int64_t u = mine.begin; u < mine.end;) {
    const int64_t item = u / units, first = u % units;
    const int64_t last = smaller(units, first + mine.end - u);
    const Range cut{first * unit, smaller(side, last * unit)};
    const Product<Kind> p = item_of<Kind>(g, item, bytes);
    const Range rows = cut_rows ? cut : Range{0, g.m}, cols = cut_rows ? Range{0, g.n} : cut;
    if (skinny)
      multiply_skinny(p, cut, scratch);
    else if constexpr (sizeof(T) == 4)
      rounded ? multiply_rounded(p, rows, cols, scratch)
              : multiply_in_place(p, rows, cols, scratch);
    else
      multiply_in_place(p, rows, cols, scratch);
    u += last - first;
  }
}

}  // namespace

size_t gemm_scratch(const Gemm& g, int workers) {
  return static_cast<size_t>(scratch_elements<float>(g, g.type != Store::f32)) * sizeof(float) *
         static_cast<size_t>(workers);
}

void gemm(const Gemm& g, int worker, int workers) {
  with_store(g.type, [&]<Store S>() {
    run<Stored<S>>(g, store_bytes(S), S != Store::f32, worker, workers);
  });
}

size_t gemm64_scratch(const Gemm64& g, int workers) {
  return static_cast<size_t>(scratch_elements<double>(g, false)) * sizeof(double) *
         static_cast<size_t>(workers);
}

void gemm64(const Gemm64& g, int worker, int workers) {
  run<Stored64>(g, sizeof(double), false, worker, workers);
}

}  // namespace tarn::cpu::TARN_LEVEL
