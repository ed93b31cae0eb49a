// Kernels of rows: softmax, the norms, logsumexp, sums and extremes, argmax.
//
// A row is read as float32 vectors whatever its type; it is small enough to stay in cache between
// the passes.

#include "cpu/heavy_levels.h"
#include "cpu/heavy_row_loops.h"

namespace tarn::cpu::TARN_LEVEL {
namespace {

template <Store S>
void softmax_row(const void* x, void* y, int64_t n) {
  const float top = largest<S>(x, n, 1.f);
  const auto weight = [&](Vf v) { return exp_of(v - top); };
  if constexpr (S == Store::f32) {  // the weights fit their own output: one exp each
    auto* to = static_cast<float*>(y);
    map_row<S>(x, y, n, [&](Vf v, int64_t, int64_t) { return weight(v); });
    const auto inverse = static_cast<float>(1 / sum_of<S>(to, n, 0.f, [](Vf v) { return v; }));
    map_row<S>(to, to, n, [&](Vf v, int64_t, int64_t) { return v * inverse; });
  } else {
    const auto inverse = static_cast<float>(1 / sum_of<S>(x, n, -kInfinity, weight));
    map_row<S>(x, y, n, [&](Vf v, int64_t, int64_t) { return weight(v) * inverse; });
  }
}

// log(sum(exp(x))). An infinite top is the answer itself; inf - inf would be NaN.
template <Store S>
float logsumexp_row(const void* x, int64_t n) {
  const float top = largest<S>(x, n, 1.f);
  if (__builtin_isinf(top)) return top;
  const double sum = sum_of<S>(x, n, -kInfinity, [&](Vf v) { return exp_of(v - top); });
  return static_cast<float>(static_cast<double>(top) + __builtin_log(sum));
}

// Weights and biases of the norms, or their neutral values.
template <Store W>
TARN_INLINE Vf weight_at(const void* w, int64_t i, int64_t n, float neutral) {
  if (w == nullptr) return splat(neutral);
  return n >= kLanes ? get_vector<W>(w, i) : get_part<W>(w, i, n, neutral);
}

template <Store S, Store W>
void rms_norm_row(const Rows& r, const void* x, void* y) {
  const double squares = sum_of<S>(x, r.cols, 0.f, [](Vf v) { return v * v; });
  const auto n = static_cast<double>(r.cols);
  const auto scale =
      static_cast<float>(1 / __builtin_sqrt(squares / n + static_cast<double>(r.eps)));
  map_row<S>(x, y, r.cols, [&](Vf v, int64_t i, int64_t part) {
    return v * scale * weight_at<W>(r.weight, i, part, 1.f);
  });
}

template <Store S, Store W>
void layer_norm_row(const Rows& r, const void* x, void* y) {
  const auto n = static_cast<double>(r.cols);
  const auto mean = static_cast<float>(sum_of<S>(x, r.cols, 0.f, [](Vf v) { return v; }) / n);
  const double squares = sum_of<S>(x, r.cols, mean, [&](Vf v) { return (v - mean) * (v - mean); });
  const auto scale =
      static_cast<float>(1 / __builtin_sqrt(squares / n + static_cast<double>(r.eps)));
  map_row<S>(x, y, r.cols, [&](Vf v, int64_t i, int64_t part) {
    return (v - mean) * scale * weight_at<W>(r.weight, i, part, 1.f) +
           weight_at<W>(r.bias, i, part, 0.f);
  });
}

// Each lane keeps its first largest and where it was; the first of the lanes' largest wins.
template <Store S>
uint32_t argmax_row(const void* x, int64_t n) {
  const float first = n > 0 ? get<S>(x, 0) : 0.f;
  if (first != first) return 0;
  Vf best = splat(-kInfinity);
  Vi where{}, index;
  for (int l = 0; l < kLanes; ++l) index[l] = l;
  for (int64_t i = 0; i < n; i += kLanes, index += kLanes) {
    const Vf v = n - i >= kLanes ? get_vector<S>(x, i) : get_part<S>(x, i, n - i, -kInfinity);
    where = v > best ? index : where;
    best = v > best ? v : best;
  }
  const float top = max_lanes(best);
  uint32_t at = UINT32_MAX;
  for (int l = 0; l < kLanes; ++l)
    if (best[l] == top && static_cast<uint32_t>(where[l]) < at)
      at = static_cast<uint32_t>(where[l]);
  return top == -kInfinity ? 0 : at;
}

// Calls f.operator()<S>(x, y) for each of this worker's rows.
template <class F>
TARN_INLINE void each_row(const Rows& r, int worker, int workers, F f) {
  const Range rows = share(r.rows, 1, worker, workers);
  with_store(r.type, [&]<Store S>() {
    for (int64_t i = rows.begin; i < rows.end; ++i)
      f.template operator()<S>(at(r.x, S, i * r.x_stride), at(r.y, S, i * r.y_stride));
  });
}

}  // namespace

void softmax(const Rows& r, int worker, int workers) {
  each_row(r, worker, workers,
           [&]<Store S>(const void* x, void* y) { softmax_row<S>(x, y, r.cols); });
}

void logsumexp(const Rows& r, int worker, int workers) {
  each_row(r, worker, workers,
           [&]<Store S>(const void* x, void* y) { put<S>(y, 0, logsumexp_row<S>(x, r.cols)); });
}

void rms_norm(const Rows& r, int worker, int workers) {
  with_store(r.weight_type, [&]<Store W>() {
    each_row(r, worker, workers,
             [&]<Store S>(const void* x, void* y) { rms_norm_row<S, W>(r, x, y); });
  });
}

void layer_norm(const Rows& r, int worker, int workers) {
  with_store(r.weight_type, [&]<Store W>() {
    each_row(r, worker, workers,
             [&]<Store S>(const void* x, void* y) { layer_norm_row<S, W>(r, x, y); });
  });
}

void fold_rows(const FoldRows& f, int worker, int workers) {
  const Range rows = share(f.rows, 1, worker, workers);
  with_store(f.type, [&]<Store S>() {
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      const void* x = at(f.x, S, i * f.x_stride);
      const float sign = f.fold == RowFold::min ? -1.f : 1.f;
      const double folded = f.fold == RowFold::sum
                                ? sum_of<S>(x, f.cols, 0.f, [](Vf v) { return v; })
                                : static_cast<double>(largest<S>(x, f.cols, sign));
      if (f.wide != nullptr)
        f.wide[i] = folded;
      else
        put<S>(f.y, i, static_cast<float>(folded));
    }
  });
}

void argmax_rows(const ArgmaxRows& a, int worker, int workers) {
  const Range rows = share(a.rows, 1, worker, workers);
  with_store(a.type, [&]<Store S>() {
    for (int64_t i = rows.begin; i < rows.end; ++i)
      a.y[i] = argmax_row<S>(at(a.x, S, i * a.x_stride), a.cols);
  });
}

}  // namespace tarn::cpu::TARN_LEVEL
