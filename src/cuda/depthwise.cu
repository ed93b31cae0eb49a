// Convolutions of each channel alone: a thread a number, so that neighbours read neighbouring
// channels. What lies outside the input is left out of the sum.
#include "cuda/depthwise.h"

namespace tarn::cuda {
namespace {

constexpr int threads = 256;

struct Place {
  int at[3];
};
__device__ Place place_of(int64_t& i, const int (&sizes)[3]) {
  Place p;
  for (int d = 2; d >= 0; --d) {
    p.at[d] = static_cast<int>(i % sizes[d]);
    i /= sizes[d];
  }
  return p;
}

__global__ void depthwise(const __grid_constant__ DepthwiseCall c) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= c.count) return;
  int64_t left = i / c.channels;
  int channel = static_cast<int>(i - left * c.channels);
  Place to = place_of(left, c.out);  // what is left is the example
  int first[3];
  for (int d = 0; d < 3; ++d) first[d] = to.at[d] * c.stride[d] - c.lo[d];
  int taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
  const float* w = c.w + static_cast<int64_t>(channel) * taps;
  float sum = 0;
  for (int tap = 0; tap < taps; ++tap) {
    int64_t of = tap;
    Place k = place_of(of, c.kernel);
    int64_t at = left;
    bool inside = true;
    for (int d = 0; d < 3; ++d) {
      int from = first[d] + k.at[d] * c.dilation[d];
      inside = inside && from >= 0 && from < c.size[d];
      at = at * c.size[d] + from;
    }
    if (inside) sum += c.x[at * c.channels + channel] * w[c.flip ? taps - 1 - tap : tap];
  }
  c.y[i] = sum;
}

}  // namespace

void launch_depthwise(const DepthwiseCall& c, cudaStream_t queue) {
  depthwise<<<static_cast<unsigned>((c.count + threads - 1) / threads), threads, 0, queue>>>(c);
}

}  // namespace tarn::cuda
