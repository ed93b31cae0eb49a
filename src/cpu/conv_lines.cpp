// Convolutions line by line. Input lines are turned once, so that neighbouring outputs read
// neighbouring numbers, and wait in a ring for as long as the kernel passes over them; no row of
// taps is gathered. Long lines go in pieces, which are lines of their own here.
#include "cpu/conv_geometry.h"
#include "cpu/heavy_conv.h"
#include "cpu/share.h"

namespace tarn::cpu {
namespace {

// Filters that are met in one pass over the lines stay in the second cache, and so does a ring.
constexpr double kFilterBytes = 1 << 19, kMostFilterBytes = 1 << 21, kMostRingBytes = 1 << 20;
// Tiles of fewer pixels or filters wait for filters from the second cache: rows of taps are
// gathered instead (conv.cpp). 7x7 pixels of 512 channels in tiles of 4 and 3 lose 20 % so.
constexpr int64_t kLeastPixels = 4, kLeastOutputs = 9;
constexpr int64_t kMostPixels = 168;  // of a piece: whole tiles at every level

const LineKernels<float>& kernels_of(float) { return heavy_conv().of_float; }
const LineKernels<double>& kernels_of(double) { return heavy_conv().of_double; }

// A turned line is (phase, channel, place): pixel v of the spread and padded line is in phase
// v % stride at place v / stride, so that a tap reads all outputs of a line side by side.
template <class T>
struct Cut {
  int64_t pieces = 0, pixels = 0;  // of an output line; of a piece, at most
  int64_t places = 0, line = 0;    // of a phase; numbers of a turned piece
  int64_t slots = 0;               // of the ring: lines that a kernel covers
  int64_t columns = 0, blocks = 0;

  explicit Cut(const Geometry& g) {
    constexpr int64_t lanes = 64 / static_cast<int64_t>(sizeof(T));
    pieces = (g.out[2] + kMostPixels - 1) / kMostPixels;
    pixels = (g.out[2] + pieces - 1) / pieces;
    int64_t units = (pixels + (g.span(2) - 1) / g.stride[2] + lanes - 1) / lanes;
    places = (units | 1) * lanes;  // an odd number of cache lines, which spreads channels over sets
    line = g.stride[2] * g.channels * places;
    slots = g.span(0) * g.span(1);
    int64_t least = kernels_of(T()).columns;
    double fitting = kFilterBytes / static_cast<double>(g.depth() * sizeof(T));
    columns = std::max(least, static_cast<int64_t>(fitting) / least * least);
    columns = std::min(columns, (g.outputs + least - 1) / least * least);
    blocks = (g.outputs + columns - 1) / columns;
  }
};

// Lines end in a low tile, which counts for little where there are others.
bool fills_tiles(int64_t pixels, int64_t rows) {
  return pixels >= kLeastPixels * ((pixels + rows - 1) / rows) || pixels >= 2 * rows;
}

// Whether an input number is read by more than one output. Where none is, as in patches, a row of
// taps copies each number once, which is no more than turning lines does.
bool overlaps(const Geometry& g) {
  return g.stride[0] < g.span(0) || g.stride[1] < g.span(1) || g.stride[2] < g.span(2);
}

template <class T>
bool takes_lines(const Step& s) {
  Geometry g = geometry_of(s);
  if (g.plain() || g.channels == 0 || g.outputs < kLeastOutputs || !overlaps(g) ||
      !fills_tiles(g.out[2], kernels_of(T()).rows))
    return false;
  auto wide = [](int64_t n) { return static_cast<double>(n); };
  double pixels = wide(std::min(g.out[2], kMostPixels)) * wide(g.stride[2]) + wide(g.span(2));
  double ring = wide(g.span(0)) * wide(g.span(1)) * wide(g.channels) * pixels;
  double filters = wide(g.depth()) * wide(kernels_of(T()).columns);
  return ring * sizeof(T) <= kMostRingBytes && filters * sizeof(T) <= kMostFilterBytes;
}

// Which line a slot of the ring holds.
struct Held {
  int64_t item = -1, i = 0, j = 0, k = 0;  // image and group; where it begins on each axis
  bool operator==(const Held&) const = default;
};

// One worker's memory, or only its size where there is no base.
template <class T>
struct Room {
  T *filters = nullptr, *ring = nullptr;
  Held* held = nullptr;
  const T **pixels = nullptr, **taps = nullptr;
  size_t bytes = 0;

  Room(const Geometry& g, const Cut<T>& cut, std::byte* base) {
    auto take = [&]<class E>(E*& to, int64_t n) {
      to = base ? reinterpret_cast<E*>(base + bytes) : nullptr;
      bytes += aligned(static_cast<size_t>(n) * sizeof(E));
    };
    take(filters, cut.columns * g.depth() + PackFilters<T>::kSlack);
    take(ring, cut.slots * cut.line);
    take(held, cut.slots);
    take(pixels, cut.places);
    take(taps, g.taps());
  }
};

template <class T>
class Lines {
 public:
  Lines(const Step& s, const Geometry& g, const Cut<T>& cut, const Room<T>& room)
      : g_(g), cut_(cut), room_(room), kernels_(kernels_of(T())) {
    x_ = s.in[0].as<const T>(), w_ = s.in[1].as<const T>(), y_ = s.out.as<T>();
    std::fill_n(room_.held, cut_.slots, Held{});
  }
  // `block` counts blocks of columns, the same one in every group before the next.
  void pack(int64_t block) {
    group_ = block % g_.groups, column_ = block / g_.groups * cut_.columns;
    columns_ = std::min(cut_.columns, g_.outputs - column_);
    const T* w = w_ + (group_ * g_.outputs + column_) * g_.depth();
    kernels_.pack_filters({w, columns_, g_.depth(), room_.filters});
  }
  // A piece of line `at` of the outputs, counted over all images.
  void multiply(int64_t piece, int64_t at) {
    int64_t first = at * g_.out[2] + piece * cut_.pixels;
    Row r = row_of(g_, first);
    PixelLine<T> line;
    line.x = room_.taps, line.taps = g_.taps(), line.channels = g_.channels;
    line.x_step = cut_.places, line.pixels = std::min(cut_.pixels, g_.out[2] - r.at[2]);
    line.filters = room_.filters, line.outputs = columns_;
    line.y_step = g_.groups * g_.outputs;
    line.y = y_ + first * line.y_step + group_ * g_.outputs + column_;
    find_taps(r);
    find_next(r, line);
    kernels_.multiply_line(line);
  }

 private:
  void find_taps(const Row& r) {
    const T** tap = room_.taps;
    for (int64_t a = 0; a < g_.kernel[0]; ++a)
      for (int64_t b = 0; b < g_.kernel[1]; ++b) {
        const T* line =
            turned(r.image, {r.image * g_.groups + group_, r.at[0] * g_.stride[0] + reach(g_, 0, a),
                             r.at[1] * g_.stride[1] + reach(g_, 1, b), r.at[2] * g_.stride[2]});
        for (int64_t c = 0; c < g_.kernel[2]; ++c) {
          int64_t v = reach(g_, 2, c), phase = v % g_.stride[2];
          *tap++ = line + phase * g_.channels * cut_.places + v / g_.stride[2];
        }
      }
  }
  // The input that the line below turns first, where its numbers lie side by side.
  void find_next(const Row& r, PixelLine<T>& line) const {
    int64_t i = inside(g_, 0, r.at[0] * g_.stride[0] + g_.span(0) - 1);
    int64_t j = inside(g_, 1, (r.at[1] + 1) * g_.stride[1] + g_.span(1) - 1);
    int64_t k = std::max<int64_t>(0, r.at[2] * g_.stride[2] - g_.lo[2]);
    if (i < 0 || j < 0 || k >= g_.in[2] || g_.groups * g_.input_dilation[2] != 1) return;
    line.ahead = pixel_at(g_, x_, r.image, i, j, k);
    line.ahead_count = std::min(g_.in[2] - k, cut_.pixels * g_.stride[2]) * g_.channels;
  }
  // From the ring or into it.
  const T* turned(int64_t image, const Held& wanted) {
    int64_t slot = wanted.i % g_.span(0) * g_.span(1) + wanted.j % g_.span(1);
    T* line = room_.ring + slot * cut_.line;
    if (room_.held[slot] != wanted) fill(wanted, image, line);
    room_.held[slot] = wanted;
    return line;
  }
  void fill(const Held& at, int64_t image, T* line) {
    int64_t i = inside(g_, 0, at.i), j = inside(g_, 1, at.j);
    if (i < 0 || j < 0) {
      std::fill_n(line, cut_.line, T(0));
      return;
    }
    for (int64_t phase = 0; phase < g_.stride[2]; ++phase) {
      for (int64_t q = 0; q < cut_.places; ++q) {
        int64_t k = inside(g_, 2, at.k + q * g_.stride[2] + phase);
        room_.pixels[q] = k < 0 ? nullptr : pixel_at(g_, x_, image, i, j, k) + group_ * g_.channels;
      }
      kernels_.turn_pixels({room_.pixels, cut_.places, g_.channels,
                            line + phase * g_.channels * cut_.places, cut_.places});
    }
  }

  const Geometry& g_;
  const Cut<T>& cut_;
  const Room<T>& room_;
  const LineKernels<T>& kernels_;
  const T *x_ = nullptr, *w_ = nullptr;
  T* y_ = nullptr;
  int64_t group_ = 0, column_ = 0, columns_ = 0;
};

template <class T>
size_t room_bytes(const Geometry& g, const Cut<T>& cut) {
  return Room<T>(g, cut, nullptr).bytes;
}
template <class T>
void run_lines(const Step& s, int worker, int workers) {
  Geometry g = geometry_of(s);
  Cut<T> cut(g);
  // Line after line of a piece, so that they meet in the ring.
  int64_t lines = g.n * g.out[0] * g.out[1], each = cut.pieces * lines;
  Share mine = share(g.groups * cut.blocks * each, worker, workers);
  if (mine.from == mine.to) return;
  size_t before = static_cast<size_t>(worker) * room_bytes(g, cut);
  Room<T> room(g, cut, static_cast<std::byte*>(s.scratch) + before);
  Lines<T> of(s, g, cut, room);
  for (int64_t u = mine.from; u < mine.to; ++u) {
    if (u == mine.from || u % each == 0) of.pack(u / each);
    of.multiply(u % each / lines, u % lines);
  }
}
template <class T>
size_t lines_scratch(const Step& s, int workers) {
  Geometry g = geometry_of(s);
  return room_bytes(g, Cut<T>(g)) * static_cast<size_t>(workers);
}

template <class T>
bool fits_lines(const Step& s) {
  return s.out.dtype == (std::is_same_v<T, float> ? float32 : float64) && takes_lines<T>(s);
}
template <class T>
Kernel kernel_of_lines(std::string_view name) {
  return {.run = run_lines<T>,
          .fits = fits_lines<T>,
          .scratch = lines_scratch<T>,
          .cost = conv_cost,
          .name = name};
}

}  // namespace

void add_line_convolutions(KernelTable& t) {
  const Op& op = ops::op_of<ops::Convolution>;
  t.add(op, kernel_of_lines<float>("lines"));
  t.add(op, kernel_of_lines<double>("lines float64"));
}

}  // namespace tarn::cpu
