// Partitions of few and long lines, of which each is cut into pieces for as many blocks.
//
// A launch a digit counts it in all pieces, and every block then chooses alike. One more counts
// what each piece has on both sides of the kth, so that the last knows where its own begin.
#include "cuda/partition.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 512;
constexpr int64_t tile = threads * of_thread;
constexpr int64_t most_pieces = 256;  // of all lines, where they are long enough
constexpr int passes_at_most = 8;

int64_t pieces_of(const SortCall& c) {
  int64_t most = (c.each + tile - 1) / tile, wanted = (most_pieces + c.lines - 1) / c.lines;
  return most < wanted ? most : wanted;
}

// In the step's memory, for each line.
struct Rooms {
  unsigned* counts;  // passes_at_most x digits
  Sides* sides;      // of each piece
  int64_t pieces;
  __device__ unsigned* of_pass(int64_t line, int pass) const {
    return counts + (line * passes_at_most + pass) * digits;
  }
};
Rooms rooms_of(const SortCall& c) {
  auto* counts = static_cast<unsigned*>(c.scratch);
  return {counts, reinterpret_cast<Sides*>(counts + c.lines * passes_at_most * digits),
          pieces_of(c)};
}
struct Part {
  int64_t from, to;
};
// Whole tiles, but for the last.
__device__ Part part_of(const SortCall& c, int64_t piece, int64_t pieces) {
  int64_t tiles = (c.each + tile - 1) / tile, each = (tiles + pieces - 1) / pieces * tile;
  int64_t from = piece * each, to = from + each;
  return {from < c.each ? from : c.each, to < c.each ? to : c.each};
}

__global__ void clear_counts(const __grid_constant__ Rooms r) {
  r.counts[static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x] = 0;
}
// What the passes before found.
template <class Key>
__device__ Known<Key> known(const SortCall& c, const Rooms& r, int64_t line, int passes,
                            Chosen& chosen) {
  Known<Key> kth{0, static_cast<unsigned>(c.kth)};
  for (int pass = 0; pass < passes; ++pass) {
    for (int i = threadIdx.x; i < digits; i += threads) chosen.counts[i] = r.of_pass(line, pass)[i];
    kth.learn(chosen);
  }
  return kth;
}

template <class Key>
__global__ void count_pass(const __grid_constant__ SortCall c, const __grid_constant__ Rooms r,
                           int pass) {
  __shared__ Chosen chosen;
  Known<Key> kth = known<Key>(c, r, blockIdx.y, pass, chosen);
  Part part = part_of(c, blockIdx.x, r.pieces);
  with_bits<Key>(c.bytes, [&]<class Bits>() {
    const Bits* x = static_cast<const Bits*>(c.x) + offset_of(c.from, blockIdx.y);
    count_digits(c, x, part.from, part.to, kth.top, 8 * (c.bytes - 1 - pass), chosen);
  });
  __syncthreads();
  for (int i = threadIdx.x; i < digits; i += threads)
    if (chosen.counts[i] > 0) atomicAdd(r.of_pass(blockIdx.y, pass) + i, chosen.counts[i]);
}

template <class Key>
__global__ void count_sides(const __grid_constant__ SortCall c, const __grid_constant__ Rooms r) {
  __shared__ Chosen chosen;
  __shared__ Sides all;
  if (threadIdx.x == 0) all = {};
  Known<Key> kth = known<Key>(c, r, blockIdx.y, c.bytes, chosen);
  Part part = part_of(c, blockIdx.x, r.pieces);
  Sides mine;
  with_bits<Key>(c.bytes, [&]<class Bits>() {
    const Bits* x = static_cast<const Bits*>(c.x) + offset_of(c.from, blockIdx.y);
#pragma unroll 4
    for (int64_t i = part.from + threadIdx.x; i < part.to; i += threads) {
      Key key = key_of<Key>(x[i * c.from_step], c.order);
      mine.less += key < kth.top, mine.equal += key == kth.top;
    }
  });
  atomicAdd(&all.less, mine.less), atomicAdd(&all.equal, mine.equal);
  __syncthreads();
  if (threadIdx.x == 0) r.sides[blockIdx.y * r.pieces + blockIdx.x] = all;
}

template <class Key>
__global__ void put_pieces(const __grid_constant__ SortCall c, const __grid_constant__ Rooms r) {
  __shared__ Chosen chosen;
  __shared__ Sides before;
  __shared__ unsigned shared[threads / 32];
  if (threadIdx.x == 0) before = {};
  Known<Key> kth = known<Key>(c, r, blockIdx.y, c.bytes, chosen);
  for (int64_t p = threadIdx.x; p < blockIdx.x; p += threads) {
    Sides of = r.sides[blockIdx.y * r.pieces + p];
    atomicAdd(&before.less, of.less), atomicAdd(&before.equal, of.equal);
  }
  __syncthreads();
  Part part = part_of(c, blockIdx.x, r.pieces);
  with_bits<Key>(c.bytes, [&]<class Bits>() {
    const Bits* x = static_cast<const Bits*>(c.x) + offset_of(c.from, blockIdx.y);
    put_around(c, blockIdx.y, x, part.from, part.to, kth, before, shared);
  });
}

template <class Key>
void launch_of(const SortCall& c, cudaStream_t queue) {
  Rooms r = rooms_of(c);
  dim3 grid(static_cast<unsigned>(r.pieces), static_cast<unsigned>(c.lines));
  auto blocks = static_cast<unsigned>(c.lines * passes_at_most * digits / threads);
  clear_counts<<<blocks, threads, 0, queue>>>(r);
  for (int pass = 0; pass < c.bytes; ++pass)
    count_pass<Key><<<grid, threads, 0, queue>>>(c, r, pass);
  count_sides<Key><<<grid, threads, 0, queue>>>(c, r);
  put_pieces<Key><<<grid, threads, 0, queue>>>(c, r);
}

}  // namespace

bool is_long_partition(const SortCall& c) {
  constexpr int64_t few = 64, is_long = 8 * tile;
  return c.lines <= few && c.each >= is_long;
}
size_t long_partition_scratch(const SortCall& c) {
  return static_cast<size_t>(c.lines) * (passes_at_most * digits * sizeof(unsigned) +
                                         static_cast<size_t>(pieces_of(c)) * sizeof(Sides));
}
void launch_long_partition(const SortCall& c, cudaStream_t queue) {
  c.bytes == 8 ? launch_of<unsigned long>(c, queue) : launch_of<unsigned>(c, queue);
}

}  // namespace tarn::cuda
