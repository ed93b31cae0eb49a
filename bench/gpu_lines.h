// gpu_bench lines: sorts, scans, random bits and convolutions on the card, each beside the same by
// the CPU with copies there and back. gpu_bench weights: the first use of a mapped file of 1 GiB,
// beside what the bus moves from pinned memory.
#pragma once

#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "median.h"
#include "tarn/tarn.h"

namespace bench {

using namespace tarn;

// Until chains are compiled in the background.
inline void warm_up(const std::function<void()>& once) {
  for (auto start = std::chrono::steady_clock::now();
       std::chrono::steady_clock::now() - start < std::chrono::milliseconds(700);)
    once();
}
inline double median_seconds(int rounds, const std::function<void()>& once) {
  std::vector<double> all;
  once();
  for (int i = 0; i < rounds; ++i) {
    auto start = std::chrono::steady_clock::now();
    once();
    all.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return median(all);
}

// Rows whose title has this are done.
inline std::string part_of_lines;

// `f` computes where it is told; what it makes is then read on the card.
inline void line_row(const char* title, double numbers, int times,
                     const std::function<array(StreamOrDevice)>& f) {
  if (std::string(title).find(part_of_lines) == std::string::npos) return;
  auto use = [&](Device d, int each) {
    for (int i = 0; i < each; ++i) {
      std::vector<array> y{f(d)};
      eval(y);
      prefetch(y, Device::gpu);
    }
    synchronize();
  };
  warm_up([&] { use(Device::gpu, 1); });
  double card = median_seconds(7, [&] { use(Device::gpu, times); }) / times;
  double host = median_seconds(1, [&] { use(Device::cpu, 1); });
  std::printf("%-44s %10.1f us %8.2f G/s   by the CPU %10.1f us\n", title, card * 1e6,
              numbers / card / 1e9, host * 1e6);
}

inline array line_numbers(Shape shape, Dtype dtype = float32) {
  array a = astype(random::normal(std::move(shape), float32, random::key(1)), dtype);
  a.eval();
  return a;
}

// Operations a second, of which an addition and a product are two.
inline void bench_convolutions() {
  array x = line_numbers({32, 56, 56, 64}), w = line_numbers({64, 3, 3, 64});
  array each = line_numbers({64, 3, 3, 1});
  array sound = line_numbers({8, 3000, 384}), taps = line_numbers({384, 3, 384});
  double rows = 32.0 * 56 * 56;
  line_row("conv2d 3 x 3, 32 x 56 x 56, 64 to 64", 2 * rows * 64 * 9 * 64, 10, [&](auto s) {
    return conv2d(x, w, {1, 1}, {1, 1}, {1, 1}, 1, s);
  });
  line_row("conv2d 3 x 3, 32 x 56 x 56, each of 64", 2 * rows * 64 * 9, 10, [&](auto s) {
    return conv2d(x, each, {1, 1}, {1, 1}, {1, 1}, 64, s);
  });
  line_row("conv1d 3, stride 2, 8 x 3000, 384 to 384", 2 * 8.0 * 1500 * 384 * 3 * 384, 10,
           [&](auto s) { return conv1d(sound, taps, 2, 1, 1, 1, s); });
}

// x + 1 by a kernel of the program's own, beside the library's.
inline void bench_own_kernel() {
  constexpr int n = 1 << 27;
  const auto kernel = fast::cuda_kernel("plus_one", {"x"}, {"y"}, R"(
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < N / 4) {
      float4 v = ((const float4*)x)[i];
      ((float4*)y)[i] = make_float4(v.x + 1, v.y + 1, v.z + 1, v.w + 1);
    })");
  array x = line_numbers({n});
  auto rate = [&](const std::function<array()>& f) {
    warm_up([&] { f().eval(); });
    double s = median_seconds(9, [&] {
      for (int i = 0; i < 20; ++i) f().eval();
      synchronize();
    });
    return 20 * 8.0 * n / s / 1e12;
  };
  double own = rate([&] {
    return kernel({x}, {{n}}, {float32}, {n / 4, 1, 1}, {256, 1, 1}, {{"N", n}}, {}, false,
                  Device::gpu)[0];
  });
  double library = rate([&] { return x + array(1.0f); });
  std::printf("x + 1, 2^27 float32: %.2f TB/s by a cuda_kernel, %.2f by the library\n", own,
              library);
}

inline void bench_lines() {
  constexpr int64_t n = int64_t{1} << 24;
  array x = line_numbers({n}), rows = reshape(x, {4096, 4096}), vocabulary = line_numbers({128256});
  array many = line_numbers({64, 128256}), whole = astype(x * array(1e6f), int32);
  whole.eval();
  line_row("sort 2^24 float32", n, 3, [&](auto s) { return sort(x, s); });
  line_row("sort 2^24 int32", n, 3, [&](auto s) { return sort(whole, s); });
  line_row("argsort 2^24 float32", n, 3, [&](auto s) { return argsort(x, s); });
  line_row("sort 4096 rows of 4096", n, 3, [&](auto s) { return sort(rows, -1, s); });
  line_row("sort 64 rows of 128256", 64.0 * 128256, 3, [&](auto s) { return sort(many, -1, s); });
  line_row("argsort 128256", 128256, 20, [&](auto s) { return argsort(vocabulary, s); });
  line_row("argpartition 128256, 40 largest", 128256, 20,
           [&](auto s) { return argpartition(vocabulary, -40, s); });
  line_row("topk 40 of 128256", 128256, 20, [&](auto s) { return topk(vocabulary, 40, s); });
  line_row("topk 40 of 64 rows of 128256", 64.0 * 128256, 5,
           [&](auto s) { return topk(many, 40, -1, s); });
  line_row("cumsum 2^24 float32", n, 10, [&](auto s) { return cumsum(x, false, true, s); });
  line_row("cumsum 4096 rows of 4096", n, 10,
           [&](auto s) { return cumsum(rows, 1, false, true, s); });
  line_row("cumsum 4096 columns of 4096", n, 10,
           [&](auto s) { return cumsum(rows, 0, false, true, s); });
  line_row("cummax 4096 rows of 4096", n, 10,
           [&](auto s) { return cummax(rows, 1, false, true, s); });
  line_row("logcumsumexp 4096 rows of 4096", n, 10,
           [&](auto s) { return logcumsumexp(rows, 1, false, true, s); });
  line_row("random bits, 2^24 words", n, 10,
           [&](auto s) { return random::bits({n}, 4, random::key(3), s); });
  bench_convolutions();
  bench_own_kernel();
}

// The driver's copies to the card, in GB/s.
class Driver {
 public:
  explicit Driver(size_t bytes) : bytes_(bytes) {
    if (call("cuMemAlloc_v2", &card_, bytes) != 0) throw DeviceError("[gpu_bench] no memory.");
  }
  ~Driver() { call("cuMemFree_v2", card_); }
  double from_pinned() {
    void* host = nullptr;
    if (call("cuMemHostAlloc", &host, bytes_, 0u) != 0) return 0;
    std::memset(host, 1, bytes_);
    double s = median_seconds(5, [&] { copy(host, bytes_); });
    call("cuMemFreeHost", host);
    return static_cast<double>(bytes_) / s / 1e9;
  }
  void copy(const void* from, size_t bytes) {
    call("cuMemcpyHtoD_v2", card_, from, bytes);
    call("cuCtxSynchronize");
  }

 private:
  template <class... Arguments>
  static int call(const char* name, Arguments... arguments) {
    static void* const library = dlopen("libcuda.so.1", RTLD_NOW);
    return reinterpret_cast<int (*)(Arguments...)>(dlsym(library, name))(arguments...);
  }
  size_t bytes_;
  unsigned long long card_ = 0;
};

inline void bench_weights() {
  constexpr size_t count = 32, bytes = size_t{32} << 20;
  auto path = std::filesystem::temp_directory_path() / "tarn_gpu_bench.safetensors";
  {
    StreamContext scope{Device::cpu};
    std::unordered_map<std::string, array> all;
    for (size_t i = 0; i < count; ++i)
      all.emplace(std::to_string(i), random::bits({int64_t{bytes} / 4}, 4, random::key(i)));
    save_safetensors(path.string(), all);
  }
  auto mapped = [&] {
    std::vector<array> all;
    for (auto& [name, a] : load_safetensors(path.string(), Device::cpu).first) all.push_back(a);
    eval(all);
    return all;
  };
  // A file is mapped once: what unmaps it is not counted.
  auto median_mapped = [&](const std::function<void(std::vector<array>&)>& use) {
    std::vector<double> all;
    for (int i = 0; i < 7; ++i) {
      auto arrays = mapped();
      auto start = std::chrono::steady_clock::now();
      use(arrays);
      all.push_back(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return median(all);
  };
  double seconds = median_mapped([](auto& all) {
    prefetch(all, Device::gpu);
    synchronize();
  });
  Driver driver(size_t{256} << 20);
  double alone = median_mapped([&](auto& all) {
    for (auto& a : all) driver.copy(a.template data<uint32_t>(), bytes);
  });
  // What arrived is what was saved.
  auto loaded = load_safetensors(path.string(), Device::cpu).first;
  bool same = true;
  for (auto& [name, a] : loaded) {
    array there = sum(a, StreamOrDevice(Device::gpu)), here = sum(a, StreamOrDevice(Device::cpu));
    same = same && array_equal(there, here, Device::cpu).item<bool>();
  }
  std::filesystem::remove(path);
  double all = double(count * bytes) / 1e9, bus = driver.from_pinned();
  std::printf(
      "a mapped file of 1 GiB: %.1f GB/s, %.0f %% of the bus's %.1f; by the driver %.1f%s\n",
      all / seconds, 100 * all / seconds / bus, bus, all / alone, same ? "" : "; and WRONG");
}

}  // namespace bench
