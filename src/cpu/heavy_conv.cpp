// Convolutions line by line: filters packed like B of a matrix product meet pixels that lie side by
// side, in the register tile of all products. A tile's sums stay in registers over many taps.

#include "cpu/heavy_conv.h"

#include <type_traits>

#include "cpu/heavy_levels.h"
#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

template <class T>
using KindOf = std::conditional_t<sizeof(T) == sizeof(float), Stored<Store::f32>, Stored64>;

template <class T>
void turn_pixels(const TurnPixels<T>& t) {
  constexpr int kStep = kLanesOf<T>;
  for (int64_t i = 0; i < t.count; i += kStep) {
    int64_t c = 0;
    for (; c + kStep <= t.channels; c += kStep) {
      Vec<T> square[kStep];
      TARN_UNROLL
      for (int j = 0; j < kStep; ++j)
        square[j] = t.pixels[i + j] ? load(t.pixels[i + j] + c) : Vec<T>{};
      transpose(square);
      TARN_UNROLL
      for (int j = 0; j < kStep; ++j) store(t.to + (c + j) * t.to_step + i, square[j]);
    }
    for (; c < t.channels; ++c)
      for (int j = 0; j < kStep; ++j)
        t.to[c * t.to_step + i + j] = t.pixels[i + j] ? t.pixels[i + j][c] : T{};
  }
}

template <class T>
void pack_filters(const PackFilters<T>& f) {
  constexpr int kCols = kTileCols<T>;
  static_assert(PackFilters<T>::kSlack >= kPackSlack);
  const Operand<KindOf<T>> filters{f.w, f.depth, 1, 1};
  for (int64_t o = 0; o < f.outputs; o += kCols)
    pack_strip<KindOf<T>, kCols>(filters, o, smaller(kCols, f.outputs - o), 0, f.depth,
                                 f.packed + o * f.depth);
}

// Steps whose products are added up before they join the sum: thousands in one run lose digits.
constexpr int64_t kSteps = 640;

// Pixels i to i + Rows of one strip of filters.
template <class T, int Rows>
[[gnu::noinline]] void tile_of_line(const PixelLine<T>& l, int64_t i, const T* filters, T* y,
                                    int64_t y_step) {
  constexpr int kCols = kTileCols<T>;
  ask_for_tile<T, Rows>(y, y_step);
  const int64_t taps_at_once = larger(1, kSteps / l.channels);
  for (int64_t t = 0; t < l.taps; t += taps_at_once) {
    const int64_t end = smaller(t + taps_at_once, l.taps);
    TileSums<T, Rows> sum = {};
    for (int64_t u = t; u < end; ++u, filters += l.channels * kCols)
      add_products<T, Rows>(l.x[u] + i, 1, l.x_step, filters, kCols, l.channels, sum);
    store_tile<T, Rows>(sum, y, y_step, t > 0);
  }
}

template <class T>
void multiply_tile(const PixelLine<T>& l, int64_t i, int64_t rows, int64_t o) {
  constexpr int kCols = kTileCols<T>;
  const T* filters = l.filters + o * l.taps * l.channels;
  T* y = l.y + i * l.y_step + o;
  const auto multiply = [&](T* to, int64_t step) {
    with_rows<kTileRows<T>>(rows, [&]<int N>() { tile_of_line<T, N>(l, i, filters, to, step); });
  };
  if (o + kCols <= l.outputs) return multiply(y, l.y_step);
  alignas(64) T whole[kTileRows<T> * kCols];
  multiply(whole, kCols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < l.outputs - o; ++j) y[r * l.y_step + j] = whole[r * kCols + j];
}

// Part `part` of what comes next, into the second cache.
template <class T>
TARN_INLINE void ask_ahead(const PixelLine<T>& l, int64_t part, int64_t parts) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  const int64_t lines = ceil_div(l.ahead_count, kLine);
  for (int64_t i = lines * part / parts; i < lines * (part + 1) / parts; ++i)
    __builtin_prefetch(l.ahead + i * kLine, 0, 2);
}

// Tiles of nearly the same height: a low one costs as many loads of filters as a high one.
template <class T>
void multiply_line(const PixelLine<T>& l) {
  const int64_t tiles = ceil_div(l.pixels, kTileRows<T>),
                strips = ceil_div(l.outputs, kTileCols<T>);
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t i = l.pixels * t / tiles, end = l.pixels * (t + 1) / tiles;
    for (int64_t s = 0; s < strips; ++s) {
      ask_ahead(l, t * strips + s, tiles * strips);
      multiply_tile(l, i, end - i, s * kTileCols<T>);
    }
  }
}

template <class T>
constexpr LineKernels<T> kLineKernels{.rows = kTileRows<T>,
                                      .columns = kTileCols<T>,
                                      .turn_pixels = turn_pixels<T>,
                                      .pack_filters = pack_filters<T>,
                                      .multiply_line = multiply_line<T>};

}  // namespace

extern const HeavyConv conv_kernels;
constinit const HeavyConv conv_kernels{.of_float = kLineKernels<float>,
                                       .of_double = kLineKernels<double>};

}  // namespace tarn::cpu::TARN_LEVEL
