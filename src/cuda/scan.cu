// Scans along an axis of any layout.
//
// A block scans a line in tiles, a warp a short one, a thread a column, so that neighbours read
// neighbours. Long lines are cut into pieces, of which each is folded first: a block then begins
// with what the pieces before it come to. Floats run in double and integers in 64 bits, as on the
// CPU. Orders are fixed: the same call gives the same bits.
#include "cuda/scan.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256, of_thread = 8, tile = threads * of_thread;
constexpr int64_t blocks_wanted = 1024;
constexpr int64_t least_piece = 4 * tile;   // elements, of a block
constexpr int64_t least_thread_piece = 64;  // of a thread
constexpr int64_t most_of_warp = 1024, least_warps = 1024;

bool by_thread(const ScanCall& c) {
  constexpr int64_t very_short = 8;
  bool columns = c.from_step != 1 && c.from.axes > 0 && c.from.stride[c.from.axes - 1] == 1;
  return columns || c.each <= very_short;
}
bool by_warp(const ScanCall& c) { return c.each <= most_of_warp && c.lines >= least_warps; }

// Elements from, from + 1, ... of a line, in the order of the scan.
struct Part {
  int64_t from, to;
};
__device__ Part part_of(const ScanCall& c, int64_t piece) {
  int64_t size = (c.each + c.pieces - 1) / c.pieces, from = piece * size;
  return {from < c.each ? from : c.each, from + size < c.each ? from + size : c.each};
}
__device__ int64_t place(const ScanCall& c, int64_t i) { return c.reverse ? c.each - 1 - i : i; }
template <class Acc>
__device__ Acc* partial(const ScanCall& c, int64_t line, int64_t piece) {
  return static_cast<Acc*>(c.partial) + piece * c.lines + line;
}

// --- a block a piece of a line

template <class S, class Acc>
__device__ Acc before_piece(const ScanCall& c, int64_t line, int64_t piece, Acc* shared) {
  Acc mine = start_of<Acc>(c), total = mine;
  if (c.pieces == 1) return mine;
  for (int64_t p = threadIdx.x; p < piece; p += threads)
    mine = S::join(mine, *partial<Acc>(c, line, p));
  scan_of_block<S>(mine, start_of<Acc>(c), shared, total);
  __syncthreads();
  return total;
}
template <class S, class Acc>
__global__ void fold_pieces(const __grid_constant__ ScanCall c) {
  __shared__ Acc shared[threads / 32];
  int64_t line = blockIdx.x / c.pieces, piece = blockIdx.x % c.pieces;
  Part part = part_of(c, piece);
  int64_t base = offset_of(c.from, line);
  Acc mine = start_of<Acc>(c), total = mine;
  with_stored<Acc>(c.type, [&]<class T>() {
#pragma unroll 8
    for (int64_t i = part.from + threadIdx.x; i < part.to; i += threads)
      mine = S::join(mine, loaded<Acc, T>(c, base + place(c, i) * c.from_step));
  });
  scan_of_block<S>(mine, start_of<Acc>(c), shared, total);
  if (threadIdx.x == 0) *partial<Acc>(c, line, piece) = total;
}

// A place of a tile in shared memory: threads that each go through of_thread numbers of their own
// meet in no bank.
__device__ int padded(int i) { return i + i / of_thread; }

template <class S, class Acc>
__device__ void scan_tile(Acc* numbers, Acc& carry, Acc start, Acc* shared, bool inclusive) {
  Acc mine[of_thread], total;
#pragma unroll
  for (int k = 0; k < of_thread; ++k) {
    mine[k] = numbers[padded(static_cast<int>(threadIdx.x) * of_thread + k)];
    if (k > 0) mine[k] = S::join(mine[k - 1], mine[k]);
  }
  Acc before = S::join(carry, scan_of_block<S>(mine[of_thread - 1], start, shared, total));
#pragma unroll
  for (int k = 0; k < of_thread; ++k) {
    Acc upto = S::join(before, mine[k]);
    Acc without = k == 0 ? before : S::join(before, mine[k - 1]);
    numbers[padded(static_cast<int>(threadIdx.x) * of_thread + k)] = inclusive ? upto : without;
  }
  carry = S::join(carry, total);
}
template <class S, class Acc>
__global__ void scan_with_block(const __grid_constant__ ScanCall c) {
  __shared__ Acc numbers[tile + tile / of_thread];
  __shared__ Acc shared[threads / 32];
  int64_t line = blockIdx.x / c.pieces, piece = blockIdx.x % c.pieces;
  Part part = part_of(c, piece);
  int64_t from = offset_of(c.from, line), to = offset_of(c.to, line);
  Acc start = start_of<Acc>(c), carry = before_piece<S, Acc>(c, line, piece, shared);
  for (int64_t at = part.from; at < part.to; at += tile) {
    int64_t left = part.to - at, first = place(c, at + threadIdx.x);
    // Calls f with a place in `numbers` and in the array, for each of this thread's.
    auto each = [&](int64_t base, int64_t step, auto f) {
      int64_t i = base + first * step, next = (c.reverse ? -threads : threads) * step;
#pragma unroll
      for (int k = 0; k < of_thread; ++k, i += next) {
        int in_tile = k * threads + static_cast<int>(threadIdx.x);
        f(padded(in_tile), i, in_tile < left);
      }
    };
    with_stored<Acc>(c.type, [&]<class T>() {
      each(from, c.from_step, [&](int k, int64_t i, bool there) {
        numbers[k] = there ? loaded<Acc, T>(c, i) : start;
      });
    });
    __syncthreads();
    scan_tile<S>(numbers, carry, start, shared, c.inclusive);
    __syncthreads();
    with_stored<Acc>(c.type, [&]<class T>() {
      each(to, c.to_step, [&](int k, int64_t i, bool there) {
        if (there) stored<Acc, T>(c, i, numbers[k]);
      });
    });
    __syncthreads();
  }
}

// --- a warp a line

template <class S, class Acc>
__global__ void scan_with_warp(const __grid_constant__ ScanCall c) {
  int64_t line = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) / 32;
  if (line >= c.lines) return;
  int64_t from = offset_of(c.from, line), to = offset_of(c.to, line);
  Acc start = start_of<Acc>(c), carry = start;
  with_stored<Acc>(c.type, [&]<class T>() {
    auto element = [&](int64_t i) {
      return i < c.each ? loaded<Acc, T>(c, from + place(c, i) * c.from_step) : start;
    };
    int lane = threadIdx.x % 32;
    Acc next = element(lane);
    for (int64_t at = 0; at < c.each; at += 32) {
      Acc mine = next;
      next = element(at + 32 + lane);  // on its way meanwhile
      Acc upto = S::join(carry, scan_of_warp<S>(mine)), before = from_lane_before(upto, 1);
      if (lane == 0) before = carry;
      if (at + lane < c.each)
        stored<Acc, T>(c, to + place(c, at + lane) * c.to_step, c.inclusive ? upto : before);
      if constexpr (__is_same(Acc, Complex))
        carry = {__shfl_sync(~0u, upto.re, 31), __shfl_sync(~0u, upto.im, 31)};
      else
        carry = __shfl_sync(~0u, upto, 31);
    }
  });
}

// --- a thread a piece of a column

template <class S, class Acc>
__global__ void fold_columns(const __grid_constant__ ScanCall c) {
  int64_t line = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (line >= c.lines) return;
  Part part = part_of(c, blockIdx.y);
  int64_t base = offset_of(c.from, line);
  Acc acc = start_of<Acc>(c);
  with_stored<Acc>(c.type, [&]<class T>() {
#pragma unroll 4
    for (int64_t i = part.from; i < part.to; ++i)
      acc = S::join(acc, loaded<Acc, T>(c, base + place(c, i) * c.from_step));
  });
  *partial<Acc>(c, line, blockIdx.y) = acc;
}
template <class S, class Acc>
__global__ void scan_columns(const __grid_constant__ ScanCall c) {
  int64_t line = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (line >= c.lines) return;
  Part part = part_of(c, blockIdx.y);
  int64_t from = offset_of(c.from, line), to = offset_of(c.to, line);
  Acc acc = start_of<Acc>(c);
  for (int64_t p = 0; p < blockIdx.y; ++p) acc = S::join(acc, *partial<Acc>(c, line, p));
  with_stored<Acc>(c.type, [&]<class T>() {
#pragma unroll 4
    for (int64_t i = part.from; i < part.to; ++i) {
      Acc before = acc;
      acc = S::join(acc, loaded<Acc, T>(c, from + place(c, i) * c.from_step));
      stored<Acc, T>(c, to + place(c, i) * c.to_step, c.inclusive ? acc : before);
    }
  });
}

unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }

template <class S, class Acc>
void launch_of(const ScanCall& c, cudaStream_t queue) {
  if (by_thread(c)) {
    dim3 grid(blocks_for(c.lines), static_cast<unsigned>(c.pieces));
    if (c.pieces > 1) fold_columns<S, Acc><<<grid, threads, 0, queue>>>(c);
    scan_columns<S, Acc><<<grid, threads, 0, queue>>>(c);
  } else if (by_warp(c)) {
    scan_with_warp<S, Acc><<<blocks_for(c.lines * 32), threads, 0, queue>>>(c);
  } else {
    auto blocks = static_cast<unsigned>(c.lines * c.pieces);
    if (c.pieces > 1) fold_pieces<S, Acc><<<blocks, threads, 0, queue>>>(c);
    scan_with_block<S, Acc><<<blocks, threads, 0, queue>>>(c);
  }
}
template <class Acc>
void launch_in(const ScanCall& c, cudaStream_t queue) {
  if (c.scan == Scan::sum) return launch_of<ScanOf<Scan::sum>, Acc>(c, queue);
  if (c.scan == Scan::prod) return launch_of<ScanOf<Scan::prod>, Acc>(c, queue);
  if constexpr (!__is_same(Acc, Complex))
    if (c.scan == Scan::max) return launch_of<ScanOf<Scan::max>, Acc>(c, queue);
  if constexpr (__is_same(Acc, double)) launch_of<ScanOf<Scan::log_sum_exp>, Acc>(c, queue);
}

}  // namespace

int64_t scan_pieces(const ScanCall& c) {
  if (c.lines == 0 || (!by_thread(c) && by_warp(c))) return 1;
  int64_t blocks = by_thread(c) ? blocks_for(c.lines) : c.lines;
  int64_t least = by_thread(c) ? least_thread_piece : least_piece;
  int64_t most = c.each / least, wanted = blocks_wanted / blocks;
  return most < 1 || wanted < 1 ? 1 : most < wanted ? most : wanted;
}

void launch_scan(const ScanCall& c, cudaStream_t queue) {
  switch (c.in) {
    case ScanIn::real:
      return launch_in<double>(c, queue);
    case ScanIn::integer:
      return launch_in<long>(c, queue);
    case ScanIn::complex:
      return launch_in<Complex>(c, queue);
  }
}

}  // namespace tarn::cuda
