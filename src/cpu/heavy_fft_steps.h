// A worker's scratch, and what happens between the steps of a transform.
#pragma once

#include "cpu/heavy_fft_rows.h"

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

// z[k] = E[k] + i O[k], the transforms of the even and the odd numbers of a real line of 2n, gives
// E[k] + e^(-pi i k / n) O[k], the line's own: a is z[k], b is z[n - k], w the turn. V is a number
// or a vector.
template <class V, class T>
TARN_INLINE void unpack_pair(V ar, V ai, V br, V bi, V wr, V wi, T half, V& re, V& im) {
  const V er = (ar + br) * half, ei = (ai - bi) * half;
  const V odd_re = (ai + bi) * half, odd_im = (br - ar) * half;
  re = er + wr * odd_re - wi * odd_im, im = ei + wr * odd_im + wi * odd_re;
}
// The other way round, times two.
template <class V>
TARN_INLINE void pack_pair(V ar, V ai, V br, V bi, V wr, V wi, V& re, V& im) {
  const V dr = ar - br, di = ai + bi;
  const V odd_re = dr * wr + di * wi, odd_im = di * wr - dr * wi;
  re = ar + br - odd_im, im = ai - bi + odd_re;
}
template <class V, int... I>
TARN_INLINE V reversed(V v, Lanes<I...>) {
  return __builtin_shufflevector(v, v, (static_cast<int>(sizeof...(I)) - 1 - I)...);
}
template <class T>
TARN_INLINE Vec<T> reversed(Vec<T> v) {
  return reversed(v, typename LanesTo<kLanesOf<T>>::type{});
}

template <class T, class Write>
void unpack_pairs(const FftPlan<T>& p, Planes<T> z, int64_t step, const Write& write) {
  constexpr int kStep = kLanesOf<T>;
  const T *wr = p.halves, *wi = p.halves + p.n + 1, half = T(0.5);
  auto one = [&](int64_t k) {
    const int64_t a = (k == p.n ? 0 : k) * step, b = (k == 0 ? 0 : p.n - k) * step;
    T re, im;
    unpack_pair(z.re[a], z.im[a], z.re[b], z.im[b], wr[k], wi[k], half, re, im);
    write.put(k, re, im);
  };
  one(0);
  int64_t k = 1;
  if constexpr (Sets<T, Write>)
    if (step == 1 && write.step == 1)
      for (; k + kStep <= p.n; k += kStep) {
        const int64_t b = p.n - k - kStep + 1;
        Vec<T> re, im;
        unpack_pair(load(z.re + k), load(z.im + k), reversed<T>(load(z.re + b)),
                    reversed<T>(load(z.im + b)), load(wr + k), load(wi + k), half, re, im);
        write.set(k, re, im);
      }
  for (; k <= p.n; ++k) one(k);
}
template <class T, class Read>
void pack_pairs(const FftPlan<T>& p, const Read& read, Planes<T> z, int64_t step) {
  constexpr int kStep = kLanesOf<T>;
  const T *wr = p.halves, *wi = p.halves + p.n + 1;
  auto one = [&](int64_t k) {
    const T ai = k == 0 ? T(0) : read.im(k), bi = k == 0 ? T(0) : read.im(p.n - k);
    pack_pair(read.re(k), ai, read.re(p.n - k), bi, wr[k], wi[k], z.re[k * step], z.im[k * step]);
  };
  one(0);
  int64_t k = 1;
  if constexpr (Gets<T, Read>)
    if (step == 1 && read.step == 1)
      for (; k + kStep <= p.n; k += kStep) {
        Vec<T> ar, ai, br, bi, re, im;
        read.get(k, ar, ai);
        read.get(p.n - k - kStep + 1, br, bi);
        pack_pair(ar, ai, reversed<T>(br), reversed<T>(bi), load(wr + k), load(wi + k), re, im);
        store(z.re + k, re), store(z.im + k, im);
      }
  for (; k < p.n; ++k) one(k);
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
