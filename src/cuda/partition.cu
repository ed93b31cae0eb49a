// Partitions of lines, a block a line.
#include "cuda/partition.cuh"

namespace tarn::cuda {
namespace {

constexpr int most_threads = 1024;

template <class Key>
__global__ void __launch_bounds__(most_threads) partition_line(const __grid_constant__ SortCall c) {
  __shared__ Chosen chosen;
  __shared__ unsigned shared[most_threads / 32];
  int64_t base = offset_of(c.from, blockIdx.x);
  with_bits<Key>(c.bytes, [&]<class Bits>() {
    const Bits* x = static_cast<const Bits*>(c.x) + base;
    Known<Key> kth{0, static_cast<unsigned>(c.kth)};
    for (int shift = 8 * c.bytes - 8; shift >= 0; shift -= 8) {
      count_digits(c, x, 0, c.each, kth.top, shift, chosen);
      kth.learn(chosen);
    }
    put_around(c, blockIdx.x, x, 0, c.each, kth, {}, shared);
  });
}

}  // namespace

void launch_partition(const SortCall& c, cudaStream_t queue) {
  constexpr int64_t few = 4096, some = 256;
  auto lines = static_cast<unsigned>(c.lines);
  int threads = c.each > few ? most_threads : c.each > some ? 256 : 64;
  if (c.bytes == 8)
    partition_line<unsigned long><<<lines, threads, 0, queue>>>(c);
  else
    partition_line<unsigned><<<lines, threads, 0, queue>>>(c);
}

}  // namespace tarn::cuda
