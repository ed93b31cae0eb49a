// A few columns beside many rows: what takes the time is reading x, once. Sums are float32, in an
// order that the shape decides.
#include "cuda/launch.cuh"
#include "cuda/thin.h"

namespace tarn::cuda {
namespace {

// --- y = x b: a warp has two rows, its lanes four columns each of every 128, and the rows of each
// b that belong to a chunk of columns lie in shared memory, turned. The next chunk of x is on its
// way meanwhile.

constexpr int threads = 512, rows_a_warp = 2, rows_a_block = threads / 32 * rows_a_warp;
constexpr int chunk = 256, steps = chunk / 128;
constexpr int padded = chunk + 4;  // so that neighbouring columns lie in other banks
constexpr int slot = 8;            // columns of one b

// Which columns a slot has.
struct Slots {
  int call[most_slots] = {}, first[most_slots] = {};
};

// A thread's numbers of a slot: the next chunk's are on their way while this one's are used.
struct SlotPart {
  static constexpr int each = chunk * slot / threads;
  float next[each];
  int column,
      row;  // of the first; the others are further rows, or columns, whichever is contiguous
  bool along_columns;

  __device__ void begin(const ThinCall& c) {
    along_columns = c.b_col == 1;
    int i = static_cast<int>(threadIdx.x);
    column = along_columns ? i % slot : i / chunk, row = along_columns ? i / slot : i % chunk;
  }
  __device__ int column_of(int q) const {
    return along_columns ? column : column + q * (threads / chunk);
  }
  __device__ int row_of(int q) const { return along_columns ? row + q * (threads / slot) : row; }
  __device__ void load(const ThinCall& c, int first, int64_t from) {
#pragma unroll
    for (int q = 0; q < each; ++q) {
      int64_t k = from + row_of(q), j = first + column_of(q);
      next[q] = k < c.cols && j < c.width ? c.b[k * c.b_row + j * c.b_col] : 0.f;
    }
  }
  __device__ void store(float (*b)[padded]) const {
#pragma unroll
    for (int q = 0; q < each; ++q) b[column_of(q)][row_of(q)] = next[q];
  }
};
struct TwoRows {
  float4 of[rows_a_warp][steps];
  __device__ void load(const ThinCall& c, int64_t row, int64_t from) {
#pragma unroll
    for (int r = 0; r < rows_a_warp; ++r)
#pragma unroll
      for (int s = 0; s < steps; ++s) {
        int64_t col = from + s * 128 + threadIdx.x % 32 * 4;
        bool there = row + r < c.rows && col < c.cols;
        of[r][s] = there ? *reinterpret_cast<const float4*>(c.x + (row + r) * c.lead + col)
                         : float4{0, 0, 0, 0};
      }
  }
};
template <int slots>
__global__ void __launch_bounds__(threads, 1)
    thin(const __grid_constant__ ThinCalls calls, const __grid_constant__ Slots at) {
  __shared__ __align__(16) float b[slots * slot][padded];
  const ThinCall& c = calls.of[0];
  int lane = threadIdx.x % 32;
  int64_t row = static_cast<int64_t>(blockIdx.x) * rows_a_block + threadIdx.x / 32 * rows_a_warp;
  float sums[rows_a_warp][slots * slot] = {};
  TwoRows x, next;
  next.load(c, row, 0);
  SlotPart parts[slots];
  auto each_slot = [&](auto f) {
#pragma unroll
    for (int i = 0; i < slots; ++i) f(parts[i], calls.of[at.call[i]], i);
  };
  auto load = [&](int64_t from) {
    each_slot([&](SlotPart& p, const ThinCall& of, int i) { p.load(of, at.first[i], from); });
  };
  each_slot([](SlotPart& p, const ThinCall& of, int) { p.begin(of); });
  load(0);
  for (int64_t from = 0; from < c.cols; from += chunk) {
    __syncthreads();
    each_slot([&](SlotPart& p, const ThinCall&, int i) { p.store(b + i * slot); });
    load(from + chunk);
    x = next;
    next.load(c, row, from + chunk);
    __syncthreads();
#pragma unroll
    for (int s = 0; s < steps; ++s)
#pragma unroll
      for (int j = 0; j < slots * slot; ++j) {
        float4 w = *reinterpret_cast<const float4*>(&b[j][s * 128 + lane * 4]);
#pragma unroll
        for (int r = 0; r < rows_a_warp; ++r) {
          float4 v = x.of[r][s];
          sums[r][j] += v.x * w.x + v.y * w.y + (v.z * w.z + v.w * w.w);
        }
      }
  }
#pragma unroll
  for (int r = 0; r < rows_a_warp; ++r)
#pragma unroll
    for (int j = 0; j < slots * slot; ++j) {
      float sum = sums[r][j];
      for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
      const ThinCall& to = calls.of[at.call[j / slot]];
      int col = at.first[j / slot] + j % slot;
      if (lane == j % 32 && row + r < c.rows && col < to.width)
        to.y[(row + r) * to.y_row + col * to.y_col] = sum;
    }
}

// --- y = x^T b: a thread has four columns of x and a block a part of its rows, whose sums it
// leaves for a second kernel

constexpr int turned_threads = 128, block_cols = turned_threads * 4, at_once = 8;  // rows
constexpr int adding_threads = 256;

// Some rows of the thread's columns.
struct SomeRows {
  float4 of[at_once];
  // All of them are there if `whole`: then their loads are on the way together.
  template <bool whole>
  __device__ void load(const ThinCall& c, int64_t from, int64_t end, int64_t col) {
#pragma unroll
    for (int r = 0; r < at_once; ++r)
      of[r] = whole || from + r < end
                  ? *reinterpret_cast<const float4*>(c.x + (from + r) * c.lead + col)
                  : float4{0, 0, 0, 0};
  }
  template <int width>
  __device__ void add(const float (*b)[width], float4 (&sums)[width]) const {
#pragma unroll
    for (int r = 0; r < at_once; ++r)
#pragma unroll
      for (int j = 0; j < width; ++j) {
        float w = b[r][j];
        sums[j].x += of[r].x * w, sums[j].y += of[r].y * w;
        sums[j].z += of[r].z * w, sums[j].w += of[r].w * w;
      }
  }
};
template <int slots>
__global__ void __launch_bounds__(turned_threads)
    thin_turned(const __grid_constant__ ThinCalls calls, const __grid_constant__ Slots at) {
  constexpr int held = at_once * 4, width = slots * slot;
  __shared__ __align__(16) float b[held][width];
  const ThinCall& c = calls.of[0];
  int64_t col = static_cast<int64_t>(blockIdx.x) * block_cols + threadIdx.x * 4;
  int64_t each = (c.rows + c.parts - 1) / c.parts;
  each = (each + held - 1) / held * held;
  int64_t first = blockIdx.y * each;
  int64_t end = first + each < c.rows ? first + each : c.rows;
  float4 sums[width] = {};
  auto number = [&](int64_t from, int i) {
    const int64_t r = from + i / width;
    const ThinCall& of = calls.of[at.call[i % width / slot]];
    const int j = at.first[i % width / slot] + i % slot;
    return r < end && j < of.width ? of.b[r * of.b_row + j * of.b_col] : 0.f;
  };
  // Of few columns, the next rows of x and b are on their way while these are used; for others
  // there are no registers.
  constexpr bool ahead = slots == 1;
  constexpr int each_b = held * width / turned_threads;
  const bool there = col < c.cols;
  float next[each_b];
  SomeRows x[2];
  auto load_x = [&](SomeRows& to, int64_t from) {
    from + at_once <= end ? to.load<true>(c, from, end, col) : to.load<false>(c, from, end, col);
  };
  auto load_b = [&](int64_t from) {
#pragma unroll
    for (int q = 0; q < each_b; ++q)
      next[q] = number(from, static_cast<int>(threadIdx.x) + q * turned_threads);
  };
  if (ahead) load_b(first);
  if (ahead && there) load_x(x[0], first);
  for (int64_t from = first; from < end; from += held) {
    __syncthreads();
#pragma unroll(ahead ? each_b : 1)
    for (int q = 0; q < each_b; ++q) {
      const int i = static_cast<int>(threadIdx.x) + q * turned_threads;
      b[i / width][i % width] = ahead ? next[q] : number(from, i);
    }
    if (ahead) load_b(from + held);
    __syncthreads();
    if (!there) continue;
    if constexpr (ahead) {
#pragma unroll
      for (int part = 0; part < held / at_once; ++part) {
        load_x(x[(part + 1) % 2], from + (part + 1) * at_once);
        x[part % 2].add(b + part * at_once, sums);
      }
    } else {
#pragma unroll 1
      for (int part = 0; part < held; part += at_once) {
        load_x(x[0], from + part);
        x[0].add(b + part, sums);
      }
    }
  }
  if (!there) return;
#pragma unroll
  for (int j = 0; j < width; ++j) {
    const ThinCall& to = calls.of[at.call[j / slot]];
    int64_t of = at.first[j / slot] + j % slot;
    if (of < to.width)
      *reinterpret_cast<float4*>(to.scratch + (blockIdx.y * to.width + of) * c.cols + col) =
          sums[j];
  }
}
__global__ void add_parts(const __grid_constant__ ThinCalls calls) {
  const ThinCall& c = calls.of[blockIdx.z];
  int64_t col = static_cast<int64_t>(blockIdx.x) * adding_threads + threadIdx.x, j = blockIdx.y;
  if (col >= c.cols || j >= c.width) return;
  constexpr int together = 16;  // loads on their way
  float sum = 0;
  for (int64_t first = 0; first < c.parts; first += together) {
    float part[together];
#pragma unroll
    for (int i = 0; i < together; ++i)
      part[i] = first + i < c.parts ? c.scratch[((first + i) * c.width + j) * c.cols + col] : 0.f;
#pragma unroll
    for (int i = 0; i < together; ++i) sum += part[i];
  }
  c.y[col * c.y_row + j * c.y_col] = sum;
}

unsigned over(int64_t n, int64_t each) { return static_cast<unsigned>((n + each - 1) / each); }
// Returns how many slots there are.
int set_slots(const ThinCalls& calls, Slots& at) {
  int used = 0;
  for (int i = 0; i < calls.count; ++i)
    for (int first = 0; first < calls.of[i].width; first += slot, ++used)
      at.call[used] = i, at.first[used] = first;
  return used;
}

}  // namespace

void launch_thin(const ThinCalls& calls, cudaStream_t queue) {
  constexpr void (*kernels[])(ThinCalls, Slots) = {thin<1>, thin<2>, thin<3>, thin<4>};
  Slots at;
  int used = set_slots(calls, at);
  kernels[used - 1]<<<over(calls.of[0].rows, rows_a_block), threads, 0, queue>>>(calls, at);
}
void launch_thin_turned(const ThinCalls& calls, cudaStream_t queue) {
  constexpr void (*kernels[])(ThinCalls, Slots) = {thin_turned<1>, thin_turned<2>, thin_turned<3>,
                                                   thin_turned<4>};
  const ThinCall& c = calls.of[0];
  Slots at;
  int used = set_slots(calls, at);
  dim3 grid(over(c.cols, block_cols), static_cast<unsigned>(c.parts));
  kernels[used - 1]<<<grid, turned_threads, 0, queue>>>(calls, at);
  dim3 sums(over(c.cols, adding_threads), most_thin, static_cast<unsigned>(calls.count));
  add_parts<<<sums, adding_threads, 0, queue>>>(calls);
}

}  // namespace tarn::cuda
