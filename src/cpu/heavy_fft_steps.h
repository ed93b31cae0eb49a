// A worker's scratch, and what happens between the steps of a transform.
#pragma once

#include "cpu/heavy_fft_passes.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Where line l of an array begins whose middle axis has `size` numbers.
template <class T>
TARN_INLINE int64_t start_of(const FftLines<T>& f, int64_t l, int64_t size) {
  return l / f.inner * size * f.inner + l % f.inner;
}

// --- scratch of one worker

template <class T>
struct Work {
  Planes<T> buffers[2] = {};
  Planes<T> middle{}, chirp{}, halves{};
  bool lanes = false;
};
template <class T, class Room>
Work<T> carve(T* at, const Room& room, bool lanes) {
  auto take = [&](int64_t n) {
    const Planes<T> planes{at, at + n};
    at += 2 * n;
    return planes;
  };
  Work<T> w;
  w.lanes = lanes;
  w.buffers[0] = take(room.buffer), w.buffers[1] = take(room.buffer);
  w.middle = take(room.middle), w.chirp = take(room.chirp), w.halves = take(room.halves);
  return w;
}

// --- between the steps

// Columns c, c + 1, ... after their transform: turned, and written as rows of `to`.
template <class T>
void turn_and_transpose(const FftPlan<T>& p, int64_t c, Band<T> from, Planes<T> to) {
  constexpr int kStep = kLanesOf<T>;
  const int64_t n1 = p.columns.n, n2 = p.rows.n;
  const T *wr = p.between, *wi = p.between + p.inside + kLines<T>;
  for (int64_t lane = 0; lane < kLines<T>; lane += kStep) {
    int64_t k = 0;
    auto turned = [&](int64_t row, Vec<T>& re, Vec<T>& im) {
      const Vec<T> ar = load(from.at.re + row * from.step + lane);
      const Vec<T> ai = load(from.at.im + row * from.step + lane);
      const Vec<T> cr = load(wr + row * n2 + c + lane), ci = load(wi + row * n2 + c + lane);
      re = ar * cr - ai * ci, im = ar * ci + ai * cr;
    };
    for (; k + kStep <= n1; k += kStep) {
      Vec<T> re[kStep], im[kStep];
      TARN_UNROLL
      for (int i = 0; i < kStep; ++i) turned(k + i, re[i], im[i]);
      transpose(re);
      transpose(im);
      for (int i = 0; i < kStep; ++i) {
        const int64_t at = (c + lane + i) * n1 + k;
        store(to.re + at, re[i]), store(to.im + at, im[i]);
      }
    }
    for (; k < n1; ++k) {
      Vec<T> re, im;
      turned(k, re, im);
      for (int i = 0; i < kStep; ++i) {
        const int64_t at = (c + lane + i) * n1 + k;
        to.re[at] = re[i], to.im[at] = im[i];
      }
    }
  }
}

// z[k] = E[k] + i O[k], the transforms of the even and the odd numbers of a real line of 2n, to
// E[k] + e^(-pi i k / n) O[k], the line's own.
template <class T, class Write>
void unpack_pairs(const FftPlan<T>& p, Planes<T> z, int64_t step, const Write& write) {
  const T *wr = p.halves, *wi = p.halves + p.n + 1, half = T(0.5);
  for (int64_t k = 0; k <= p.n; ++k) {
    const int64_t a = (k == p.n ? 0 : k) * step, b = (k == 0 ? 0 : p.n - k) * step;
    const T er = (z.re[a] + z.re[b]) * half, ei = (z.im[a] - z.im[b]) * half;
    const T odd_re = (z.im[a] + z.im[b]) * half, odd_im = (z.re[b] - z.re[a]) * half;
    write.put(k, er + wr[k] * odd_re - wi[k] * odd_im, ei + wr[k] * odd_im + wi[k] * odd_re);
  }
}
// The other way round, times two.
template <class T, class Read>
void pack_pairs(const FftPlan<T>& p, const Read& read, Planes<T> z, int64_t step) {
  const T *wr = p.halves, *wi = p.halves + p.n + 1;
  for (int64_t k = 0; k < p.n; ++k) {
    const T ar = read.re(k), br = read.re(p.n - k);
    const T ai = k == 0 ? T(0) : read.im(k), bi = k == 0 ? T(0) : read.im(p.n - k);
    const T dr = ar - br, di = ai + bi;
    const T odd_re = dr * wr[k] + di * wi[k], odd_im = di * wr[k] - dr * wi[k];
    z.re[k * step] = ar + br - odd_im, z.im[k * step] = ai - bi + odd_re;
  }
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
