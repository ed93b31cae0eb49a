// Convolutions and Fourier transforms through the public API: ops_bench [part of a title].
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <vector>

#include "tarn/tarn.h"

namespace {

using namespace tarn;
using Clock = std::chrono::steady_clock;

// Evaluations for a second and a half, of which the best and the median count.
void bench(const char* only, const char* title, double operations,
           const std::function<array()>& make) {
  if (std::strstr(title, only) == nullptr) return;
  eval(make());
  std::vector<double> seconds;
  for (auto begin = Clock::now(); Clock::now() - begin < std::chrono::milliseconds(1500);) {
    auto start = Clock::now();
    eval(make());
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  double median = seconds[seconds.size() / 2];
  std::printf("%-44s best %8.3f median %8.3f ms  %6.1f GFLOP/s\n", title, seconds[0] * 1e3,
              median * 1e3, operations / median / 1e9);
}

array normal(Shape shape) {
  array a = random::normal(shape, float32, random::key(1));
  a.eval();
  return a;
}

void bench_convolutions(const char* only) {
  array x = normal({8, 56, 56, 64}), w = normal({64, 3, 3, 64});
  double flops = 2.0 * 8 * 56 * 56 * 64 * 64 * 9;
  bench(only, "conv2d 8x56x56x64, 3x3, 64", flops, [&] { return conv2d(x, w, {1, 1}, {1, 1}); });
  array first = normal({8, 224, 224, 3}), w7 = normal({64, 7, 7, 3});
  bench(only, "conv2d 8x224x224x3, 7x7 stride 2, 64", 2.0 * 8 * 112 * 112 * 64 * 147, [&] {
    return conv2d(first, w7, {2, 2}, {3, 3});
  });
  array point = normal({64, 1, 1, 64});
  bench(only, "conv2d 8x56x56x64, 1x1, 64", flops / 9, [&] { return conv2d(x, point); });
  array each = normal({64, 3, 3, 1});
  bench(only, "conv2d 8x56x56x64, 3x3, 64 groups", flops / 64, [&] {
    return conv2d(x, each, {1, 1}, {1, 1}, {1, 1}, 64);
  });
  auto sum_of = [&](const std::vector<array>& in) {
    return sum(conv2d(in[0], in[1], {1, 1}, {1, 1}));
  };
  auto slope = grad(ScalarFunction(sum_of), 1);
  bench(only, "conv2d 8x56x56x64, 3x3, 64, by weight", flops, [&] { return slope({x, w})[0]; });
}

// Deep and small, grouped, along a line, and where taps do not overlap.
void bench_other_convolutions(const char* only) {
  array deep = normal({1, 14, 14, 256}), w256 = normal({256, 3, 3, 256});
  bench(only, "conv2d 14x14x256, 3x3, 256", 2.0 * 14 * 14 * 256 * 256 * 9, [&] {
    return conv2d(deep, w256, {1, 1}, {1, 1});
  });
  array grouped = normal({1, 56, 56, 128}), w32 = normal({128, 3, 3, 32});
  bench(only, "conv2d 56x56x128, 3x3, 128 in 4 groups", 2.0 * 56 * 56 * 128 * 32 * 9, [&] {
    return conv2d(grouped, w32, {1, 1}, {1, 1}, {1, 1}, 4);
  });
  array line = normal({1, 3000, 80}), w80 = normal({384, 3, 80});
  bench(only, "conv1d 3000x80, 3, 384", 2.0 * 3000 * 384 * 240,
        [&] { return conv1d(line, w80, 1, 1); });
  array picture = normal({1, 224, 224, 3}), patch = normal({768, 16, 16, 3});
  bench(only, "conv2d 224x224x3, 16x16 stride 16, 768", 2.0 * 14 * 14 * 768 * 768, [&] {
    return conv2d(picture, patch, {16, 16});
  });
}

// 5 n log2(n) operations a complex line, half of that a real one.
void bench_transforms(const char* only) {
  array long_lines = normal({64, 65536}), lines = normal({16384, 256});
  array turned = astype(long_lines, complex64), short_lines = astype(lines, complex64);
  eval(turned, short_lines);
  bench(only, "fft 64 x 65536", 5.0 * 64 * 65536 * 16, [&] { return fft::fft(turned); });
  bench(only, "rfft 64 x 65536", 2.5 * 64 * 65536 * 16, [&] { return fft::rfft(long_lines); });
  bench(only, "fft 16384 x 256", 5.0 * 16384 * 256 * 8, [&] { return fft::fft(short_lines); });
  bench(only, "fft 65536 lines of 64, across", 5.0 * 64 * 65536 * 6,
        [&] { return fft::fft(turned, 0); });
  array odd = astype(normal({16, 65537}), complex64);
  odd.eval();
  bench(only, "fft 16 x 65537", 5.0 * 16 * 65537 * 16, [&] { return fft::fft(odd); });
}

}  // namespace

int main(int count, char** words) {
  const char* only = count > 1 ? words[1] : "";
  bench_convolutions(only);
  bench_other_convolutions(only);
  bench_transforms(only);
}
