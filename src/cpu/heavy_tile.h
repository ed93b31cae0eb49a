// The register tile of every matrix product here, and the packing that feeds it.
//
// A tile of C, kTileRows x kTileVectors vectors, stays in registers over a run of k: each step
// loads the vectors of B once and meets them with one broadcast of each row of A. Tiles fill the
// register file less what B and a broadcast need, so the multiply-add units are never short of
// independent sums: 14 x 32 floats on AVX-512, 6 x 16 on AVX2, 12 x 8 on NEON, whose registers are
// 32, and 4 x 8 on other 128 bits.
#pragma once

#include "cpu/heavy_store.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Rows of a tile and vectors of a row.
struct TileSize {
  int rows, vectors;
};
#if defined(__AVX512F__)
constexpr TileSize kFloatTile{14, 2}, kDoubleTile{8, 3};
#elif defined(__AVX2__)
constexpr TileSize kFloatTile{6, 2}, kDoubleTile{4, 3};
#elif defined(__aarch64__)
constexpr TileSize kFloatTile{12, 2}, kDoubleTile{8, 3};
#else
constexpr TileSize kFloatTile{4, 2}, kDoubleTile{4, 2};
#endif
template <class T>
struct TileShape {
  static constexpr TileSize size = sizeof(T) == sizeof(float) ? kFloatTile : kDoubleTile;
  static constexpr int rows = size.rows, vectors = size.vectors;
};
template <class T>
constexpr int kTileRows = TileShape<T>::rows;
template <class T>
constexpr int kTileCols = TileShape<T>::vectors* kLanesOf<T>;

// How one kind of number is read and written: the element, a vector of them, what they sum in.
template <Store S>
struct Stored {
  using Sum = float;
  TARN_INLINE static float get1(const void* p, int64_t i) { return get<S>(p, i); }
  TARN_INLINE static Vf get_lanes(const void* p, int64_t i) { return get_vector<S>(p, i); }
  TARN_INLINE static void put1(void* p, int64_t i, float x) { put<S>(p, i, x); }
  TARN_INLINE static void put_lanes(void* p, int64_t i, Vf x) { put_vector<S>(p, i, x); }
};
struct Stored64 {
  using Sum = double;
  TARN_INLINE static double get1(const void* p, int64_t i) {
    return static_cast<const double*>(p)[i];
  }
  TARN_INLINE static Vec<double> get_lanes(const void* p, int64_t i) {
    return load(static_cast<const double*>(p) + i);
  }
  TARN_INLINE static void put1(void* p, int64_t i, double x) { static_cast<double*>(p)[i] = x; }
  TARN_INLINE static void put_lanes(void* p, int64_t i, Vec<double> x) {
    store(static_cast<double*>(p) + i, x);
  }
};

// A matrix as it lies in memory: element (i, k) is at i * side + k * step. For A the side is its
// rows, for B its columns; both are packed by the same code.
template <class Kind>
struct Operand {
  const void* base = nullptr;
  int64_t side = 0, step = 0;
  typename Kind::Sum factor = 1;
  TARN_INLINE int64_t at(int64_t i, int64_t k) const { return i * side + k * step; }
};

// How many steps ahead a strip of B is asked for: it comes from L2.
constexpr int64_t kStepsAhead = 16;

template <class T, int Rows>
using TileSums = Vec<T>[Rows][TileShape<T>::vectors];

// sum += a · b over `depth` steps. a: (i, k) at i * a_row + k * a_step. b: whole vectors.
template <class T, int Rows>
TARN_INLINE void add_products(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step,
                              int64_t depth, TileSums<T, Rows>& sum) {
  constexpr int kVectors = TileShape<T>::vectors, kStep = kLanesOf<T>;
  TARN_UNROLL_BY_FOUR
  for (int64_t k = 0; k < depth; ++k, a += a_step, b += b_step) {
    Vec<T> right[kVectors];
    TARN_UNROLL
    for (int j = 0; j < kVectors * kVectorBytes; j += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(b + kStepsAhead * b_step) + j);
    TARN_UNROLL
    for (int j = 0; j < kVectors; ++j) right[j] = load(b + j * kStep);
    TARN_UNROLL
    for (int i = 0; i < Rows; ++i) {
      const T left = a[i * a_row];
      TARN_UNROLL
      for (int j = 0; j < kVectors; ++j) sum[i][j] += left * right[j];
    }
  }
}

template <class T, int Rows>
TARN_INLINE void store_tile(const TileSums<T, Rows>& sum, T* c, int64_t c_row, bool add) {
  constexpr int kVectors = TileShape<T>::vectors, kStep = kLanesOf<T>;
  TARN_UNROLL
  for (int i = 0; i < Rows; ++i) {
    TARN_UNROLL
    for (int j = 0; j < kVectors; ++j) {
      T* at = c + i * c_row + j * kStep;
      store(at, add ? load<T>(at) + sum[i][j] : sum[i][j]);
    }
  }
}

// c[Rows][..] (+)= a · b, as add_products reads them.
template <class T, int Rows>
TARN_INLINE void tile(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step,
                      int64_t depth, T* c, int64_t c_row, bool add) {
  TileSums<T, Rows> sum = {};
  add_products<T, Rows>(a, a_row, a_step, b, b_step, depth, sum);
  store_tile<T, Rows>(sum, c, c_row, add);
}

// C's rows lie far apart: they arrive while the tile is summed.
template <class T, int Rows>
TARN_INLINE void ask_for_tile(const T* c, int64_t c_row) {
  for (int i = 0; i < Rows; ++i)
    for (int64_t j = 0; j < kTileCols<T>; j += 64 / static_cast<int>(sizeof(T)))
      __builtin_prefetch(c + i * c_row + j, 1);
}

// A function of its own for each height, so that the register allocator sees one tile at a time.
template <class T, int Rows>
[[gnu::noinline]] void tile_of_packed(const T* a, const T* b, int64_t depth, T* c, int64_t c_row,
                                      bool add) {
  ask_for_tile<T, Rows>(c, c_row);
  tile<T, Rows>(a, 1, kTileRows<T>, b, kTileCols<T>, depth, c, c_row, add);
}

// Calls f with a constant number of rows, n of 1 .. Most.
template <int Most, class F>
TARN_INLINE void with_rows(int64_t n, F f) {
  if constexpr (Most == 1) {
    f.template operator()<1>();
  } else {
    if (n == Most) return f.template operator()<Most>();
    with_rows<Most - 1>(n, f);
  }
}

// Packs sides first .. first + n (then zeros up to Width) of `depth` steps: to[k * Width + i].
// Where steps are contiguous, squares are turned in registers; their stores may run past Width
// into the next step, which is written later: `to` has kPackSlack elements more.
constexpr int64_t kPackSlack = 16;

template <class Kind, int Width>
void pack_strip(const Operand<Kind>& m, int64_t first, int64_t n, int64_t k0, int64_t depth,
                typename Kind::Sum* to) {
  using T = typename Kind::Sum;
  constexpr int kStep = kLanesOf<T>;
  static_assert(Width <= kStep || Width % kStep == 0);
  int64_t k = 0;
  if (m.step == 1) {
    for (; k + kStep <= depth; k += kStep)
      for (int i0 = 0; i0 < Width; i0 += kStep) {
        Vec<T> square[kStep];
        for (int i = 0; i < kStep; ++i)
          square[i] = i0 + i < n && i0 + i < Width
                          ? Kind::get_lanes(m.base, m.at(first + i0 + i, k0 + k)) * m.factor
                          : Vec<T>{};
        transpose(square);
        for (int j = 0; j < kStep; ++j) store(to + (k + j) * Width + i0, square[j]);
      }
  } else if (m.side == 1 && n == Width && Width % kStep == 0) {
    for (; k < depth; ++k)
      for (int i = 0; i < Width; i += kStep)
        store(to + k * Width + i, Kind::get_lanes(m.base, m.at(first + i, k0 + k)) * m.factor);
  }
  for (; k < depth; ++k)
    for (int i = 0; i < Width; ++i)
      to[k * Width + i] = i < n ? Kind::get1(m.base, m.at(first + i, k0 + k)) * m.factor : T{};
}

// c (rows x cols at c, c_row apart) (+)= one packed strip of A times one packed strip of B.
template <class T>
void multiply_strips(const T* a, int64_t rows, const T* b, int64_t cols, int64_t depth, T* c,
                     int64_t c_row, bool add) {
  if (cols == kTileCols<T>)
    return with_rows<kTileRows<T>>(
        rows, [&]<int N>() { tile_of_packed<T, N>(a, b, depth, c, c_row, add); });
  alignas(64) T whole[kTileRows<T> * kTileCols<T>];
  with_rows<kTileRows<T>>(
      rows, [&]<int N>() { tile_of_packed<T, N>(a, b, depth, whole, kTileCols<T>, false); });
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j)
      c[i * c_row + j] = (add ? c[i * c_row + j] : T{}) + whole[i * kTileCols<T> + j];
}

// Blocks: a strip of B (kDepth deep) stays in L1 or near it, a block of A in L2, a block of B in
// L3.
// kDepth is a multiple of 32, the columns that quantised rows decode at once.
constexpr int64_t kDepth = 320;
template <class T>
constexpr int64_t kBlockRows = 18 * kTileRows<T>;
template <class T>
constexpr int64_t kBlockCols = 1024 / kTileCols<T>* kTileCols<T>;

template <class T>
constexpr int64_t kBlockScratch = kDepth*(kBlockRows<T> + kBlockCols<T>)+2 * kPackSlack;

// Makes `depth` steps' strips of A and meets them with the packed strips of B.
template <class Kind>
void multiply_block(const Operand<Kind>& a, Range rows, const typename Kind::Sum* packed_b,
                    Range cols, int64_t k0, int64_t depth, typename Kind::Sum* packed_a,
                    typename Kind::Sum* c, int64_t c_row, bool add) {
  using T = typename Kind::Sum;
  constexpr int kRows = kTileRows<T>, kCols = kTileCols<T>;
  for (int64_t i = rows.begin; i < rows.end; i += kRows)
    pack_strip<Kind, kRows>(a, i, smaller(kRows, rows.end - i), k0, depth,
                            packed_a + (i - rows.begin) * depth);
  for (int64_t i = rows.begin; i < rows.end; i += kRows)
    for (int64_t j = cols.begin; j < cols.end; j += kCols)
      multiply_strips<T>(packed_a + (i - rows.begin) * depth, smaller(kRows, rows.end - i),
                         packed_b + (j - cols.begin) * depth, smaller(kCols, cols.end - j), depth,
                         c + i * c_row + j, c_row, add);
}

// c[rows][cols] (+)= a · b over all `depth_total` steps; row i of c begins at c + i * c_row. The
// order of the sums depends on depth_total alone.
template <class Kind, class KindB>
void multiply(const Operand<Kind>& a, Range rows, const Operand<KindB>& b, Range cols,
              int64_t depth_total, typename Kind::Sum* c, int64_t c_row, bool add,
              typename Kind::Sum* scratch) {
  using T = typename Kind::Sum;
  constexpr int kCols = kTileCols<T>;
  if (depth_total == 0 && !add)
    for (int64_t i = rows.begin; i < rows.end; ++i)
      for (int64_t j = cols.begin; j < cols.end; ++j) c[i * c_row + j] = 0;
  T* packed_a = scratch;
  T* packed_b = scratch + kBlockRows<T> * kDepth + kPackSlack;
  for (int64_t j0 = cols.begin; j0 < cols.end; j0 += kBlockCols<T>) {
    const Range js{j0, smaller(j0 + kBlockCols<T>, cols.end)};
    for (int64_t k0 = 0; k0 < depth_total; k0 += kDepth) {
      const int64_t depth = smaller(kDepth, depth_total - k0);
      for (int64_t j = js.begin; j < js.end; j += kCols)
        pack_strip<KindB, kCols>(b, j, smaller(kCols, js.end - j), k0, depth,
                                 packed_b + (j - js.begin) * depth);
      for (int64_t i0 = rows.begin; i0 < rows.end; i0 += kBlockRows<T>)
        multiply_block<Kind>(a, {i0, smaller(i0 + kBlockRows<T>, rows.end)}, packed_b, js, k0,
                             depth, packed_a, c, c_row, add || k0 > 0);
    }
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
