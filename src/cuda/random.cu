// Random bits: a thread two words of a key's stream, by the CPU's formula.
#include "cuda/sort.h"
#include "ops/threefry.h"

namespace tarn::cuda {
namespace {

// Word w of what begins at `to`; the last may be cut.
__device__ void write_word(unsigned char* to, int64_t w, int64_t bytes, unsigned word) {
  if (bytes % 4 == 0) {
    reinterpret_cast<unsigned*>(to)[w] = word;
    return;
  }
  for (int64_t b = 0; b < 4 && w * 4 + b < bytes; ++b)
    to[w * 4 + b] = static_cast<unsigned char>(word >> (8 * b));
}
__global__ void random_bits(const __grid_constant__ RandomCall c) {
  int64_t words = (c.each + 3) / 4, half = (words + 1) / 2;
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= c.keys * half) return;
  int64_t k = c.keys == 1 ? 0 : i / half, w = i - k * half;
  ops::RandomWords both = ops::stream_pair(c.key[2 * k], c.key[2 * k + 1], w, words);
  auto* to = static_cast<unsigned char*>(c.y) + k * c.each;
  write_word(to, w, c.each, both.a);
  if (w + half < words) write_word(to, w + half, c.each, both.b);
}

}  // namespace

void launch_random_bits(const RandomCall& c, cudaStream_t queue) {
  constexpr int threads = 256;
  int64_t count = c.keys * (((c.each + 3) / 4 + 1) / 2);
  if (count > 0)
    random_bits<<<static_cast<unsigned>((count + threads - 1) / threads), threads, 0, queue>>>(c);
}

}  // namespace tarn::cuda
