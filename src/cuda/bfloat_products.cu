// Weights, rows and low-rank terms as bfloat16 numbers for the library: a thread makes 16 bytes.
#include "cuda/bfloat_products.h"
#include "cuda/numbers.cuh"

namespace tarn::cuda {
namespace {

constexpr int threads = 256, each = 8;  // numbers of a thread

union Eight {
  uint4 all;
  ops::Bfloat of[each];
};
// The thread's eight columns, of rows of so many eights, where rows are `lead` apart.
__device__ int64_t place_of(int64_t i, unsigned eights, int64_t lead) {
  if (static_cast<int64_t>(eights) * each == lead) return i * each;
  auto row = static_cast<unsigned>(i) / eights, part = static_cast<unsigned>(i) % eights;
  return row * lead + part * each;
}

__global__ void dequantize_words(const __grid_constant__ QuantizedCall c, int64_t lead) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= c.n * c.k / each) return;
  unsigned word = static_cast<const unsigned*>(c.codes)[i];
  int64_t group = i >> (__ffs(c.group) - 4);  // words of a group are a power of two
  auto scale = read_number<float>(c.scales, c.scale_type, group);
  auto bias = read_number<float>(c.biases, c.scale_type, group);
  Eight y;
  for (int j = 0; j < each; ++j)
    y.of[j] = ops::narrowed_bfloat(static_cast<float>(word >> (4 * j) & 15u) * scale + bias);
  int64_t at = place_of(i, static_cast<unsigned>(c.k / each), lead);
  *reinterpret_cast<uint4*>(static_cast<ops::Bfloat*>(c.y) + at) = y.all;
}

__global__ void narrow_eights(const float4* x, ops::Bfloat* y, int64_t count, unsigned eights,
                              int64_t lead) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= count) return;
  float4 a = x[2 * i], b = x[2 * i + 1];
  const float of[each] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  Eight to;
  for (int j = 0; j < each; ++j) to.of[j] = ops::narrowed_bfloat(of[j]);
  *reinterpret_cast<uint4*>(y + place_of(i, eights, lead)) = to.all;
}
__global__ void narrow(const float* x, ops::Bfloat* y, int64_t count, int64_t cols, int64_t lead) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i < count) y[i / cols * lead + i % cols] = ops::narrowed_bfloat(x[i]);
}

__global__ void put_terms(const __grid_constant__ TermsCall u,
                          const __grid_constant__ TermsCall b) {
  const TermsCall& c = blockIdx.y == 0 ? u : b;
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= c.count * c.terms) return;
  bool side_by_side = c.to_term == 1;  // neighbouring threads write neighbours
  int64_t row = side_by_side ? i / c.terms : i % c.count;
  int term = static_cast<int>(side_by_side ? i % c.terms : i / c.count), copy = term / c.rank;
  ops::Bfloat y = ops::narrowed_bfloat(0.f);
  if (copy < 3) {
    float x = c.from[row * c.row + term % c.rank * c.of_rank];
    y = ops::narrowed_bfloat(x);
    if (copy == (c.weights ? 2 : 1)) y = ops::narrowed_bfloat(x - ops::widened(y));
  }
  static_cast<ops::Bfloat*>(c.to)[row * c.to_row + term * c.to_term] = y;
}

unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + threads - 1) / threads); }
bool on_line(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

}  // namespace

bool in_words(const QuantizedCall& c) {
  bool power = (c.group & (c.group - 1)) == 0 && c.group >= each;
  return c.bits == 4 && power && on_line(c.y);
}
void launch_dequantize_words(const QuantizedCall& c, int64_t lead, cudaStream_t queue) {
  dequantize_words<<<blocks_for(c.n * c.k / each), threads, 0, queue>>>(c, lead);
}
void launch_narrow(const float* x, void* to, int64_t rows, int64_t cols, int64_t lead,
                   cudaStream_t queue) {
  auto* y = static_cast<ops::Bfloat*>(to);
  if (cols % each != 0 || !on_line(x))
    return narrow<<<blocks_for(rows * cols), threads, 0, queue>>>(x, y, rows * cols, cols, lead);
  int64_t count = rows * cols / each;
  narrow_eights<<<blocks_for(count), threads, 0, queue>>>(
      reinterpret_cast<const float4*>(x), y, count, static_cast<unsigned>(cols / each), lead);
}
void launch_terms(const TermsCall& u, const TermsCall& b, cudaStream_t queue) {
  int64_t most = u.count > b.count ? u.count : b.count;
  put_terms<<<dim3(blocks_for(most * u.terms), 2), threads, 0, queue>>>(u, b);
}

}  // namespace tarn::cuda
