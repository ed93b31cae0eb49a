// Rows of a line, and lines side by side: from memory to a transform's planes and back.
#pragma once

#include "cpu/heavy_fft_io.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// Whether vectors of T can be read or written.
template <class T, class Read>
concept Gets = requires(const Read& r, Vec<T>& v) {
  r.get(0, v, v);
};
template <class T, class Write>
concept Sets = requires(const Write& w, Vec<T> v) {
  w.set(0, v, v);
};
template <class It>
concept Crosses = requires {
  It::width;
};

// --- rows of kLines numbers

// Numbers j, j + 1, ... of a line.
template <class T, class Read>
TARN_INLINE void read_row(const Read& read, int64_t j, int64_t count, T* re, T* im) {
  if constexpr (Gets<T, Read>)
    if (count == kLines<T> && read.step == 1) {
      TARN_UNROLL
      for (int i = 0; i < kLines<T>; i += kLanesOf<T>) {
        Vec<T> r, m;
        read.get(j + i, r, m);
        store(re + i, r), store(im + i, m);
      }
      return;
    }
  for (int64_t i = 0; i < count; ++i) re[i] = read.re(j + i), im[i] = read.im(j + i);
}
template <class T, class Write>
TARN_INLINE void write_row(const Write& write, int64_t k, int64_t count, const T* re, const T* im) {
  if constexpr (Sets<T, Write>)
    if (count == kLines<T> && write.step == 1 && write.takes(k, count)) {
      TARN_UNROLL
      for (int i = 0; i < kLines<T>; i += kLanesOf<T>) write.set(k + i, load(re + i), load(im + i));
      return;
    }
  for (int64_t i = 0; i < count; ++i) write.put(k + i, re[i], im[i]);
}

// --- lines side by side, a lane each

// Whether lines[0 ... count - 1] lie side by side.
template <class It>
TARN_INLINE bool beside(const It* lines, int64_t count) {
  return lines[count - 1].at - lines[0].at == (count - 1) * It::width && lines[0].step > 1;
}
// Squares of numbers from j on, for all lines at once; returns how many numbers were read.
template <class T, class Read>
int64_t read_squares(int64_t n, const Read* lines, Planes<T> to) {
  constexpr int kStep = kLanesOf<T>;
  int64_t j = 0;
  for (; j + kStep <= n; j += kStep)
    for (int64_t l = 0; l < kLines<T>; l += kStep) {
      Vec<T> re[kStep], im[kStep];
      TARN_UNROLL
      for (int i = 0; i < kStep; ++i) lines[l + i].get(j, re[i], im[i]);
      transpose(re);
      transpose(im);
      TARN_UNROLL
      for (int i = 0; i < kStep; ++i) {
        store(to.re + (j + i) * kLines<T> + l, re[i]);
        store(to.im + (j + i) * kLines<T> + l, im[i]);
      }
    }
  return j;
}
template <class T, class Write>
int64_t write_squares(int64_t n, const Write* lines, Planes<T> from) {
  constexpr int kStep = kLanesOf<T>;
  int64_t k = 0;
  for (; k + kStep <= n && lines[0].takes(k, kStep); k += kStep)
    for (int64_t l = 0; l < kLines<T>; l += kStep) {
      Vec<T> re[kStep], im[kStep];
      TARN_UNROLL
      for (int i = 0; i < kStep; ++i) {
        re[i] = load(from.re + (k + i) * kLines<T> + l);
        im[i] = load(from.im + (k + i) * kLines<T> + l);
      }
      transpose(re);
      transpose(im);
      TARN_UNROLL
      for (int i = 0; i < kStep; ++i) lines[l + i].set(k, re[i], im[i]);
    }
  return k;
}
template <class T, class Read>
void read_lanes(int64_t n, int64_t count, Read read, Planes<T> to) {
  using Line = decltype(read(0));
  Line lines[kLines<T>];
  for (int64_t l = 0; l < count; ++l) lines[l] = read(l);
  int64_t j = 0;
  if constexpr (Crosses<Line>)
    if (beside(lines, count)) {
      for (; j < n; ++j)
        read_row(lines[0].across(j), 0, count, to.re + j * kLines<T>, to.im + j * kLines<T>);
      return;
    }
  if constexpr (Gets<T, Line>)
    if (count == kLines<T> && lines[0].step == 1) j = read_squares(n, lines, to);
  for (; j < n; ++j)
    for (int64_t l = 0; l < count; ++l)
      to.re[j * kLines<T> + l] = lines[l].re(j), to.im[j * kLines<T> + l] = lines[l].im(j);
}
template <class T, class Write>
void write_lanes(int64_t n, int64_t count, Planes<T> from, Write write) {
  using Line = decltype(write(0));
  Line lines[kLines<T>];
  for (int64_t l = 0; l < count; ++l) lines[l] = write(l);
  int64_t k = 0;
  if constexpr (Crosses<Line>)
    if (beside(lines, count)) {
      for (; k < n; ++k)
        write_row(lines[0].across(k, count), 0, count, from.re + k * kLines<T>,
                  from.im + k * kLines<T>);
      return;
    }
  if constexpr (Sets<T, Line>)
    if (count == kLines<T> && lines[0].step == 1) k = write_squares(n, lines, from);
  for (; k < n; ++k)
    for (int64_t l = 0; l < count; ++l)
      lines[l].put(k, from.re[k * kLines<T> + l], from.im[k * kLines<T> + l]);
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
