// Lines that are too long for a block: keys and places in the step's memory, sorted by CUB.
//
// Few lines go one after the other. Of many, keys of up to 32 bits are sorted together, the line's
// number in front of them.
#include <cub/device/device_radix_sort.cuh>

#include "cuda/sort_lines.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t few_lines = 4, very_long = int64_t{1} << 20;
constexpr int64_t line = 512;  // bytes, at which parts of the step's memory begin

int64_t rounded(int64_t bytes) { return (bytes + line - 1) / line * line; }
int64_t elements(const SortCall& c) { return c.lines * c.each; }
unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }

bool together(const SortCall& c) {
  return c.bytes <= 4 && c.lines > few_lines && c.each < very_long;
}
bool has_wide_keys(const SortCall& c) { return c.bytes == 8 || together(c); }
// Bits that count: the key's, and the line's number above 32.
int bits_of(const SortCall& c) {
  if (!together(c)) return 8 * c.bytes;
  int bits = 32;
  for (int64_t lines = c.lines - 1; lines > 0; lines /= 2) ++bits;
  return bits;
}

template <class Key>
struct Rooms {
  cub::DoubleBuffer<Key> keys;
  cub::DoubleBuffer<unsigned> places;
  void* rest;
  Rooms(const SortCall& c) {
    auto* at = static_cast<char*>(c.scratch);
    int64_t of_keys = rounded(elements(c) * static_cast<int64_t>(sizeof(Key)));
    int64_t of_places = rounded(elements(c) * static_cast<int64_t>(sizeof(unsigned)));
    auto next = [&](int64_t bytes) { return (at += bytes) - bytes; };
    auto *k0 = reinterpret_cast<Key*>(next(of_keys)), *k1 = reinterpret_cast<Key*>(next(of_keys));
    auto *p0 = reinterpret_cast<unsigned*>(next(of_places)),
         *p1 = reinterpret_cast<unsigned*>(next(of_places));
    keys = cub::DoubleBuffer<Key>(k0, k1), places = cub::DoubleBuffer<unsigned>(p0, p1);
    rest = at;
  }
};
// Bytes of CUB's own, for the numbers that are sorted at once.
template <class Key>
size_t own_bytes(const SortCall& c) {
  size_t bytes = 0;
  cub::DoubleBuffer<Key> keys;
  cub::DoubleBuffer<unsigned> places;
  auto count = static_cast<int>(together(c) ? elements(c) : c.each);
  cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, places, count, 0, bits_of(c));
  return bytes;
}

template <class Key>
__global__ void write_keys(const __grid_constant__ SortCall c, Key* keys, unsigned* places,
                           bool numbered) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= c.lines * c.each) return;
  int64_t of = i / c.each, at = i % c.each;
  places[i] = static_cast<unsigned>(at);
  int64_t from = offset_of(c.from, of) + at * c.from_step;
  auto write = [&]<class Bits>() {
    Key key = key_of<Key>(static_cast<const Bits*>(c.x)[from], c.order);
    if constexpr (sizeof(Key) == 8)
      if (numbered) key |= static_cast<Key>(of) << 32;
    keys[i] = key;
  };
  if (numbered)
    with_bits<unsigned>(c.bytes, write);
  else
    with_bits<Key>(c.bytes, write);
}
__global__ void put_all(const __grid_constant__ SortCall c, const unsigned* places) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i < c.lines * c.each) put(c, i / c.each, i % c.each, places[i]);
}

template <class Key>
void launch_of(const SortCall& c, cudaStream_t queue) {
  Rooms<Key> rooms(c);
  write_keys<<<blocks_for(elements(c)), threads, 0, queue>>>(c, rooms.keys.Current(),
                                                             rooms.places.Current(), together(c));
  size_t bytes = own_bytes<Key>(c);
  // Each line is a sort of its own, in a part of both buffers; all end in the same one.
  int64_t sorts = together(c) ? 1 : c.lines, each = elements(c) / sorts;
  cub::DoubleBuffer<unsigned> done = rooms.places;
  for (int64_t i = 0; i < sorts; ++i) {
    cub::DoubleBuffer<Key> keys(rooms.keys.d_buffers[0] + i * each,
                                rooms.keys.d_buffers[1] + i * each);
    cub::DoubleBuffer<unsigned> places(rooms.places.d_buffers[0] + i * each,
                                       rooms.places.d_buffers[1] + i * each);
    cub::DeviceRadixSort::SortPairs(rooms.rest, bytes, keys, places, static_cast<int>(each), 0,
                                    bits_of(c), queue);
    done.selector = places.selector;
  }
  put_all<<<blocks_for(elements(c)), threads, 0, queue>>>(c, done.Current());
}

}  // namespace

size_t long_sort_scratch(const SortCall& c) {
  size_t own = has_wide_keys(c) ? own_bytes<unsigned long>(c) : own_bytes<unsigned>(c);
  int64_t keys = rounded(elements(c) * (has_wide_keys(c) ? 8 : 4));
  return static_cast<size_t>(2 * (keys + rounded(elements(c) * 4))) + own;
}

void launch_long_sort(const SortCall& c, cudaStream_t queue) {
  has_wide_keys(c) ? launch_of<unsigned long>(c, queue) : launch_of<unsigned>(c, queue);
}

}  // namespace tarn::cuda
