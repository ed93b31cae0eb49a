// Plans of Fourier transforms, and their cache.
#include "cpu/fft_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <vector>

#include "base/buffer.h"
#include "cpu/heavy.h"

namespace tarn::cpu {
namespace {

constexpr int64_t kLongestWhole = 8192;  // lines above take four steps
// Tables kept for later; when they grow beyond this, all go but those in use.
constexpr size_t kKeptBytes = size_t{128} << 20;

struct Turn {
  double re = 1, im = 0;
};
// e^(-2 pi i k / n), with the angle at most an eighth of a circle, so that it has every digit.
Turn turn(int64_t k, int64_t n) {
  constexpr double tau = 6.283185307179586476925;
  k %= n;
  if (2 * k > n) {
    Turn t = turn(n - k, n);
    return {t.re, -t.im};
  }
  if (4 * k > n) {
    double x = tau * static_cast<double>(n - 2 * k) / static_cast<double>(2 * n);
    return {-std::cos(x), -std::sin(x)};
  }
  if (8 * k > n) {
    double x = tau * static_cast<double>(n - 4 * k) / static_cast<double>(4 * n);
    return {std::sin(x), -std::cos(x)};
  }
  double x = tau * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(x), -std::sin(x)};
}

// The radices of n, the large ones first: powers of two in steps of 8, then 4 or 2.
std::vector<int> radices(int64_t n) {
  std::vector<int> out;
  for (int r : {13, 11, 7, 5, 3})
    for (; n % r == 0; n /= r) out.push_back(r);
  for (; n % 8 == 0 && n != 16; n /= 8) out.push_back(8);
  for (; n % 4 == 0; n /= 4) out.push_back(4);
  if (n % 2 == 0) out.push_back(2), n /= 2;
  if (n != 1) out.clear();
  return out;
}
// The smallest length of 2, 3 and 5 from n on.
int64_t next_smooth(int64_t n) {
  int64_t best = INT64_MAX;
  for (int64_t five = 1; five < 5 * n; five *= 5)
    for (int64_t three = five; three < 3 * n; three *= 3) {
      int64_t m = three;
      while (m < n) m *= 2;
      best = std::min(best, m);
    }
  return best;
}
// The divisor of n next below its root.
int64_t middle_divisor(int64_t n) {
  auto d = static_cast<int64_t>(std::sqrt(static_cast<double>(n)));
  while (d > 1 && n % d != 0) --d;
  return std::max<int64_t>(d, 1);
}

template <class T>
struct Tables {
  FftPlan<T> plan{};
  std::vector<BufferRef> held{};
  size_t bytes = 0;

  T* table(int64_t n) {
    BufferRef made(allocate_buffer(static_cast<size_t>(n) * sizeof(T)));
    held.push_back(std::move(made));
    bytes += held.back()->bytes;
    return static_cast<T*>(held.back()->data);
  }
  FftLength<T> length(int64_t n) {
    FftLength<T> l;
    l.n = n;
    for (int r : radices(n)) {
      FftPass<T>& pass = l.passes[l.count++];
      int64_t m = n / r;
      T* t = table(m * (r - 1) * 2);
      pass = {r, m, t};
      for (int64_t p = 0; p < m; ++p)
        for (int j = 1; j < r; ++j) {
          Turn w = turn(p * j, n);
          *t++ = static_cast<T>(w.re), *t++ = static_cast<T>(w.im);
        }
      n = m;
    }
    return l;
  }
  void split(int64_t n) {
    int64_t n1 = middle_divisor(n), n2 = n / n1, stride = n + kLines<T>;
    plan.inside = n;
    plan.columns = length(n1), plan.rows = length(n2);
    T* t = table(2 * stride);
    for (int64_t k = 0; k < n1; ++k)
      for (int64_t j = 0; j < n2; ++j) {
        Turn w = turn(k * j, n);
        t[k * n2 + j] = static_cast<T>(w.re), t[stride + k * n2 + j] = static_cast<T>(w.im);
      }
    plan.between = t;
  }
  void halve(int64_t n) {
    T* t = table(2 * (n + 1));
    for (int64_t k = 0; k <= n; ++k) {
      Turn w = turn(k, 2 * n);
      t[k] = static_cast<T>(w.re), t[n + 1 + k] = static_cast<T>(w.im);
    }
    plan.halves = t;
  }
  void bluestein(int64_t n);
};

template <>
void Tables<double>::bluestein(int64_t n) {
  split(next_smooth(2 * n - 1));
  int64_t m = plan.inside;
  double *chirp = table(2 * n), *kernel = table(2 * m);
  std::fill_n(kernel, 2 * m, 0.0);
  // j^2 modulo 2n, so that the angle stays exact.
  for (int64_t j = 0, square = 0; j < n; square = (square + 2 * j + 1) % (2 * n), ++j) {
    Turn w = turn(square, 2 * n);
    chirp[j] = w.re, chirp[n + j] = w.im;
    for (int64_t at : {j, (m - j) % m})
      kernel[at] = w.re / static_cast<double>(m), kernel[m + at] = -w.im / static_cast<double>(m);
  }
  FftLines<double> lines;
  lines.plan = &plan;
  BufferRef scratch(allocate_buffer(heavy().fft64_scratch(lines, 1)));
  heavy().fft_planes(plan, kernel, kernel + m, scratch->data);
  plan.chirp = chirp, plan.kernel = kernel;
}
template <>
void Tables<float>::bluestein(int64_t) {}

template <class T>
struct Cache {
  std::mutex mutex{};
  std::map<std::pair<int64_t, bool>, std::shared_ptr<const Tables<T>>> plans{};
  size_t bytes = 0;
};

template <class T>
std::shared_ptr<const Tables<T>> make_plan(int64_t n, bool halves) {
  auto tables = std::make_shared<Tables<T>>();
  tables->plan.n = n;
  if (!has_small_factors(n)) {
    tables->bluestein(n);
  } else {
    if (n <= kLongestWhole) tables->plan.whole = tables->length(n);
    tables->split(n);
  }
  if (halves) tables->halve(n);
  return tables;
}

}  // namespace

bool has_small_factors(int64_t n) { return n == 1 || !radices(n).empty(); }

template <class T>
std::shared_ptr<const FftPlan<T>> fft_plan(int64_t n, bool halves) {
  static auto& cache = *new Cache<T>;  // never destroyed: evaluations may outlive static objects
  std::lock_guard lock(cache.mutex);
  auto& found = cache.plans[{n, halves}];
  if (!found) {
    auto made = make_plan<T>(n, halves);
    if (cache.bytes + made->bytes > kKeptBytes) cache.plans.clear(), cache.bytes = 0;
    cache.bytes += made->bytes;
    cache.plans[{n, halves}] = made;
    return {made, &made->plan};
  }
  return {found, &found->plan};
}
template std::shared_ptr<const FftPlan<float>> fft_plan(int64_t n, bool halves);
template std::shared_ptr<const FftPlan<double>> fft_plan(int64_t n, bool halves);

}  // namespace tarn::cpu
