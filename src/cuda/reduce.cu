// Reductions over any axes of any layout, and the index of an extreme.
//
// Floats are folded in double and integers in 64 bits, so one kernel serves all dtypes and a sum
// is as exact as the CPU's. A block or a warp folds an output; short ones and columns take a thread
// each, so that neighbours read neighbours. Where that is too little work for the card, outputs are
// cut into pieces. Orders are fixed: the same call gives the same bits.
#include "cuda/launch.cuh"
#include "cuda/numbers.cuh"
#include "cuda/reduce.h"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t short_fold = 64;  // below, a block would mostly idle
constexpr int64_t blocks_wanted = 1024;
constexpr int64_t least_piece = 4096;       // elements, of a block
constexpr int64_t least_thread_piece = 64;  // of a thread

// Columns, whose neighbours lie side by side, and short folds.
bool by_thread(const FoldCall& c) {
  bool runs = c.folded.axes == 0 || c.folded.stride[c.folded.axes - 1] == 1;
  bool columns = !runs && c.kept.axes > 0 && c.kept.stride[c.kept.axes - 1] == 1;
  return c.each < short_fold || columns;
}

template <class Acc, Fold fold>
struct FoldOf {
  __device__ static Acc start() {
    if constexpr (fold == Fold::sum) return Acc(0);
    if constexpr (fold == Fold::prod) return Acc(1);
    constexpr bool largest = fold == Fold::max;
    if constexpr (__is_same(Acc, double))
      return largest ? -__builtin_inf() : __builtin_inf();
    else if constexpr (__is_same(Acc, long))
      return largest ? -0x7fffffffffffffffl - 1 : 0x7fffffffffffffffl;
    else
      return largest ? 0ul : ~0ul;
  }
  __device__ static Acc join(Acc a, Acc b) {
    if constexpr (fold == Fold::sum) return a + b;
    if constexpr (fold == Fold::prod) return a * b;
    if constexpr (fold == Fold::max) return math::max(a, b);
    if constexpr (fold == Fold::min) return math::min(a, b);
  }
};
// A NaN on either side stays.
template <class F, class Acc>
__device__ Acc joined(Acc a, Acc b) {
  return b != b ? b : F::join(a, b);
}

// The elements of one piece of a fold.
struct Part {
  int64_t from, to;
};
__device__ Part part_of(const FoldCall& c, int64_t piece) {
  int64_t size = (c.each + c.pieces - 1) / c.pieces, from = piece * size;
  return {from, from + size < c.each ? from + size : c.each};
}
template <class Acc>
__device__ void finish(const FoldCall& c, int64_t output, int64_t piece, Acc acc) {
  if (c.pieces > 1)
    static_cast<Acc*>(c.partial)[output * c.pieces + piece] = acc;
  else
    write_number(c.y, c.to, output, acc);
}

template <class Acc, Fold fold>
__global__ void fold_with_block(const __grid_constant__ FoldCall c) {
  using F = FoldOf<Acc, fold>;
  __shared__ Acc shared[32];
  int64_t output = blockIdx.x / c.pieces, piece = blockIdx.x % c.pieces;
  Part part = part_of(c, piece);
  int64_t base = offset_of(c.kept, output);
  Acc acc = F::start();
  for (int64_t i = part.from + threadIdx.x; i < part.to; i += threads)
    acc = joined<F>(acc, read_number<Acc>(c.x, c.from, base + offset_of(c.folded, i)));
  acc = of_block(acc, shared, [](Acc a, Acc b) { return joined<F>(a, b); });
  if (threadIdx.x == 0) finish(c, output, piece, acc);
}
// A warp an output, where they are many and too short for a block.
constexpr int64_t warp_fold = 2048, many_outputs = 4096;
bool by_warp(const FoldCall& c) {
  return c.pieces == 1 && c.each <= warp_fold && c.outputs >= many_outputs;
}
template <class Acc, Fold fold>
__global__ void fold_with_warp(const __grid_constant__ FoldCall c) {
  using F = FoldOf<Acc, fold>;
  int64_t output = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) / 32;
  if (output >= c.outputs) return;
  int64_t base = offset_of(c.kept, output);
  bool run = c.folded.axes == 1 && c.folded.stride[0] == 1;
  auto element = [&](int64_t i) {
    return read_number<Acc>(c.x, c.from, base + (run ? i : offset_of(c.folded, i)));
  };
  Acc acc = F::start();
#pragma unroll 8
  for (int64_t i = threadIdx.x % 32; i < c.each; i += 32) acc = joined<F>(acc, element(i));
  for (int step = 16; step > 0; step /= 2) acc = joined<F>(acc, __shfl_xor_sync(~0u, acc, step));
  if (threadIdx.x % 32 == 0) write_number(c.y, c.to, output, acc);
}
template <class Acc, Fold fold>
__global__ void fold_with_thread(const __grid_constant__ FoldCall c) {
  using F = FoldOf<Acc, fold>;
  int64_t output = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (output >= c.outputs) return;
  Part part = part_of(c, blockIdx.y);
  int64_t base = offset_of(c.kept, output);
  Acc acc = F::start();
  for (int64_t i = part.from; i < part.to; ++i)
    acc = joined<F>(acc, read_number<Acc>(c.x, c.from, base + offset_of(c.folded, i)));
  finish(c, output, blockIdx.y, acc);
}
template <class Acc, Fold fold>
__global__ void join_pieces(const __grid_constant__ FoldCall c) {
  using F = FoldOf<Acc, fold>;
  int64_t output = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (output >= c.outputs) return;
  Acc acc = F::start();
  for (int64_t i = 0; i < c.pieces; ++i)
    acc = joined<F>(acc, static_cast<const Acc*>(c.partial)[output * c.pieces + i]);
  write_number(c.y, c.to, output, acc);
}

unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }

template <class Acc, Fold fold>
void launch_of(const FoldCall& c, cudaStream_t queue) {
  if (by_thread(c)) {
    dim3 grid(blocks_for(c.outputs), static_cast<unsigned>(c.pieces));
    fold_with_thread<Acc, fold><<<grid, threads, 0, queue>>>(c);
  } else if (by_warp(c)) {
    fold_with_warp<Acc, fold><<<blocks_for(c.outputs * 32), threads, 0, queue>>>(c);
  } else {
    auto blocks = static_cast<unsigned>(c.outputs * c.pieces);
    fold_with_block<Acc, fold><<<blocks, threads, 0, queue>>>(c);
  }
  if (c.pieces > 1) join_pieces<Acc, fold><<<blocks_for(c.outputs), threads, 0, queue>>>(c);
}
template <class Acc>
void launch_in(const FoldCall& c, cudaStream_t queue) {
  switch (c.fold) {
    case Fold::sum:
      return launch_of<Acc, Fold::sum>(c, queue);
    case Fold::prod:
      return launch_of<Acc, Fold::prod>(c, queue);
    case Fold::max:
      return launch_of<Acc, Fold::max>(c, queue);
    case Fold::min:
      return launch_of<Acc, Fold::min>(c, queue);
  }
}

// --- the index of an extreme

template <class Acc>
struct Best {
  Acc value;
  unsigned at;
};
template <class Acc>
__device__ Best<Acc> better(Best<Acc> a, Best<Acc> b, bool largest) {
  bool nan_a = a.value != a.value, nan_b = b.value != b.value;
  if (nan_a || nan_b) return nan_a && (!nan_b || a.at < b.at) ? a : b;
  if (a.value == b.value) return a.at < b.at ? a : b;
  return (a.value > b.value) == largest ? a : b;
}
// Of all threads, for the first.
template <class Acc>
__device__ Best<Acc> best_of_block(Best<Acc> mine, Best<Acc>* shared, bool largest) {
  shared[threadIdx.x] = mine;
  for (int step = threads / 2; step > 0; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step)
      shared[threadIdx.x] = better(shared[threadIdx.x], shared[threadIdx.x + step], largest);
  }
  return shared[0];
}
template <class Acc>
__global__ void arg_with_block(const __grid_constant__ ArgCall c) {
  wait_for_queue();
  let_next_begin();
  __shared__ Best<Acc> shared[threads];
  int64_t base = offset_of(c.kept, blockIdx.x / c.pieces);
  int64_t size = (c.each + c.pieces - 1) / c.pieces, from = blockIdx.x % c.pieces * size;
  int64_t to = from + size < c.each ? from + size : c.each;
  auto at = [&](int64_t i) {
    return Best<Acc>{read_number<Acc>(c.x, c.from, base + i * c.stride), static_cast<unsigned>(i)};
  };
  Best<Acc> best = at(from + threadIdx.x < to ? from + threadIdx.x : 0);
  for (int64_t i = from + threadIdx.x + threads; i < to; i += threads)
    best = better(best, at(i), c.largest);
  best = best_of_block(best, shared, c.largest);
  if (threadIdx.x > 0) return;
  if (c.pieces > 1)
    static_cast<Best<Acc>*>(c.partial)[blockIdx.x] = best;
  else
    c.y[blockIdx.x] = best.at;
}
template <class Acc>
__global__ void join_args(const __grid_constant__ ArgCall c) {
  wait_for_queue();
  let_next_begin();
  __shared__ Best<Acc> shared[threads];
  auto* pieces = static_cast<const Best<Acc>*>(c.partial) + blockIdx.x * c.pieces;
  Best<Acc> best =
      pieces[threadIdx.x < c.pieces ? threadIdx.x : 0];  // there are fewer than threads
  best = best_of_block(best, shared, c.largest);
  if (threadIdx.x == 0) c.y[blockIdx.x] = best.at;
}
template <class Acc>
void launch_arg_in(const ArgCall& c, cudaStream_t queue) {
  static_assert(sizeof(Best<Acc>) == 16);
  static const bool early = can_begin_early(arg_with_block<Acc>);
  launch_early(arg_with_block<Acc>, early, dim3(static_cast<unsigned>(c.outputs * c.pieces)),
               threads, 0, queue, c);
  if (c.pieces > 1)
    launch_early(join_args<Acc>, early, dim3(static_cast<unsigned>(c.outputs)), threads, 0, queue,
                 c);
}

}  // namespace

int64_t fold_pieces(const FoldCall& c) {
  int64_t blocks = by_thread(c) ? blocks_for(c.outputs) : c.outputs;
  if (blocks >= blocks_wanted || c.outputs == 0) return 1;
  int64_t least = by_thread(c) ? least_thread_piece : least_piece;
  int64_t most = (c.each + least - 1) / least, wanted = (blocks_wanted + blocks - 1) / blocks;
  return most < 1 ? 1 : most < wanted ? most : wanted;
}

void launch_fold(const FoldCall& c, cudaStream_t queue) {
  switch (c.in) {
    case FoldIn::real:
      return launch_in<double>(c, queue);
    case FoldIn::integer:
      return launch_in<long>(c, queue);
    case FoldIn::natural:
      return launch_in<unsigned long>(c, queue);
  }
}

int64_t arg_pieces(const ArgCall& c) {
  constexpr int64_t few = 64, most = 128;  // outputs, pieces
  int64_t pieces = c.each / least_piece * 2;
  return c.outputs > few || pieces < 2 ? 1 : pieces < most ? pieces : most;
}
void launch_arg(const ArgCall& c, cudaStream_t queue) {
  switch (c.in) {
    case FoldIn::real:
      return launch_arg_in<double>(c, queue);
    case FoldIn::integer:
      return launch_arg_in<long>(c, queue);
    case FoldIn::natural:
      return launch_arg_in<unsigned long>(c, queue);
  }
}

}  // namespace tarn::cuda
