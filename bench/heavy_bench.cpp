// The heavy CPU kernels beside the ceilings of the machine they run on: read bandwidth of the
// working set, multiply-add peak, and each kernel's rate, its share of the ceiling and its error.
//
//   heavy_bench [part of a name]     TARN_ISA lowers the level
//
// One process, workers pinned and spinning, several samples of each figure: best and median.
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpu/heavy.h"
#include "cpu/heavy_conv.h"
#include "cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using namespace tarn::cpu;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// One helper thread that spins for work; run(2, f) calls f(0) here and f(1) there.
class Team {
 public:
  Team() {
    pin(0);
    helper_ = std::thread([this] { serve(); });
  }
  ~Team() {
    stop_ = true;
    helper_.join();
  }
  void run(int workers, const std::function<void(int)>& f) {
    if (workers == 1) return f(0);
    work_ = &f;
    const unsigned turn = asked_.load() + 1;
    asked_.store(turn, std::memory_order_release);
    f(0);
    while (done_.load(std::memory_order_acquire) != turn) {
    }
  }

 private:
  void serve() {
    pin(1);
    for (unsigned turn = 1;; ++turn) {
      while (asked_.load(std::memory_order_acquire) != turn)
        if (stop_) return;
      (*work_)(1);
      done_.store(turn, std::memory_order_release);
    }
  }
  std::atomic<unsigned> asked_{0}, done_{0};
  std::atomic<bool> stop_{false};
  const std::function<void(int)>* work_ = nullptr;
  std::thread helper_;
};

struct Times {
  double best = 0, median = 0;
};
Times sample(const std::function<void()>& f, double budget = 0.4) {
  std::vector<double> t;
  f();
  const double begin = now();
  while (t.size() < 5 || now() - begin < budget) {
    const double from = now();
    f();
    t.push_back(now() - from);
  }
  std::sort(t.begin(), t.end());
  return {t[0], t[t.size() / 2]};
}

char* large_pages(size_t bytes) {
  constexpr size_t kPage = 2 << 20;
  bytes = (bytes + 2 * kPage) / kPage * kPage;
  void* p =
      mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto at = (reinterpret_cast<uintptr_t>(p) + kPage - 1) / kPage * kPage;
  madvise(reinterpret_cast<void*>(at), bytes, MADV_HUGEPAGE);
  return reinterpret_cast<char*>(at);
}

std::vector<float> normal(size_t n, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> number;
  std::vector<float> x(n);
  for (float& v : x) v = number(bits);
  return x;
}

Team* team = nullptr;
double read_gbs[3] = {};  // of the decode working set, by workers
double fma_gflops[3] = {};

#if defined(__x86_64__)
__attribute__((target("avx512f"))) double multiply_add_512(int64_t steps) {
  __m512 a[12];
  for (auto& v : a) v = _mm512_set1_ps(1.f);
  const __m512 m = _mm512_set1_ps(1.0000001f);
  for (int64_t k = 0; k < steps; ++k)
#pragma GCC unroll 12
    for (auto& v : a) v = _mm512_fmadd_ps(v, m, m);
  double sum = 0;
  for (auto& v : a) sum += v[0];
  return sum;
}
__attribute__((target("avx2,fma"))) double multiply_add_256(int64_t steps) {
  __m256 a[12];
  for (auto& v : a) v = _mm256_set1_ps(1.f);
  const __m256 m = _mm256_set1_ps(1.0000001f);
  for (int64_t k = 0; k < steps; ++k)
#pragma GCC unroll 12
    for (auto& v : a) v = _mm256_fmadd_ps(v, m, m);
  double sum = 0;
  for (auto& v : a) sum += v[0];
  return sum;
}
__attribute__((target("avx2"))) int64_t read_all(const char* p, size_t n) {
  __m256i s[4] = {};
  for (size_t i = 0; i + 128 <= n; i += 128) {
    _mm_prefetch(p + i + 4096, _MM_HINT_T0);
    _mm_prefetch(p + i + 4160, _MM_HINT_T0);
    for (int j = 0; j < 4; ++j)
      s[j] = _mm256_xor_si256(s[j],
                              _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i + 32 * j)));
  }
  return s[0][0] ^ s[1][1] ^ s[2][2] ^ s[3][3];
}
#endif

void ceilings(char* memory) {
#if defined(__x86_64__)
  static volatile double sink = 0;
  const bool wide = best_isa() >= Isa::avx512;
  for (int workers : {1, 2}) {
    constexpr int64_t kSteps = 2000000;
    const Times t = sample([&] {
      team->run(workers, [&](int) {
        sink = sink + (wide ? multiply_add_512(kSteps) : multiply_add_256(kSteps));
      });
    });
    fma_gflops[workers] = workers * kSteps * 12 * 2.0 * (wide ? 16 : 8) / t.median / 1e9;
    std::printf("fma peak %d workers: %.0f GFLOP/s\n", workers, fma_gflops[workers]);
  }
  for (size_t mib : {1, 4, 16, 92, 512})
    for (int workers : {1, 2}) {
      const size_t bytes = mib << 20, part = bytes / static_cast<size_t>(workers);
      const size_t repeats = std::max<size_t>(1, 64 / mib);
      const Times t = sample([&] {
        team->run(workers, [&](int w) {
          for (size_t r = 0; r < repeats; ++r)
            sink = sink +
                   static_cast<double>(read_all(memory + static_cast<size_t>(w) * part, part) & 1);
        });
      });
      const double rate = static_cast<double>(bytes * repeats) / 1e9;
      if (mib == 92) read_gbs[workers] = rate / t.median;
      std::printf("read %4zu MiB %d workers: best %.1f median %.1f GB/s\n", mib, workers,
                  rate / t.best, rate / t.median);
    }
#else
  (void)memory;
#endif
}

template <class Args>
void call(Heavy::Kernel<Args> kernel, const Args& args, int workers) {
  team->run(workers, [&](int w) { kernel(args, w, workers); });
}

// --- quantised matmul --------------------------------------------------------------------------

float half_value(uint16_t h) {
  return std::ldexp(static_cast<float>(1024 + (h & 1023)), ((h >> 10) & 31) - 25) *
         ((h & 0x8000) != 0 ? -1.f : 1.f);
}

std::vector<QuantMatrix> copies_of(char* memory, size_t room, int64_t n, int64_t k, int bits,
                                   int group) {
  const auto codes = static_cast<size_t>(n * k * bits / 8);
  const auto scales = static_cast<size_t>(n * k / group * 2);
  const size_t each = (codes + 2 * scales + 4095) / 4096 * 4096;
  const size_t count = std::max<size_t>(1, room / each);
  std::mt19937_64 random(5);
  std::vector<QuantMatrix> all;
  for (size_t c = 0; c < count; ++c) {
    char* p = memory + c * each;
    for (size_t i = 0; i < codes / 8; ++i) {
      const uint64_t bits64 = random();
      std::memcpy(p + 8 * i, &bits64, 8);
    }
    for (size_t i = 0; i < scales / 2; ++i) {
      const auto s = static_cast<uint16_t>(0x2000 + (random() & 1023));  // 2^-7 to 2^-6
      const auto b = static_cast<uint16_t>(0xac00 + (random() & 1023));
      std::memcpy(p + codes + 2 * i, &s, 2);
      std::memcpy(p + codes + scales + 2 * i, &b, 2);
    }
    all.push_back({p, p + codes, p + codes + scales, n, k, bits, group, Store::f16});
  }
  return all;
}

double qmm_error(const QuantMatrix& w, const std::vector<float>& x, const float* y, int64_t m) {
  const auto* codes = static_cast<const uint8_t*>(w.codes);
  double error = 0, size = 0;
  for (int64_t i = 0; i < m; i += std::max<int64_t>(1, m / 4))
    for (int64_t n = 0; n < w.rows; n += std::max<int64_t>(1, w.rows / 256)) {
      double want = 0;
      for (int64_t k = 0; k < w.cols; ++k) {
        const int64_t at = n * w.cols + k, g = at / w.group;
        const int code = w.bits == 8 ? codes[at] : codes[at / 2] >> (at % 2 * 4) & 15;
        uint16_t s = 0, b = 0;
        std::memcpy(&s, static_cast<const char*>(w.scales) + 2 * g, 2);
        std::memcpy(&b, static_cast<const char*>(w.biases) + 2 * g, 2);
        want += (double{half_value(s)} * code + double{half_value(b)}) *
                double{x[static_cast<size_t>(i * w.cols + k)]};
      }
      const double d = static_cast<double>(y[i * w.rows + n]) - want;
      error += d * d;
      size += want * want;
    }
  return std::sqrt(error / size);
}

void bench_qmm(char* memory, const char* only, int64_t m, int64_t n, int64_t k, int bits, int group,
               bool exact) {
  char title[96];
  std::snprintf(title, sizeof title, "qmm %s %d-bit g%d M%ld %ldx%ld", exact ? "exact" : "balanced",
                bits, group, static_cast<long>(m), static_cast<long>(n), static_cast<long>(k));
  if (std::strstr(title, only) == nullptr) return;
  const Heavy& h = heavy();
  const bool one = m > 8;
  const auto all = copies_of(memory, one ? 1 : size_t{92} << 20, n, k, bits, group);
  const auto x = normal(static_cast<size_t>(m * k), 1);
  std::vector<float> y(static_cast<size_t>(m * n));
  char* packed = large_pages(h.packed_bytes(m, k, group));
  Qmm q{.x = x.data(), .x_stride = k, .packed = packed, .y = y.data(), .y_stride = n, .m = m};
  q.w = all[0];
  q.scratch = large_pages(std::max(h.qmm_exact_scratch(q, 2), h.qmm_balanced_scratch(q, 2)));
  const PackActivations pack{x.data(), k, m, k, bits, group, packed};
  for (int workers : {1, 2}) {
    const Times t = sample([&] {
      if (exact || one) {
        if (!exact) call(h.pack_activations, pack, workers);
        for (const QuantMatrix& w : all) {
          q.w = w;
          call(exact ? h.qmm_exact : h.qmm_balanced, q, workers);
        }
        return;
      }
      team->run(workers, [&](int id) {  // decoding: one region, no barrier between matrices
        Qmm mine = q;
        h.pack_activations(pack, 0, 1);
        for (const QuantMatrix& w : all) {
          mine.w = w;
          h.qmm_balanced(mine, id, workers);
        }
      });
    });
    const double calls = static_cast<double>(all.size());
    const double bytes = static_cast<double>(n * k) * (bits / 8.0 + 4.0 / group);
    const double rate = bytes * calls / t.median / 1e9;
    const double flops = 2.0 * static_cast<double>(m * n * k) * calls / t.median / 1e9;
    q.w = all.back();
    std::printf(
        "%-40s %dw best %8.2f median %8.2f us  %6.1f GB/s (%3.0f%% of read)  %6.0f GFLOP/s"
        "  error %.1e\n",
        title, workers, t.best / calls * 1e6, t.median / calls * 1e6, rate,
        100 * rate / read_gbs[workers], flops, qmm_error(q.w, x, y.data(), m));
  }
}

// --- floats ------------------------------------------------------------------------------------

void bench_gemm(const char* only, int64_t m, int64_t n, int64_t k, bool turned, Store type) {
  char title[96];
  std::snprintf(title, sizeof title, "gemm %s M%ld N%ld K%ld%s",
                type == Store::f32   ? "f32"
                : type == Store::f16 ? "f16"
                                     : "bf16",
                static_cast<long>(m), static_cast<long>(n), static_cast<long>(k),
                turned ? " b turned" : "");
  if (std::strstr(title, only) == nullptr) return;
  const Heavy& h = heavy();
  const auto a = normal(static_cast<size_t>(m * k), 1), b = normal(static_cast<size_t>(n * k), 2);
  std::vector<float> c(static_cast<size_t>(m * n));
  std::vector<uint16_t> ah, bh;
  for (float v : a) ah.push_back(static_cast<uint16_t>(0x3c00 + (std::lround(v * 64) & 255)));
  for (float v : b) bh.push_back(static_cast<uint16_t>(0x3c00 + (std::lround(v * 64) & 255)));
  Gemm g{.m = m, .n = n, .k = k};
  g.type = type;
  g.a = type == Store::f32 ? static_cast<const void*>(a.data()) : ah.data();
  g.a_row = k;
  g.b = type == Store::f32 ? static_cast<const void*>(b.data()) : bh.data();
  g.b_row = turned ? 1 : n;
  g.b_col = turned ? k : 1;
  g.c = c.data();
  g.c_row = n;
  g.scratch = large_pages(h.gemm_scratch(g, 2));
  for (int workers : {1, 2}) {
    const Times t = sample([&] { call(h.gemm, g, workers); });
    double error = 0, size = 1e-300;
    for (int s = 0; s < 200 && type == Store::f32; ++s) {
      const int64_t i = s * 7919 % m, j = s * 104729 % n;
      double want = 0;
      for (int64_t p = 0; p < k; ++p)
        want += double{a[static_cast<size_t>(i * k + p)]} *
                double{b[static_cast<size_t>(turned ? j * k + p : p * n + j)]};
      const double d = static_cast<double>(c[static_cast<size_t>(i * n + j)]) - want;
      error += d * d;
      size += want * want;
    }
    const double flops = 2.0 * static_cast<double>(m * n * k) / 1e9;
    std::printf(
        "%-40s %dw best %6.0f median %6.0f GFLOP/s (%3.0f%% of peak)  %6.1f GB/s of b  "
        "error %.1e\n",
        title, workers, flops / t.best, flops / t.median,
        100 * flops / t.median / fma_gflops[workers],
        static_cast<double>(n * k) * (type == Store::f32 ? 4 : 2) / t.median / 1e9,
        std::sqrt(error / size));
  }
}

// One line of pixels from the cache, as the 3x3 convolution of bench/compare.py has 448 of: what
// the register tile does alone, where nothing is packed and nothing waits for memory.
void bench_line(const char* only) {
  if (std::strstr("conv line of 56 pixels", only) == nullptr) return;
  constexpr int64_t kPixels = 56, kChannels = 64, kTaps = 9, kStep = 80, kRepeats = 100;
  const auto& kernels = heavy_conv().of_float;
  const auto w = normal(kChannels * kChannels * kTaps, 1), x = normal(3 * kChannels * kStep, 2);
  std::vector<float> packed(w.size() + PackFilters<float>::kSlack), y(2 * kPixels * kChannels);
  kernels.pack_filters({w.data(), kChannels, kChannels * kTaps, packed.data()});
  const float* taps[kTaps];
  for (int t = 0; t < kTaps; ++t) taps[t] = x.data() + t / 3 * kChannels * kStep + t % 3;
  const auto multiply = [&](int id) {
    float* to = y.data() + id * kPixels * kChannels;
    for (int i = 0; i < kRepeats; ++i)
      kernels.multiply_line({taps, kTaps, kChannels, kStep, kPixels, packed.data(), 64, to, 64});
  };
  for (int workers : {1, 2}) {
    const Times t = sample([&] { team->run(workers, multiply); });
    const double flops = 2e-9 * workers * kRepeats * kPixels * kChannels * kChannels * kTaps;
    std::printf("conv line of 56 pixels %dw median %6.0f GFLOP/s (%3.0f%% of peak)\n", workers,
                flops / t.median, 100 * flops / t.median / fma_gflops[workers]);
  }
}

void bench_attention(const char* only, int64_t queries, int64_t length, int64_t heads,
                     int64_t kv_heads, Store type) {
  char title[96];
  std::snprintf(title, sizeof title, "attention L%ld S%ld heads %ld/%ld %s",
                static_cast<long>(queries), static_cast<long>(length), static_cast<long>(heads),
                static_cast<long>(kv_heads), type == Store::f32 ? "f32" : "f16");
  if (std::strstr(title, only) == nullptr) return;
  const Heavy& h = heavy();
  constexpr int64_t kDim = 64;
  const auto q = normal(static_cast<size_t>(heads * queries * kDim), 1);
  const auto kv = normal(static_cast<size_t>(kv_heads * length * kDim), 2);
  std::vector<uint16_t> halves;
  for (float v : kv) halves.push_back(static_cast<uint16_t>(0x3000 + (std::lround(v * 64) & 255)));
  std::vector<float> out(q.size());
  Attention a{.batch = 1,
              .q_heads = heads,
              .kv_heads = kv_heads,
              .queries = queries,
              .length = length,
              .key_dim = kDim,
              .value_dim = kDim};
  a.q = q.data();
  a.q_at = a.out_at = {0, queries * kDim, kDim};
  a.k = a.v = type == Store::f32 ? static_cast<const void*>(kv.data()) : halves.data();
  a.k_at = a.v_at = {0, length * kDim, kDim};
  a.kv_type = type;
  a.out = out.data();
  a.scale = 0.125f;
  a.causal = true;
  a.scratch = large_pages(h.attention_scratch(a, 2));
  for (int workers : {1, 2}) {
    const Times t = sample([&] { call(h.attention, a, workers); });
    const double seen = static_cast<double>(queries) *
                        (static_cast<double>(length) - static_cast<double>(queries - 1) / 2);
    const double flops = 4.0 * static_cast<double>(heads * kDim) * seen / 1e9;
    std::printf("%-40s %dw best %8.1f median %8.1f us  %6.0f GFLOP/s\n", title, workers,
                t.best * 1e6, t.median * 1e6, flops / t.median);
  }
}

void bench_rows(const char* only, const char* title, Heavy::Kernel<Rows> kernel) {
  if (std::strstr(title, only) == nullptr) return;
  constexpr int64_t kRows = 4096, kCols = 4096;
  const auto x = normal(kRows * kCols, 1);
  std::vector<float> y(x.size());
  const Rows r{.x = x.data(),
               .x_stride = kCols,
               .y = y.data(),
               .y_stride = kCols,
               .rows = kRows,
               .cols = kCols};
  for (int workers : {1, 2}) {
    const Times t = sample([&] { call(kernel, r, workers); });
    std::printf("%-40s %dw median %6.1f GB/s read + written\n", title, workers,
                8.0 * static_cast<double>(x.size()) / t.median / 1e9);
  }
}

void bench_fold(const char* only) {
  if (std::strstr("fold sum 16M", only) == nullptr) return;
  constexpr int64_t kPieces = 256, kCols = 65536;
  const auto x = normal(kPieces * kCols, 1);
  std::vector<double> sums(kPieces);
  FoldRows f{.x = x.data(), .x_stride = kCols, .rows = kPieces, .cols = kCols};
  f.wide = sums.data();
  for (int workers : {1, 2}) {
    const Times t = sample([&] { call(heavy().fold_rows, f, workers); });
    std::printf("%-40s %dw median %6.1f GB/s\n", "fold sum 16M", workers,
                4.0 * static_cast<double>(x.size()) / t.median / 1e9);
  }
}

int run(int argc, char** argv) {
  const char* only = argc > 1 ? argv[1] : "";
  Team both;
  team = &both;
  char* memory = large_pages(size_t{600} << 20);
  for (size_t i = 0; i < size_t{600} << 20; ++i)
    memory[i] = static_cast<char>(i * 2654435761u >> 13);
  std::printf("level %s, available:", name(best_isa()));
  for (Isa isa : available_isas()) std::printf(" %s", name(isa));
  std::printf("\n");
  ceilings(memory);
  const int64_t model[][2] = {{576, 576}, {192, 576}, {1536, 576}, {576, 1536}};
  for (const auto& s : model) bench_qmm(memory, only, 1, s[0], s[1], 4, 32, false);
  bench_qmm(memory, only, 1, 49152, 576, 8, 32, false);
  bench_qmm(memory, only, 1, 4096, 4096, 4, 64, false);
  for (int64_t m : {2, 4, 8}) bench_qmm(memory, only, m, 1536, 576, 4, 32, false);
  for (int64_t m : {16, 64, 512})
    for (const auto& s : model) bench_qmm(memory, only, m, s[0], s[1], 4, 32, false);
  for (const auto& s : model) bench_qmm(memory, only, 512, s[0], s[1], 4, 64, false);
  for (int group : {32, 64})
    for (int64_t n : {2048, 4096}) bench_qmm(memory, only, 512, n, n, 4, group, false);
  bench_qmm(memory, only, 512, 1536, 576, 8, 32, false);
  for (int64_t m : {1, 8, 64, 512}) bench_qmm(memory, only, m, 1536, 576, 4, 32, true);
  bench_qmm(memory, only, 1, 49152, 576, 8, 32, true);
  for (int64_t n : {128, 512, 1024, 2048}) bench_gemm(only, n, n, n, false, Store::f32);
  bench_gemm(only, 1024, 1024, 1024, true, Store::f32);
  for (int64_t n : {512, 1024, 2048})
    for (bool turned : {false, true}) bench_gemm(only, n, n, n, turned, Store::bf16);
  bench_gemm(only, 1024, 1024, 1024, false, Store::f16);
  bench_gemm(only, 512, 1536, 576, true, Store::f32);
  for (int64_t m : {1, 4, 8}) {
    bench_gemm(only, m, 4096, 4096, true, Store::f32);
    bench_gemm(only, m, 4096, 4096, false, Store::f32);
  }
  bench_line(only);
  bench_attention(only, 1, 512, 9, 3, Store::f32);
  bench_attention(only, 1, 512, 9, 3, Store::f16);
  bench_attention(only, 512, 512, 9, 3, Store::f32);
  bench_attention(only, 1024, 1024, 9, 9, Store::f32);
  bench_rows(only, "softmax rows of 4096", heavy().softmax);
  bench_rows(only, "rms_norm rows of 4096", heavy().rms_norm);
  bench_rows(only, "layer_norm rows of 4096", heavy().layer_norm);
  bench_fold(only);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
