// Softmax, norms and rope: a block a row, float throughout, rounded when stored. A row is read
// again for each pass; it is in the second cache by then.
#include "cuda/angle.cuh"
#include "cuda/launch.cuh"
#include "cuda/numbers.cuh"
#include "cuda/rows.h"
#include "cuda/terms.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
// Of the block of a row: as many as it has columns, in whole warps. One warp waits for nobody.
unsigned threads_for(int64_t cols) {
  return static_cast<unsigned>(cols < threads ? (cols + 31) / 32 * 32 : threads);
}

// Of a kernel that is on the card before its turn comes.
__device__ void begin() {
  wait_for_queue();
  let_next_begin();
}
using RowsKernel = void (*)(RowsCall);

struct Larger {
  __device__ float operator()(float a, float b) const { return b != b ? b : math::max(a, b); }
};

// f(x) of the block's row joined over its columns.
template <class Join, class F>
__device__ float over_row(const RowsCall& c, float start, Join join, F f) {
  __shared__ float shared[32];
  int64_t base = static_cast<int64_t>(blockIdx.x) * c.cols;
  float acc = start;
  for (int64_t i = threadIdx.x; i < c.cols; i += blockDim.x)
    acc = join(acc, f(read_number<float>(c.x, c.type, base + i)));
  return of_block(acc, shared, join);
}
// y = f(x, column) of the block's row.
template <class F>
__device__ void to_row(const RowsCall& c, F f) {
  int64_t base = static_cast<int64_t>(blockIdx.x) * c.cols;
  for (int64_t i = threadIdx.x; i < c.cols; i += blockDim.x)
    write_number(c.y, c.type, base + i, f(read_number<float>(c.x, c.type, base + i), i));
}

// Rows of float32 of which a thread holds a few numbers: they are read once.
constexpr int most_held = 8, most_threads = 1024;
bool fits_threads(const RowsCall& c) {
  return c.cols <= most_held * most_threads && c.type == float_column;
}
unsigned threads_that_hold(int64_t cols) {
  unsigned enough = threads_for(cols);
  while (enough * most_held < cols) enough *= 2;
  return enough;
}
template <int held>
struct HeldRow {
  float of[held];
  int64_t base = static_cast<int64_t>(blockIdx.x);
  __device__ explicit HeldRow(const RowsCall& c, float outside) {
    base *= c.cols;
    each(c, [&](int j, int64_t i, bool there) {
      of[j] = there ? static_cast<const float*>(c.x)[base + i] : outside;
    });
  }
  template <class F>
  __device__ void each(const RowsCall& c, F f) {
#pragma unroll
    for (int j = 0; j < held; ++j) {
      int64_t i = threadIdx.x + static_cast<int64_t>(j) * blockDim.x;
      f(j, i, i < c.cols);
    }
  }
  __device__ void store(const RowsCall& c) {
    each(c, [&](int j, int64_t i, bool there) {
      if (there) static_cast<float*>(c.y)[base + i] = of[j];
    });
  }
};
template <int held>
__global__ void __launch_bounds__(most_threads) softmax_held(const __grid_constant__ RowsCall c) {
  __shared__ float shared[32];
  begin();
  HeldRow<held> row(c, -__builtin_inff());
  float top = row.of[0];
  for (int j = 1; j < held; ++j) top = Larger()(top, row.of[j]);
  top = of_block(top, shared, Larger());
  float sum = 0;
  for (float& x : row.of) sum += x = math::exp(x - top);
  sum = of_block(sum, shared, Plus());
  for (float& x : row.of) x /= sum;
  row.store(c);
}
template <int held>
__global__ void __launch_bounds__(most_threads) rms_norm_held(const __grid_constant__ RowsCall c) {
  __shared__ float shared[32];
  begin();
  HeldRow<held> row(c, 0);
  float squares = 0;
  for (float x : row.of) squares += x * x;
  squares = of_block(squares, shared, Plus());
  float factor = 1.f / math::sqrt(squares / static_cast<float>(c.cols) + c.eps);
  row.each(c, [&](int j, int64_t i, bool there) {
    row.of[j] *= factor;
    if (there && c.weight) row.of[j] *= read_number<float>(c.weight, c.weight_type, i);
  });
  row.store(c);
}

__global__ void softmax(const __grid_constant__ RowsCall c) {
  begin();
  float top = over_row(c, -__builtin_inff(), Larger(), [](float x) { return x; });
  float sum = over_row(c, 0.f, Plus(), [&](float x) { return math::exp(x - top); });
  to_row(c, [&](float x, int64_t) { return math::exp(x - top) / sum; });
}
__global__ void logsumexp(const __grid_constant__ RowsCall c) {
  begin();
  float top = over_row(c, -__builtin_inff(), Larger(), [](float x) { return x; });
  if (math::isinf(top)) top = 0;
  float sum = over_row(c, 0.f, Plus(), [&](float x) { return math::exp(x - top); });
  if (threadIdx.x == 0) write_number(c.y, c.type, blockIdx.x, math::log(sum) + top);
}
__global__ void rms_norm(const __grid_constant__ RowsCall c) {
  begin();
  float squares = over_row(c, 0.f, Plus(), [](float x) { return x * x; });
  float factor = 1.f / math::sqrt(squares / static_cast<float>(c.cols) + c.eps);
  to_row(c, [&](float x, int64_t i) {
    float y = x * factor;
    return c.weight ? y * read_number<float>(c.weight, c.weight_type, i) : y;
  });
}
__global__ void layer_norm(const __grid_constant__ RowsCall c) {
  begin();
  auto cols = static_cast<float>(c.cols);
  float mean = over_row(c, 0.f, Plus(), [](float x) { return x; }) / cols;
  float squares = over_row(c, 0.f, Plus(), [&](float x) { return (x - mean) * (x - mean); });
  float factor = 1.f / math::sqrt(squares / cols + c.eps);
  to_row(c, [&](float x, int64_t i) {
    float y = (x - mean) * factor;
    if (c.weight) y *= read_number<float>(c.weight, c.weight_type, i);
    if (c.bias) y += read_number<float>(c.bias, c.bias_type, i);
    return y;
  });
}

// offset_of, of fewer rows than 2^32, whose divisions are short.
__device__ int64_t lead_of(const Strided& s, unsigned row) {
  int64_t offset = 0;
  for (int axis = s.axes - 1; axis > 0; --axis) {
    const auto size = static_cast<unsigned>(s.size[axis]);
    offset += row % size * s.stride[axis];
    row /= size;
  }
  return s.axes > 0 ? offset + row * s.stride[0] : 0;
}
// Column i of the thread's rows and its partner, or a column that is not turned. The numbers of
// some rows are on their way together.
template <class T>
__device__ void turn_rows(const RopeCall& c, int64_t row, int64_t t, int64_t i, Angle angle) {
  constexpr int together = 4;
  const int64_t half = c.dims / 2;
  const bool turns = i < half;
  const int64_t first = !turns ? i + half : c.traditional ? 2 * i : i;
  const int64_t second = !turns ? first : c.traditional ? first + 1 : i + half;
  const T* x = static_cast<const T*>(c.x) + t * c.row_stride;
  T* y = static_cast<T*>(c.y) + t * c.width;
  const int64_t end = row + c.rows < c.outer ? row + c.rows : c.outer;
  for (; row < end; row += together) {
    float a[together], b[together];
#pragma unroll
    for (int r = 0; r < together; ++r)
      if (row + r < end) {
        const T* from = x + lead_of(c.lead, static_cast<unsigned>(row + r));
        a[r] = wide(from[first]), b[r] = wide(from[second]);
      }
#pragma unroll
    for (int r = 0; r < together; ++r)
      if (row + r < end) {
        T* to = y + (row + r) * c.length * c.width;
        to[first] = narrow<T>(turns ? a[r] * angle.cosine - b[r] * angle.sine : a[r]);
        if (turns) to[second] = narrow<T>(a[r] * angle.sine + b[r] * angle.cosine);
      }
  }
}
// A thread a pair, and one for each column that is not turned, of `rows` rows of one position.
__global__ void rope(const __grid_constant__ RopeCalls calls) {
  wait_for_queue();
  let_next_begin();
  const RopeCall& c = calls.of[blockIdx.y];
  const int64_t half = c.dims / 2, each = c.width - half;
  int64_t at = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  int64_t i = at % each, t = at / each % c.length, row = at / each / c.length * c.rows;
  if (row >= c.outer) return;
  Angle angle;
  if (i < half) {
    double rate = c.freqs ? 1.0 / static_cast<double>(c.freqs[i])
                          : math::exp(-2.0 * static_cast<double>(i) / c.dims *
                                      math::log(static_cast<double>(c.base)));
    angle = angle_of(static_cast<double>(c.scale) * rate, *c.number + t);
  }
  if (c.type == float_column) return turn_rows<float>(c, row, t, i, angle);
  if (c.type == half_column) return turn_rows<ops::Half>(c, row, t, i, angle);
  turn_rows<ops::Bfloat>(c, row, t, i, angle);
}

unsigned blocks_of(int64_t n) { return static_cast<unsigned>(n); }

void launch_rows(RowsKernel kernel, const RowsCall& c, unsigned of_block, cudaStream_t queue) {
  static const bool early = can_begin_early(kernel);
  launch_early(kernel, early, dim3(blocks_of(c.rows)), of_block, 0, queue, c);
}

}  // namespace

void launch_softmax(const RowsCall& c, cudaStream_t queue) {
  if (!fits_threads(c)) return launch_rows(softmax, c, threads_for(c.cols), queue);
  RowsKernel kernel = c.cols <= 2 * threads ? softmax_held<2> : softmax_held<most_held>;
  launch_rows(kernel, c, threads_that_hold(c.cols), queue);
}
void launch_logsumexp(const RowsCall& c, cudaStream_t queue) {
  launch_rows(logsumexp, c, threads_for(c.cols), queue);
}
void launch_rms_norm(const RowsCall& c, cudaStream_t queue) {
  if (!fits_threads(c)) return launch_rows(rms_norm, c, threads_for(c.cols), queue);
  RowsKernel kernel = c.cols <= 2 * threads ? rms_norm_held<2> : rms_norm_held<most_held>;
  launch_rows(kernel, c, threads_that_hold(c.cols), queue);
}
void launch_layer_norm(const RowsCall& c, cudaStream_t queue) {
  launch_rows(layer_norm, c, threads_for(c.cols), queue);
}
void launch_rope(const RopeCalls& calls, cudaStream_t queue) {
  int64_t most = 0;
  for (int i = 0; i < calls.count; ++i) {
    const RopeCall& c = calls.of[i];
    int64_t n = (c.outer + c.rows - 1) / c.rows * c.length * (c.width - c.dims / 2);
    most = n > most ? n : most;
  }
  dim3 grid(blocks_of((most + threads - 1) / threads), static_cast<unsigned>(calls.count));
  static const bool early = can_begin_early(rope);
  launch_early(rope, early, grid, threads, 0, queue, calls);
}

}  // namespace tarn::cuda
