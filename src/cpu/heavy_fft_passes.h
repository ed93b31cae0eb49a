// Stockham's algorithm on planes of lines: n rows of 64 bytes or more, a lane for each line.
//
// A pass of radix R takes x[p + m k], k < R, to y[R p + j], j < R, for each p < m, where x and y
// are rows of s numbers; the next pass sees rows of R s numbers. Results come out in order, and
// every load and store is a whole vector. W. T. Cochran et al., "What is the fast Fourier
// transform?" (1967); C. Van Loan, "Computational Frameworks for the Fast Fourier Transform"
// (1992), 1.7.
#pragma once

#include "cpu/fft.h"
#include "cpu/heavy_vec.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

template <class T>
struct Planes {
  T* re = nullptr;
  T* im = nullptr;
};

// cos and sin of 2 pi k / n, by their series.
struct Turn {
  long double cos = 1, sin = 0;
};
constexpr Turn turn_of(int k, int n) {
  const long double x = 6.283185307179586476925286766559L * (2 * k > n ? k - n : k) / n;
  Turn t;
  long double term = 1;
  for (int i = 1; i < 60; ++i) {
    term *= x / i;
    (i % 2 ? t.sin : t.cos) += i % 4 < 2 ? term : -term;
  }
  return t;
}

template <class T, int R>
struct TurnTable {
  T cos[R] = {}, sin[R] = {};
};
template <class T, int R>
constexpr TurnTable<T, R> turns_of() {
  TurnTable<T, R> t;
  for (int k = 0; k < R; ++k) {
    t.cos[k] = static_cast<T>(turn_of(k, R).cos);
    t.sin[k] = static_cast<T>(turn_of(k, R).sin);
  }
  return t;
}
template <class T, int R>
constexpr TurnTable<T, R> kTurns = turns_of<T, R>();

// re + i im becomes the transform of R points, in place.
template <class T, int R>
struct Butterfly {  // odd R: sums and differences of the pairs k and R - k
  TARN_INLINE static void run(Vec<T>* re, Vec<T>* im) {
    constexpr int kHalf = R / 2;
    Vec<T> sum_re[kHalf], sum_im[kHalf], dif_re[kHalf], dif_im[kHalf];
    Vec<T> total_re = re[0], total_im = im[0];
    TARN_UNROLL
    for (int k = 1; k <= kHalf; ++k) {
      sum_re[k - 1] = re[k] + re[R - k], dif_re[k - 1] = re[k] - re[R - k];
      sum_im[k - 1] = im[k] + im[R - k], dif_im[k - 1] = im[k] - im[R - k];
      total_re += sum_re[k - 1], total_im += sum_im[k - 1];
    }
    TARN_UNROLL
    for (int j = 1; j <= kHalf; ++j) {
      Vec<T> c_re = re[0], c_im = im[0], s_re{}, s_im{};
      TARN_UNROLL
      for (int k = 1; k <= kHalf; ++k) {
        const T c = kTurns<T, R>.cos[j * k % R], s = kTurns<T, R>.sin[j * k % R];
        c_re += c * sum_re[k - 1], c_im += c * sum_im[k - 1];
        s_re += s * dif_re[k - 1], s_im += s * dif_im[k - 1];
      }
      re[j] = c_re + s_im, im[j] = c_im - s_re;
      re[R - j] = c_re - s_im, im[R - j] = c_im + s_re;
    }
    re[0] = total_re, im[0] = total_im;
  }
};
template <class T>
struct Butterfly<T, 2> {
  TARN_INLINE static void run(Vec<T>* re, Vec<T>* im) {
    const Vec<T> r = re[0] - re[1], i = im[0] - im[1];
    re[0] += re[1], im[0] += im[1];
    re[1] = r, im[1] = i;
  }
};
template <class T>
struct Butterfly<T, 4> {
  TARN_INLINE static void run(Vec<T>* re, Vec<T>* im) {
    const Vec<T> ar = re[0] + re[2], ai = im[0] + im[2], br = re[0] - re[2], bi = im[0] - im[2];
    const Vec<T> cr = re[1] + re[3], ci = im[1] + im[3], dr = re[1] - re[3], di = im[1] - im[3];
    re[0] = ar + cr, im[0] = ai + ci, re[2] = ar - cr, im[2] = ai - ci;
    re[1] = br + di, im[1] = bi - dr, re[3] = br - di, im[3] = bi + dr;
  }
};
template <class T>
struct Butterfly<T, 8> {
  TARN_INLINE static void run(Vec<T>* re, Vec<T>* im) {
    constexpr T kHalf = static_cast<T>(0.70710678118654752440L);
    Vec<T> er[4], ei[4], odd_re[4], odd_im[4];
    TARN_UNROLL
    for (int k = 0; k < 4; ++k) {
      er[k] = re[2 * k], ei[k] = im[2 * k];
      odd_re[k] = re[2 * k + 1], odd_im[k] = im[2 * k + 1];
    }
    Butterfly<T, 4>::run(er, ei);
    Butterfly<T, 4>::run(odd_re, odd_im);
    const Vec<T> r1 = (odd_re[1] + odd_im[1]) * kHalf, i1 = (odd_im[1] - odd_re[1]) * kHalf;
    const Vec<T> r3 = (odd_im[3] - odd_re[3]) * kHalf, i3 = (odd_re[3] + odd_im[3]) * -kHalf;
    const Vec<T> r2 = odd_im[2], i2 = -odd_re[2];
    odd_re[1] = r1, odd_im[1] = i1, odd_re[2] = r2, odd_im[2] = i2, odd_re[3] = r3, odd_im[3] = i3;
    TARN_UNROLL
    for (int k = 0; k < 4; ++k) {
      re[k] = er[k] + odd_re[k], im[k] = ei[k] + odd_im[k];
      re[k + 4] = er[k] - odd_re[k], im[k + 4] = ei[k] - odd_im[k];
    }
  }
};

// x's rows lie x_step apart, y's s.
template <class T, int R>
[[gnu::noinline]] void run_pass(const FftPass<T>& f, int64_t s, Planes<T> x, int64_t x_step,
                                Planes<T> y) {
  constexpr int kStep = kLanesOf<T>;
  for (int64_t p = 0; p < f.m; ++p) {
    const T* w = f.turns + p * (R - 1) * 2;
    for (int64_t q = 0; q < s; q += kStep) {
      Vec<T> re[R], im[R];
      TARN_UNROLL
      for (int k = 0; k < R; ++k) {
        const int64_t at = q + x_step * (p + f.m * k);
        re[k] = load(x.re + at), im[k] = load(x.im + at);
      }
      Butterfly<T, R>::run(re, im);
      const int64_t to = q + s * R * p;
      store(y.re + to, re[0]), store(y.im + to, im[0]);
      TARN_UNROLL
      for (int j = 1; j < R; ++j) {
        const T c = w[2 * j - 2], t = w[2 * j - 1];
        store(y.re + to + s * j, re[j] * c - im[j] * t);
        store(y.im + to + s * j, re[j] * t + im[j] * c);
      }
    }
  }
}
template <class T>
void run_pass_of(const FftPass<T>& f, int64_t s, Planes<T> x, int64_t x_step, Planes<T> y) {
  switch (f.radix) {
    case 2:
      return run_pass<T, 2>(f, s, x, x_step, y);
    case 3:
      return run_pass<T, 3>(f, s, x, x_step, y);
    case 4:
      return run_pass<T, 4>(f, s, x, x_step, y);
    case 5:
      return run_pass<T, 5>(f, s, x, x_step, y);
    case 7:
      return run_pass<T, 7>(f, s, x, x_step, y);
    case 8:
      return run_pass<T, 8>(f, s, x, x_step, y);
    case 11:
      return run_pass<T, 11>(f, s, x, x_step, y);
    default:
      return run_pass<T, 13>(f, s, x, x_step, y);
  }
}

// Rows of kLines numbers, `step` apart.
template <class T>
struct Band {
  Planes<T> at{};
  int64_t step = 0;
};
// The transform of x, in one of the two buffers; x itself where the length is 1. x may be the first
// buffer.
template <class T>
Band<T> run_passes(const FftLength<T>& length, Band<T> x, const Planes<T>* buffers) {
  int64_t s = kLines<T>;
  for (int i = 0; i < length.count; ++i) {
    const Planes<T> y = buffers[(i + 1) % 2];
    run_pass_of(length.passes[i], s, x.at, x.step, y);
    s *= length.passes[i].radix;
    x = {y, s};
  }
  x.step = length.count == 0 ? x.step : kLines<T>;
  return x;
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
