// Sample calls for every op of the catalogue. An op without samples fails the law tests.
#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "graph/node.h"
#include "ops/all.h"
#include "ops/back.h"
#include "ops/compound.h"
#include "ops/linalg.h"
#include "ops/low_rank.h"
#include "ops/movement.h"
#include "ops/products.h"
#include "ops/ragged.h"
#include "ops/reductions.h"
#include "tarn/tarn.h"

namespace tarn::laws {

// One call: op(params, in...).
struct Sample {
  std::string label{};
  Params params{};
  Arrays in{};
  std::vector<int> smooth{};  // inputs the op is differentiable in, at these values
  std::vector<int> whole{};   // inputs that vmap may not map, by design
  bool scaled = false;        // a batch has multiples of the inputs, not the same numbers turned
};

// Example k of an input: the same values in another order, which keeps indices valid, or multiples,
// which keep a matrix positive definite.
inline array example(const Sample& s, const array& x, int k) {
  if (s.scaled) return x * constant(x, 1 + 0.25 * k);
  return x.size() < 2 ? x : roll(x, k);
}

struct OpSamples {
  std::vector<Dtype> dtypes{};
  std::function<std::vector<Sample>(Dtype)> make{};
  double tolerance = 0;  // relative; 0: the dtype's
};

inline const std::vector<Dtype> floats{float32, float16, bfloat16, float64};
inline const std::vector<Dtype> inexacts{float32, float16, bfloat16, float64, complex64};
inline const std::vector<Dtype> integers{bool_, uint8, uint16, uint32, uint64,
                                         int8,  int16, int32,  int64};
inline std::vector<Dtype> together(std::vector<Dtype> a, const std::vector<Dtype>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline const std::vector<Dtype> reals = together(floats, integers);
inline const std::vector<Dtype> numbers_ = together(inexacts, integers);

inline bool is_float(Dtype t) { return issubdtype(t, floating); }

// Distinct numbers between lo and hi in a mixed order; two seeds have no number in common, so that
// comparisons, maxima and sorts have no ties and no argument stands on a kink.
inline array numbers(Shape shape, Dtype t, double lo = -3, double hi = 3, int seed = 0) {
  int64_t n = 1;
  for (auto d : shape) n *= d;
  std::vector<double> re(static_cast<size_t>(n)), im(re.size());
  int64_t step = 7;
  while (n > 1 && std::gcd(step, n) != 1) ++step;
  double shift = 0.37 + 0.113 * (seed % 5);
  for (int64_t i = 0; i < n; ++i) {
    int64_t k = n < 2 ? 0 : ((i + seed) * step) % n;
    re[static_cast<size_t>(i)] = lo + (hi - lo) * (double(k) + shift) / double(n);
    im[static_cast<size_t>(i)] = lo + (hi - lo) * (double(n - 1 - k) + shift) / double(n);
  }
  if (issubdtype(t, integer) || t == bool_) {
    for (auto& x : re) x = std::round(issubdtype(t, unsignedinteger) ? std::abs(x) : x);
    if (t == bool_)
      for (size_t i = 0; i < re.size(); ++i) re[i] = (i * 5 + static_cast<size_t>(seed)) % 3 == 0;
  }
  array out = astype(array(re.begin(), shape, float64), t);
  if (t == complex64)
    out = out + astype(array(im.begin(), shape, float64), t) * array(complex64_t{0, 1});
  out.eval();
  return out;
}
// Indices below n.
inline array indices(Shape shape, int64_t n, Dtype t = int32, int seed = 0) {
  int64_t size = 1;
  for (auto d : shape) size *= d;
  std::vector<int64_t> values;
  for (int64_t i = 0; i < size; ++i) values.push_back((i * 5 + seed + i / 3) % n);
  return astype(array(values.begin(), shape, int64), t);
}

// The shapes of operands: scalars, tails of vectors, broadcasts, nothing at all.
inline std::vector<std::vector<Shape>> operand_shapes(int arity) {
  if (arity == 1) return {{{3, 4}}, {{}}, {{37}}, {{0}}, {{2, 0, 3}}, {{1030}}};
  if (arity == 2)
    return {{{3, 4}, {3, 4}}, {{}, {}},         {{37}, {}},       {{2, 1, 3}, {4, 1}},
            {{0}, {1}},       {{2, 0}, {2, 1}}, {{1030}, {1030}}, {{5, 1}, {1, 1}}};
  return {{{3, 4}, {3, 4}, {3, 4}},
          {{}, {}, {}},
          {{37}, {}, {37}},
          {{2, 1, 3}, {4, 1}, {}},
          {{0}, {1}, {0}}};
}

struct Range {
  double lo = -3, hi = 3;
};

// Elementwise: each operand from a range of its own.
inline OpSamples elementwise(std::vector<Dtype> dtypes, std::vector<Range> ranges,
                             bool smooth = true) {
  return {std::move(dtypes), [ranges, smooth](Dtype t) {
            std::vector<Sample> out;
            for (const auto& shapes : operand_shapes(static_cast<int>(ranges.size()))) {
              Sample s;
              for (size_t i = 0; i < shapes.size(); ++i) {
                s.label += fmt::format("({})", joined(shapes[i], ","));
                s.in.push_back(
                    numbers(shapes[i], t, ranges[i].lo, ranges[i].hi, static_cast<int>(i) + 1));
                if (smooth) s.smooth.push_back(static_cast<int>(i));
              }
              out.push_back(std::move(s));
            }
            return out;
          }};
}

using Table = std::map<std::string, OpSamples, std::less<>>;
inline void add_unary(Table& t);
inline void add_binary(Table& t);
inline void add_folds(Table& t);
inline void add_moves(Table& t);
inline void add_compounds(Table& t);
inline void add_products(Table& t);
inline void add_ragged(Table& t);
inline void add_convolutions(Table& t);
inline void add_transforms(Table& t);
inline void add_decompositions(Table& t);
inline void add_communications(Table& t);

}  // namespace tarn::laws

#include "laws/samples_communications.h"
#include "laws/samples_compound.h"
#include "laws/samples_conv.h"
#include "laws/samples_elementwise.h"
#include "laws/samples_fft.h"
#include "laws/samples_linalg.h"
#include "laws/samples_movement.h"
#include "laws/samples_products.h"
#include "laws/samples_ragged.h"

namespace tarn::laws {

inline const Table& table() {
  static const Table all = [] {
    Table t;
    add_unary(t);
    add_binary(t);
    add_folds(t);
    add_moves(t);
    add_compounds(t);
    add_products(t);
    add_ragged(t);
    add_convolutions(t);
    add_transforms(t);
    add_decompositions(t);
    add_communications(t);
    return t;
  }();
  return all;
}

inline array call(const Op& op, const Params& params, const Arrays& in) {
  return record(op, params, in, {});
}

// Calls f(op, dtype, sample) for every sample of the catalogue.
template <class F>
void for_each_sample(F f) {
  for (const Op* op : ops::all()) {
    auto it = table().find(op->name);
    if (it == table().end()) continue;  // SamplesTest.EveryOpHasSamples says so
    for (Dtype t : it->second.dtypes)
      for (const Sample& s : it->second.make(t)) f(*op, t, s);
  }
}

}  // namespace tarn::laws
