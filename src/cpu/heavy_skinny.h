// Products of floats where one side has at most kSkinny vectors: they are copied to scratch as
// floats and the large matrix is read once, as it lies: as dot products where its rows are
// contiguous along k, as a running sum of rows where they are contiguous the other way.
#pragma once

#include "cpu/heavy_tile.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kSkinny = 8;
constexpr int64_t kStreamCols = 1024;  // running sums that stay in L1
constexpr int64_t kStreamSteps = 16;   // rows that are read side by side: streams a core keeps up

// One batch item in the terms of its kind.
template <class Kind>
struct Product {
  int64_t m = 0, n = 0, k = 0;
  Operand<Kind> a{}, b{};  // a.factor holds alpha
  void* c = nullptr;
  int64_t c_row = 0;
  typename Kind::Sum beta = 0;
};

template <class Kind>
void store_sum(const Product<Kind>& p, int64_t i, int64_t j, typename Kind::Sum sum) {
  const int64_t at = i * p.c_row + j;
  Kind::put1(p.c, at, p.beta == 0 ? sum : sum + p.beta * Kind::get1(p.c, at));
}

// n sums into row i of C from column j on.
template <class Kind>
void store_row(const Product<Kind>& p, int64_t i, int64_t j, int64_t n,
               const typename Kind::Sum* sums) {
  using Sum = typename Kind::Sum;
  constexpr int64_t kStep = kLanesOf<Sum>;
  const int64_t at = i * p.c_row + j;
  int64_t l = 0;
  for (; l + kStep <= n; l += kStep) {
    const Vec<Sum> sum = load<Sum>(sums + l);
    Kind::put_lanes(p.c, at + l, p.beta == 0 ? sum : sum + p.beta * Kind::get_lanes(p.c, at + l));
  }
  for (; l < n; ++l) store_sum(p, i, j + l, sums[l]);
}

// `few` vectors of k numbers in scratch, one after the other or, for running sums, side by side,
// meet `many` rows; the sum of (vector t, row r) goes to store(t, r, sum).
template <class Kind>
struct Skinny {
  const Product<Kind>* p = nullptr;
  bool few_are_rows = true;  // of C
  int64_t few = 0;
  const typename Kind::Sum* vectors = nullptr;
  Operand<Kind> lying{};  // the vectors where they come from, without the factor of `vectors`
  Operand<Kind> many{};

  TARN_INLINE void store(int64_t t, int64_t r, typename Kind::Sum sum) const {
    few_are_rows ? store_sum(*p, t, r, sum) : store_sum(*p, r, t, sum);
  }
  void store_run(int64_t t, int64_t r, int64_t n, const typename Kind::Sum* sums) const {
    if (few_are_rows) return store_row(*p, t, r, n, sums);
    for (int64_t i = 0; i < n; ++i) store_sum(*p, r + i, t, sums[i]);
  }
};

template <class Kind, int R, int T>
void dot_rows(const Skinny<Kind>& s, int64_t row, int64_t first) {
  using Sum = typename Kind::Sum;
  constexpr int kStep = kLanesOf<Sum>;
  const int64_t depth = s.p->k;
  Vec<Sum> sum[R][T] = {};
  int64_t k = 0;
  for (; k + kStep <= depth; k += kStep) {
    Vec<Sum> w[R];
    TARN_UNROLL
    for (int r = 0; r < R; ++r) w[r] = Kind::get_lanes(s.many.base, s.many.at(row + r, k));
    TARN_UNROLL
    for (int t = 0; t < T; ++t) {
      const Vec<Sum> x = load(s.vectors + (first + t) * depth + k);
      TARN_UNROLL
      for (int r = 0; r < R; ++r) sum[r][t] += x * w[r];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) {
      Sum total = sum_lanes<Sum>(sum[r][t]);
      for (int64_t i = k; i < depth; ++i)
        total +=
            s.vectors[(first + t) * depth + i] * Kind::get1(s.many.base, s.many.at(row + r, i));
      s.store(first + t, row + r, total);
    }
}

template <class Kind, int R>
void dot_vectors(const Skinny<Kind>& s, int64_t row) {
  int64_t t = 0;
  for (; t + 4 <= s.few; t += 4) dot_rows<Kind, R, 4>(s, row, t);
  for (; t < s.few; ++t) dot_rows<Kind, R, 1>(s, row, t);
}

template <class Kind>
void stream_dots(const Skinny<Kind>& s, Range rows) {
  int64_t r = rows.begin;
  for (; r + 4 <= rows.end; r += 4) dot_vectors<Kind, 4>(s, r);
  for (; r < rows.end; ++r) dot_vectors<Kind, 1>(s, r);
}

// sums[t][r] += some steps of vector t times as many stretches of the large matrix. Sums of a few
// columns stay in registers meanwhile, and each number of the matrix is read once.
template <class Kind, int T>
void add_steps(const Skinny<Kind>& s, Range steps, int64_t row, int64_t n,
               typename Kind::Sum* sums) {
  using Sum = typename Kind::Sum;
  constexpr int kStep = kLanesOf<Sum>, kVectors = kVectorBytes == 64 ? 2 : 1;
  int64_t r = 0;
  for (; r + kVectors * kStep <= n; r += kVectors * kStep) {
    Vec<Sum> sum[T][kVectors];
    const auto each = [&](auto f) {
      TARN_UNROLL
      for (int t = 0; t < T; ++t) {
        TARN_UNROLL
        for (int j = 0; j < kVectors; ++j) f(sum[t][j], sums + t * kStreamCols + r + j * kStep);
      }
    };
    each([](Vec<Sum>& v, const Sum* at) { v = load<Sum>(at); });
    for (int64_t k = steps.begin; k < steps.end; ++k) {
      TARN_UNROLL
      for (int j = 0; j < kVectors; ++j) {
        const Vec<Sum> w = Kind::get_lanes(s.many.base, s.many.at(row + r + j * kStep, k));
        TARN_UNROLL
        for (int t = 0; t < T; ++t) sum[t][j] += s.vectors[k * T + t] * w;
      }
    }
    each([](const Vec<Sum>& v, Sum* at) { store(at, v); });
  }
  for (; r < n; ++r)
    for (int64_t k = steps.begin; k < steps.end; ++k)
      for (int t = 0; t < T; ++t)
        sums[t * kStreamCols + r] +=
            s.vectors[k * T + t] * Kind::get1(s.many.base, s.many.at(row + r, k));
}

// The same over all steps, for columns that are too few to hide how long an addition takes: kChains
// sums a column, each of every kChains-th step. The vectors are read where they lie: a copy would
// take as long as the products.
template <class Kind, int T>
void add_chains(const Skinny<Kind>& s, int64_t first, int64_t row, int64_t n,
                typename Kind::Sum* sums) {
  using Sum = typename Kind::Sum;
  constexpr int kStep = kLanesOf<Sum>, kChains = 4;
  const int64_t depth = s.p->k;
  for (int64_t r = 0; r < n; r += kStep) {
    Vec<Sum> sum[T * kChains];
    for (Vec<Sum>& v : sum) v = Vec<Sum>{};
    const auto add = [&](int64_t k, int chain) {
      const Vec<Sum> w = Kind::get_lanes(s.many.base, s.many.at(row + r, k));
      TARN_UNROLL
      for (int t = 0; t < T; ++t)
        sum[t * kChains + chain] += Kind::get1(s.lying.base, s.lying.at(first + t, k)) * w;
    };
    int64_t k = 0;
    for (; k + kChains <= depth; k += kChains) {
      TARN_UNROLL
      for (int chain = 0; chain < kChains; ++chain) add(k + chain, chain);
    }
    for (; k < depth; ++k) add(k, 0);
    for (int t = 0; t < T; ++t) {
      const Vec<Sum>* v = sum + t * kChains;
      store(sums + r, ((v[0] + v[1]) + (v[2] + v[3])) * s.p->a.factor);
      s.store_run(first + t, row + r, kStep, sums + r);
    }
  }
}

template <class Kind>
void stream_chains(const Skinny<Kind>& s, Range rows, typename Kind::Sum* sums) {
  const int64_t n = rows.end - rows.begin;
  int64_t t = 0;
  for (; t + 2 <= s.few; t += 2) add_chains<Kind, 2>(s, t, rows.begin, n, sums);
  if (t < s.few) add_chains<Kind, 1>(s, t, rows.begin, n, sums);
}

template <class Kind>
void stream_sums(const Skinny<Kind>& s, Range rows, typename Kind::Sum* sums) {
  for (int64_t row = rows.begin; row < rows.end; row += kStreamCols) {
    const int64_t n = smaller(kStreamCols, rows.end - row);
    for (int64_t t = 0; t < s.few; ++t)
      for (int64_t i = 0; i < n; ++i) sums[t * kStreamCols + i] = 0;
    for (int64_t k = 0; k < s.p->k; k += kStreamSteps) {
      const Range steps{k, smaller(k + kStreamSteps, s.p->k)};
      with_rows<kSkinny>(s.few, [&]<int T>() { add_steps<Kind, T>(s, steps, row, n, sums); });
    }
    for (int64_t t = 0; t < s.few; ++t) s.store_run(t, row, n, sums + t * kStreamCols);
  }
}

// Whether one side of C is skinny and the other side's matrix is contiguous some way.
template <class Args>
bool is_skinny(const Args& g) {
  if (g.m <= kSkinny && g.m <= g.n) return g.b_row == 1 || g.b_col == 1;
  return g.n <= kSkinny && (g.a_col == 1 || g.a_row == 1);
}

template <class Kind>
void multiply_skinny(const Product<Kind>& p, Range many, typename Kind::Sum* scratch) {
  Skinny<Kind> s;
  s.p = &p;
  s.few_are_rows = p.m <= kSkinny && p.m <= p.n;
  s.few = s.few_are_rows ? p.m : p.n;
  s.many = s.few_are_rows ? p.b : p.a;
  s.lying = s.few_are_rows ? p.a : p.b;
  // By C's size, not by a worker's part of it: the order of the additions must not depend on that.
  constexpr int64_t kStep = kLanesOf<typename Kind::Sum>;
  const int64_t side = s.few_are_rows ? p.n : p.m;
  const bool dots = s.many.step == 1, narrow = side <= 2 * kStep && side % kStep == 0;
  if (!dots && narrow) return stream_chains(s, many, scratch);
  const int64_t vector = dots ? p.k : 1, step = dots ? 1 : s.few;
  for (int64_t t = 0; t < s.few; ++t)
    for (int64_t k = 0; k < p.k; ++k)
      scratch[t * vector + k * step] = Kind::get1(s.lying.base, s.lying.at(t, k)) * s.p->a.factor;
  s.vectors = scratch;
  if (dots)
    stream_dots(s, many);
  else
    stream_sums(s, many, scratch + round_up(s.few * p.k, 16));
}

}  // namespace
}  // namespace tarn::cpu::TARN_LEVEL
