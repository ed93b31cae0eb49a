// Readers and writers of lines: a number at a time, or vectors where numbers lie side by side.
#pragma once

#include "cpu/heavy_fft_passes.h"
#include "cpu/heavy_transpose.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

// --- complex numbers in memory, planes in registers

template <class V, int... I>
TARN_INLINE void part(V a, V b, V& even, V& odd, Lanes<I...>) {
  even = __builtin_shufflevector(a, b, (2 * I)...);
  odd = __builtin_shufflevector(a, b, (2 * I + 1)...);
}
template <class V, int... I>
TARN_INLINE void join(V even, V odd, V& a, V& b, Lanes<I...>) {
  constexpr int n = sizeof...(I);
  a = __builtin_shufflevector(even, odd, (I / 2 + I % 2 * n)...);
  b = __builtin_shufflevector(even, odd, (n / 2 + I / 2 + I % 2 * n)...);
}
TARN_INLINE void load_pairs(const float* at, Vf& even, Vf& odd) {
  part(load(at), load(at + kLanes), even, odd, typename LanesTo<kLanes>::type{});
}
TARN_INLINE void store_pairs(float* at, Vf even, Vf odd) {
  Vf a, b;
  join(even, odd, a, b, typename LanesTo<kLanes>::type{});
  store(at, a), store(at + kLanes, b);
}

// --- readers: number j of a line, or, where `step` is 1, a vector of them. across(j) reads number
// j of this line and of those that lie beside it.

template <class T>
struct ReadComplex {
  const float* at = nullptr;
  int64_t step = 1;
  int swap = 0;
  static constexpr int64_t width = 2;
  TARN_INLINE T re(int64_t j) const { return static_cast<T>(at[2 * j * step + swap]); }
  TARN_INLINE T im(int64_t j) const { return static_cast<T>(at[2 * j * step + 1 - swap]); }
  TARN_INLINE void get(int64_t j, Vf& re, Vf& im) const {
    load_pairs(at + 2 * j, swap ? im : re, swap ? re : im);
  }
  TARN_INLINE ReadComplex across(int64_t j) const { return {at + 2 * j * step, 1, swap}; }
};
template <class T, class S>
struct ReadReal {
  const S* at = nullptr;
  int64_t step = 1;
  int swap = 0;
  static constexpr int64_t width = 1;
  TARN_INLINE T re(int64_t j) const { return swap ? T(0) : static_cast<T>(at[j * step]); }
  TARN_INLINE T im(int64_t j) const { return swap ? static_cast<T>(at[j * step]) : T(0); }
  TARN_INLINE void get(int64_t j, Vec<T>& re, Vec<T>& im) const requires(sizeof(S) == sizeof(T)) {
    re = swap ? Vec<T>{} : load(at + j), im = swap ? load(at + j) : Vec<T>{};
  }
  TARN_INLINE ReadReal across(int64_t j) const { return {at + j * step, 1, swap}; }
};
// A real line of even length as half as many complex numbers.
template <class T, class S>
struct ReadPairs {
  const S* at = nullptr;
  int64_t step = 1;
  TARN_INLINE T re(int64_t j) const { return static_cast<T>(at[2 * j * step]); }
  TARN_INLINE T im(int64_t j) const { return static_cast<T>(at[(2 * j + 1) * step]); }
  TARN_INLINE void get(int64_t j, Vf& re, Vf& im) const requires(sizeof(S) == sizeof(float)) {
    load_pairs(at + 2 * j, re, im);
  }
};
// The first half of what a real line of odd length n gives, and its mirror image; exchanged.
template <class T>
struct ReadMirrored {
  const float* at = nullptr;
  int64_t step = 1, n = 0;
  TARN_INLINE T im(int64_t j) const {
    return static_cast<T>(at[2 * (2 * j > n ? n - j : j) * step]);
  }
  TARN_INLINE T re(int64_t j) const {
    const T x = static_cast<T>(at[2 * (2 * j > n ? n - j : j) * step + 1]);
    return j == 0 ? T(0) : 2 * j > n ? -x : x;
  }
};
template <class T>
struct ReadPlanes {
  Planes<T> at{};
  int64_t step = 1;
  TARN_INLINE T re(int64_t j) const { return at.re[j * step]; }
  TARN_INLINE T im(int64_t j) const { return at.im[j * step]; }
  TARN_INLINE void get(int64_t j, Vec<T>& re, Vec<T>& im) const {
    re = load(at.re + j), im = load(at.im + j);
  }
};

// --- writers

template <class T>
struct WriteComplex {
  float* at = nullptr;
  int64_t step = 1;
  int swap = 0;
  int64_t kept = 0;  // of the results
  T scale = 1;
  static constexpr int64_t width = 2;
  TARN_INLINE void put(int64_t k, T re, T im) const {
    if (k >= kept) return;
    at[2 * k * step + swap] = static_cast<float>(re * scale);
    at[2 * k * step + 1 - swap] = static_cast<float>(im * scale);
  }
  TARN_INLINE bool takes(int64_t k, int64_t n) const { return k + n <= kept; }
  TARN_INLINE void set(int64_t k, Vf re, Vf im) const {
    store_pairs(at + 2 * k, (swap ? im : re) * scale, (swap ? re : im) * scale);
  }
  // Number k, of this line and of `n` lines in all.
  TARN_INLINE WriteComplex across(int64_t k, int64_t n) const {
    return {at + 2 * k * step, 1, swap, k < kept ? n : 0, scale};
  }
};
// Number k of a real line's transform and its mirror image; `sign` is -1 for the inverse.
template <class T>
struct WriteMirrored {
  float* at = nullptr;
  int64_t step = 1, n = 0;
  T scale = 1, sign = 1;
  TARN_INLINE void put(int64_t k, T re, T im) const {
    const auto r = static_cast<float>(re * scale), i = static_cast<float>(im * scale * sign);
    const int64_t mirror = k == 0 ? 0 : n - k;
    at[2 * mirror * step] = r, at[2 * mirror * step + 1] = -i;
    at[2 * k * step] = r, at[2 * k * step + 1] = i;
  }
};
// The real part, which is the imaginary one of a transform with parts exchanged.
template <class T>
struct WriteReal {
  float* at = nullptr;
  int64_t step = 1;
  T scale = 1;
  TARN_INLINE void put(int64_t k, T, T im) const { at[k * step] = static_cast<float>(im * scale); }
};
template <class T>
struct WritePairs {  // exchanged
  float* at = nullptr;
  int64_t step = 1;
  T scale = 1;
  TARN_INLINE void put(int64_t k, T re, T im) const {
    at[2 * k * step] = static_cast<float>(im * scale);
    at[(2 * k + 1) * step] = static_cast<float>(re * scale);
  }
  TARN_INLINE bool takes(int64_t, int64_t) const { return true; }
  TARN_INLINE void set(int64_t k, Vf re, Vf im) const {
    store_pairs(at + 2 * k, im * scale, re * scale);
  }
};
template <class T>
struct WritePlanes {
  Planes<T> at{};
  int64_t step = 1;
  TARN_INLINE void put(int64_t k, T re, T im) const { at.re[k * step] = re, at.im[k * step] = im; }
  TARN_INLINE bool takes(int64_t, int64_t) const { return true; }
  TARN_INLINE void set(int64_t k, Vec<T> re, Vec<T> im) const {
    store(at.re + k, re), store(at.im + k, im);
  }
};

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
