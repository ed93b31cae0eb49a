// Lines that a block sorts, by CUB's radix sort in shared memory, and searches in sorted lines.
#include <cub/block/block_radix_sort.cuh>

#include "cuda/sort_lines.cuh"

namespace tarn::cuda {
namespace {

template <class Key, int threads, int items>
__global__ void __launch_bounds__(threads) sort_line(const __grid_constant__ SortCall c) {
  using Sort = cub::BlockRadixSort<Key, threads, items, unsigned>;
  __shared__ typename Sort::TempStorage room;
  Key keys[items];
  unsigned places[items];
  int64_t base = offset_of(c.from, blockIdx.x);
  with_bits<Key>(c.bytes, [&]<class Bits>() {
    const Bits* x = static_cast<const Bits*>(c.x) + base;
#pragma unroll
    for (int k = 0; k < items; ++k) {
      places[k] = threadIdx.x * items + k;
      // What fills the block is last, behind NaN as well, since the sort is stable.
      keys[k] = ~Key(0);
      if (places[k] < c.each) keys[k] = key_of<Key>(x[places[k] * c.from_step], c.order);
    }
  });
  Sort(room).SortBlockedToStriped(keys, places, 0, 8 * c.bytes);
#pragma unroll
  for (int k = 0; k < items; ++k) {
    int64_t to = k * threads + static_cast<int>(threadIdx.x);
    if (to < c.each) put(c, blockIdx.x, to, places[k]);
  }
}

template <class Key>
void launch_of(const SortCall& c, cudaStream_t queue) {
  auto lines = static_cast<unsigned>(c.lines);
  if (c.each <= 32 * 4)
    sort_line<Key, 32, 4><<<lines, 32, 0, queue>>>(c);
  else if (c.each <= 128 * 8)
    sort_line<Key, 128, 8><<<lines, 128, 0, queue>>>(c);
  else
    sort_line<Key, 512, 8><<<lines, 512, 0, queue>>>(c);
}

template <class Key>
__global__ void search(const __grid_constant__ SearchCall c) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= c.count) return;
  with_bits<Key>(c.bytes, [&]<class Bits>() {
    const Bits* line = static_cast<const Bits*>(c.line) + i / c.of_line * c.each;
    Key value = key_of<Key>(static_cast<const Bits*>(c.value)[i], c.order);
    int64_t from = 0, to = c.each;
    while (from < to) {
      int64_t middle = (from + to) / 2;
      Key key = key_of<Key>(line[middle], c.order);
      bool behind = c.right ? key <= value : key < value;
      (behind ? from : to) = behind ? middle + 1 : middle;
    }
    c.y[i] = static_cast<unsigned>(from);
  });
}

}  // namespace

void launch_short_sort(const SortCall& c, cudaStream_t queue) {
  c.bytes == 8 ? launch_of<unsigned long>(c, queue) : launch_of<unsigned>(c, queue);
}

void launch_search(const SearchCall& c, cudaStream_t queue) {
  constexpr int threads = 256;
  auto blocks = static_cast<unsigned>((c.count + threads - 1) / threads);
  if (c.bytes == 8)
    search<unsigned long><<<blocks, threads, 0, queue>>>(c);
  else
    search<unsigned><<<blocks, threads, 0, queue>>>(c);
}

}  // namespace tarn::cuda
