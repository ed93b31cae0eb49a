// Affine codes: products of a few rows with them, and their numbers.
//
// A warp makes four output columns for all rows of x: its lanes read 32-bit words of codes side by
// side, and each code meets x, which passes through shared memory, in float. Nothing is rounded
// before the result.
#include "cuda/launch.cuh"
#include "cuda/bfloat_products.h"
#include "cuda/matmul.h"
#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;
constexpr int warps = threads / 32;
constexpr int columns = 4;   // of a warp
constexpr int chunk = 1024;  // of x in shared memory at a time: 32 KB for eight rows

// Code i of a row whose codes of any width lie in a stream of bits.
__device__ unsigned code_at(const unsigned* row, int64_t i, int bits) {
  int64_t bit = i * bits;
  unsigned shift = bit % 32, low = row[bit / 32] >> shift;
  if (shift + bits > 32) low |= row[bit / 32 + 1] << (32 - shift);
  return low & ((1u << bits) - 1);
}
__device__ float weight_at(const QuantizedCall& c, int64_t row, int64_t i) {
  auto codes = static_cast<const unsigned*>(c.codes) + row * (c.k * c.bits / 32);
  int64_t group = row * (c.k / c.group) + i / c.group;
  return static_cast<float>(code_at(codes, i, c.bits)) *
             read_number<float>(c.scales, c.scale_type, group) +
         read_number<float>(c.biases, c.scale_type, group);
}

__global__ void dequantize(const __grid_constant__ QuantizedCall c) {
  wait_for_queue();
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i < c.n * c.k) write_number(c.y, c.type, i, weight_at(c, i / c.k, i % c.k));
}

// A code below 2^23 as a float: cheaper than the conversion.
__device__ float float_of(unsigned code) { return math::bits::to(0x4b000000u | code) - 8388608.f; }

// A word of codes lies in one group, so its sum of code times x takes one scale, and its sum of x
// one bias.
template <int bits, int rows>
__global__ void multiply(const __grid_constant__ QuantizedCall c) {
  constexpr int per_word = 32 / bits, words = chunk / per_word;
  __shared__ float xs[rows][per_word][words];  // so that neighbouring lanes read neighbours
  int lane = threadIdx.x % 32;
  int64_t first = (static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / 32) * columns;
  float sums[columns][rows] = {};
  for (int64_t k = 0; k < c.k; k += chunk) {
    int here = static_cast<int>(c.k - k < chunk ? c.k - k : chunk);
    __syncthreads();
    for (int r = 0; r < rows; ++r)
      for (int i = threadIdx.x; i < here; i += threads)
        xs[r][i % per_word][i / per_word] =
            r < c.m ? read_number<float>(c.x, c.type, r * c.k + k + i) : 0.f;
    __syncthreads();
    for (int w = lane; w < here / per_word; w += 32) {
      unsigned word[columns];
      float dots[columns][rows] = {}, whole[rows] = {};
#pragma unroll
      for (int j = 0; j < columns; ++j)
        if (first + j < c.n)
          word[j] = static_cast<const unsigned*>(
              c.codes)[(first + j) * (c.k / per_word) + k / per_word + w];
#pragma unroll
      for (int i = 0; i < per_word; ++i)
#pragma unroll
        for (int r = 0; r < rows; ++r) {
          float x = xs[r][i][w];
          whole[r] += x;
#pragma unroll
          for (int j = 0; j < columns; ++j)
            dots[j][r] += float_of(word[j] >> (i * bits) & ((1u << bits) - 1)) * x;
        }
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        if (first + j >= c.n) break;
        int64_t group = (first + j) * (c.k / c.group) + (k + w * per_word) / c.group;
        auto scale = read_number<float>(c.scales, c.scale_type, group);
        auto bias = read_number<float>(c.biases, c.scale_type, group);
#pragma unroll
        for (int r = 0; r < rows; ++r) sums[j][r] += scale * dots[j][r] + bias * whole[r];
      }
    }
  }
#pragma unroll
  for (int j = 0; j < columns; ++j)
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      for (int step = 16; step > 0; step /= 2) sums[j][r] += __shfl_xor_sync(~0u, sums[j][r], step);
      if (lane == 0 && r < c.m && first + j < c.n)
        write_number(c.y, c.type, r * c.n + first + j, sums[j][r]);
    }
}

template <int bits>
void launch_bits(const QuantizedCall& c, cudaStream_t queue) {
  auto blocks = static_cast<unsigned>((c.n + warps * columns - 1) / (warps * columns));
  if (c.m == 1)
    multiply<bits, 1><<<blocks, threads, 0, queue>>>(c);
  else if (c.m <= 4)
    multiply<bits, 4><<<blocks, threads, 0, queue>>>(c);
  else
    multiply<bits, most_quantized_rows><<<blocks, threads, 0, queue>>>(c);
}

}  // namespace

void launch_quantized(const QuantizedCall& c, cudaStream_t queue) {
  if (c.bits == 2) return launch_bits<2>(c, queue);
  if (c.bits == 4) return launch_bits<4>(c, queue);
  launch_bits<8>(c, queue);
}
unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }
void dequantize_numbers(const QuantizedCall& c, cudaStream_t queue) {
  static const bool early = can_begin_early(dequantize);
  launch_early(dequantize, early, dim3(blocks_for(c.n * c.k)), threads, 0, queue, c);
}
void launch_dequantize(const QuantizedCall& c, cudaStream_t queue) {
  if (c.type == bfloat_column && in_words(c))
    launch_dequantize_words(c, c.k, queue);
  else
    dequantize_numbers(c, queue);
}

}  // namespace tarn::cuda
