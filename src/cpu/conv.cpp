// Convolutions: rows of taps gathered in blocks for the matrix kernels.
#include <cstring>

#include "cpu/conv_geometry.h"
#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/share.h"

namespace tarn::cpu {
namespace {

// --- blocks of rows for the matrix kernels

// What one call of a matrix kernel multiplies: taps in at most kDepth columns and about kBlock
// numbers, which stay in the second cache. Cut by the shape alone, so that sums have one order.
constexpr int64_t kDepth = 4096, kBlock = 1 << 18, kRowUnit = 84, kColumns = 128;
struct Blocks {
  int64_t rows = 0, columns = 0, depth = 0;  // of one block
  int64_t row_count = 0, column_count = 0;   // of blocks in a group
};
Blocks blocks_of(const Geometry& g) {
  Blocks b;
  b.depth = std::clamp<int64_t>(g.depth(), 1, kDepth);
  int64_t most = std::max(kRowUnit, kBlock / b.depth / kRowUnit * kRowUnit);
  int64_t even = (g.rows() / 32 + kRowUnit - 1) / kRowUnit * kRowUnit;  // 32 shares or more
  b.rows = std::clamp(even, kRowUnit, most);
  b.row_count = (g.rows() + b.rows - 1) / b.rows;
  bool few = b.row_count * g.groups < 16 && g.outputs >= 2 * kColumns;
  b.columns = few ? kColumns : std::max<int64_t>(g.outputs, 1);
  b.column_count = (g.outputs + b.columns - 1) / b.columns;
  return b;
}

// Elements [from, to) of the taps (a, b, 0..kernel[2]) of one row and group, row-contiguous.
template <class T>
void gather_line(const Geometry& g, const T* x, const Row& r, int64_t a, int64_t b, int64_t from,
                 int64_t to, T* out) {
  int64_t i = place(g, 0, r.at[0], a), j = place(g, 1, r.at[1], b);
  if (i < 0 || j < 0) {
    std::memset(out, 0, static_cast<size_t>(to - from) * sizeof(T));
    return;
  }
  const T* line = pixel_at(g, x, r.image, i, j, 0);
  if (g.groups * g.kernel_dilation[2] * g.input_dilation[2] == 1 && !g.flip) {
    // The taps lie side by side.
    int64_t first = (r.at[2] * g.stride[2] - g.lo[2]) * g.channels;
    int64_t end = g.in[2] * g.channels;
    int64_t a0 = std::clamp(first + from, int64_t{0}, end), a1 = std::clamp(first + to, a0, end);
    int64_t before = std::clamp(-first - from, int64_t{0}, to - from);
    std::fill(out, out + before, T(0));
    std::copy(line + a0, line + a1, out + before);
    std::fill(out + before + (a1 - a0), out + (to - from), T(0));
    return;
  }
  for (int64_t c = from / g.channels; from < to; ++c) {
    int64_t skip = from - c * g.channels, n = std::min(g.channels - skip, to - from);
    int64_t k = place(g, 2, r.at[2], c);
    if (k < 0)
      std::fill(out, out + n, T(0));
    else
      std::copy_n(line + k * g.pixel() + skip, n, out);
    from += n, out += n;
  }
}
// Columns [from, to) of the taps of rows [first, last): a matrix with rows `to - from` apart.
template <class T>
void gather(const Geometry& g, const T* x, int64_t first, int64_t last, int64_t from, int64_t to,
            T* out) {
  int64_t line = g.kernel[2] * g.channels;
  for (int64_t i = first; i < last; ++i) {
    Row r = row_of(g, i);
    for (int64_t at = from; at < to;) {
      int64_t l = at / line, begin = at - l * line, end = std::min(line, begin + to - at);
      gather_line(g, x, r, l / g.kernel[1], l % g.kernel[1], begin, end, out);
      out += end - begin, at += end - begin;
    }
  }
}

template <class T>
using GemmOf = std::conditional_t<std::is_same_v<T, double>, Gemm64, Gemm>;
void multiply(const Gemm& m) { heavy().gemm(m, 0, 1); }
void multiply(const Gemm64& m) { heavy().gemm64(m, 0, 1); }
size_t room_of(const Gemm& m) { return heavy().gemm_scratch(m, 1); }
size_t room_of(const Gemm64& m) { return heavy().gemm64_scratch(m, 1); }

// The largest product of a block, for its scratch, without its operands.
template <class T>
GemmOf<T> product_of(const Blocks& b, int64_t rows, int64_t columns, int64_t depth) {
  GemmOf<T> m;
  m.m = rows, m.n = columns, m.k = depth;
  m.a_row = b.depth, m.b_row = 1, m.b_col = depth;
  return m;
}
template <class T>
size_t multiply_room(const Geometry& g, const Blocks& b) {
  // Few rows or columns take another way through the kernel, with room of its own.
  size_t most = 0;
  for (int64_t rows : {b.rows, std::min<int64_t>(b.rows, 8)})
    for (int64_t columns : {b.columns, std::min<int64_t>(b.columns, 8)})
      most = std::max(most, room_of(product_of<T>(b, rows, columns, b.depth)));
  size_t block = g.plain() ? 0 : static_cast<size_t>(b.rows * b.depth) * sizeof(T);
  return aligned(most) + aligned(block);
}

template <class T>
void multiply_block(const Geometry& g, const Blocks& b, int64_t unit, const T* x, const T* w, T* y,
                    std::byte* scratch) {
  int64_t column = unit % b.column_count * b.columns, group = unit / b.column_count % g.groups;
  int64_t first = unit / b.column_count / g.groups * b.rows;
  int64_t last = std::min(g.rows(), first + b.rows);
  int64_t columns = std::min(b.columns, g.outputs - column), depth = g.depth();
  auto* block = reinterpret_cast<T*>(scratch);
  const T* from_group = x + group * g.channels;
  for (int64_t k = 0; k == 0 || k < depth; k += b.depth) {
    int64_t wide = std::min(b.depth, depth - k);
    auto m = product_of<T>(b, last - first, columns, wide);
    m.b = w + (group * g.outputs + column) * depth + k, m.b_row = 1, m.b_col = depth;
    m.c = y + first * g.groups * g.outputs + group * g.outputs + column;
    m.c_row = g.groups * g.outputs;
    m.beta = k > 0;
    if (g.plain()) {
      m.a = from_group + first * g.pixel() + k, m.a_row = g.pixel();
      m.scratch = scratch;
    } else {
      gather(g, from_group, first, last, k, k + wide, block);
      m.a = block, m.a_row = wide;
      m.scratch = scratch + aligned(static_cast<size_t>(b.rows * b.depth) * sizeof(T));
    }
    multiply(m);
  }
}
template <class T>
void multiply_shares(const Geometry& g, const T* x, const T* w, T* y, std::byte* scratch,
                     int worker, int workers) {
  Blocks b = blocks_of(g);
  Share mine = share(b.row_count * g.groups * b.column_count, worker, workers);
  for (int64_t u = mine.from; u < mine.to; ++u) multiply_block(g, b, u, x, w, y, scratch);
}

template <class T>
void run_blocks(const Step& s, int worker, int workers) {
  Geometry g = geometry_of(s);
  auto* scratch = static_cast<std::byte*>(s.scratch);
  scratch += static_cast<size_t>(worker) * multiply_room<T>(g, blocks_of(g));
  multiply_shares(g, s.in[0].as<const T>(), s.in[1].as<const T>(), s.out.as<T>(), scratch, worker,
                  workers);
}
template <class T>
size_t blocks_scratch(const Step& s, int workers) {
  Geometry g = geometry_of(s);
  return multiply_room<T>(g, blocks_of(g)) * static_cast<size_t>(workers);
}

// --- complex numbers

// A weight a + bi meets pairs of channels (re, im): (a, -b) gives the real part, (b, a) the other.
void expand_weight(const Geometry& g, const float* w, float* out) {
  int64_t depth = g.depth();
  for (int64_t o = 0; o < g.groups * g.outputs / 2; ++o, out += 2 * depth)
    for (int64_t k = 0; k < depth; k += 2, w += 2) {
      out[k] = w[0], out[k + 1] = -w[1];
      out[depth + k] = w[1], out[depth + k + 1] = w[0];
    }
}
size_t expanded_bytes(const Geometry& g) {
  return aligned(static_cast<size_t>(g.groups * g.outputs * g.depth()) * sizeof(float));
}
void run_complex(const Step& s, int worker, int workers) {
  Geometry g = geometry_of(s);
  size_t own = multiply_room<float>(g, blocks_of(g)) + expanded_bytes(g);
  auto* scratch = static_cast<std::byte*>(s.scratch) + static_cast<size_t>(worker) * own;
  auto* w = reinterpret_cast<float*>(scratch);
  expand_weight(g, s.in[1].as<const float>(), w);
  multiply_shares<float>(g, s.in[0].as<const float>(), w, s.out.as<float>(),
                         scratch + expanded_bytes(g), worker, workers);
}
size_t complex_scratch(const Step& s, int workers) {
  Geometry g = geometry_of(s);
  return (multiply_room<float>(g, blocks_of(g)) + expanded_bytes(g)) * static_cast<size_t>(workers);
}

}  // namespace

void add_convolutions(KernelTable& t) {
  const Op& op = ops::op_of<ops::Convolution>;
  auto is32 = [](const Step& s) { return s.out.dtype == float32; };
  auto is64 = [](const Step& s) { return s.out.dtype == float64; };
  add_depthwise_convolutions(t);
  add_line_convolutions(t);
  t.add(op, {.run = run_blocks<float>,
             .fits = is32,
             .scratch = blocks_scratch<float>,
             .cost = conv_cost,
             .name = "gemm of taps"});
  t.add(op, {.run = run_blocks<double>,
             .fits = is64,
             .scratch = blocks_scratch<double>,
             .cost = conv_cost,
             .name = "gemm of taps float64"});
  t.add(op, {.run = run_complex,
             .scratch = complex_scratch,
             .cost = conv_cost,
             .name = "gemm of taps complex64"});
}

}  // namespace tarn::cpu
