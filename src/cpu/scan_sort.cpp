// Scans and sorting along one axis.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "cpu/move.h"
#include "cpu/number.h"
#include "cpu/share.h"
#include "ops/compound.h"
#include "ops/movement.h"
#include "ops/reductions.h"

namespace tarn::cpu {
namespace {

// --- the lines along an axis

template <class F>
void each_line(const Step& s, size_t axis, int worker, int workers, F f) {
  Shape lines = s.out.shape;
  lines[axis] = 1;
  int64_t count = 1;
  for (auto d : lines) count *= d;
  Share part = share(count, worker, workers);
  if (part.from >= part.to) return;
  Odometer in(lines, s.in[0].strides), out(lines, s.out.strides);
  in.seek(part.from), out.seek(part.from);
  for (int64_t i = part.from; i < part.to; ++i, in.next(), out.next()) f(in.offset(), out.offset());
}

// --- scans: floats run in double, so that a half or a float does not stop growing

template <class T>
struct Running {
  using Acc = Accumulator<T>;
  static Acc sum(Acc a, T x) { return plus(a, widen(x)); }
  static Acc prod(Acc a, T x) { return times(a, widen(x)); }
};

template <class T, class Acc, class Join>
void scan_line(const T* x, int64_t from_step, T* y, int64_t to_step, int64_t n,
               const ops::ScanParams& p, Acc acc, Join join) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t k = p.reverse ? n - 1 - i : i;
    Acc before_this = acc;
    acc = join(acc, x[k * from_step]);
    y[k * to_step] = narrow<T>(p.inclusive ? acc : before_this);
  }
}

template <class T, class Acc, class Join>
void scan_all(const Step& s, Acc start, Join join, int worker, int workers) {
  const auto& p = s.params->as<ops::ScanParams>();
  auto axis = static_cast<size_t>(p.axis);
  each_line(s, axis, worker, workers, [&](int64_t from, int64_t to) {
    scan_line(s.in[0].as<const T>() + from, s.in[0].strides[axis], s.out.as<T>() + to,
              s.out.strides[axis], s.out.shape[axis], p, start, join);
  });
}

void run_cumsum(const Step& s, int worker, int workers) {
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    scan_all<T>(s, Accumulator<T>(0), Running<T>::sum, worker, workers);
  });
}
void run_cumprod(const Step& s, int worker, int workers) {
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    scan_all<T>(s, Accumulator<T>(1), Running<T>::prod, worker, workers);
  });
}
template <class T, bool largest>
T extreme_start() {
  if constexpr (std::is_integral_v<T>)
    return largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
  else
    return narrow<T>(largest ? -std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::infinity());
}
template <bool largest>
void run_cumextreme(const Step& s, int worker, int workers) {
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (!is_complex<T>) {
      auto join = [](T a, T x) {
        if (is_nan(a)) return a;
        if (is_nan(x)) return x;
        return (largest ? before(a, x) : before(x, a)) ? x : a;
      };
      scan_all<T>(s, extreme_start<T, largest>(), join, worker, workers);
    }
  });
}
void run_logcumsumexp(const Step& s, int worker, int workers) {
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (!is_complex<T>) {
      auto join = [](double a, T v) {
        double x = widen(v), hi = std::max(a, x), lo = std::min(a, x);
        if (std::isnan(a) || std::isnan(x)) return a + x;
        return std::isinf(hi) ? hi : hi + std::log1p(std::exp(lo - hi));
      };
      scan_all<T>(s, -std::numeric_limits<double>::infinity(), join, worker, workers);
    }
  });
}

// --- sorting: lines are gathered, sorted stably with NaN last, and put back

// The kth of the values in order, and how many of those equal to it come first.
template <class T>
std::pair<T, int64_t> kth_of(std::vector<T> values, int64_t kth) {
  auto at = values.begin() + kth;
  std::nth_element(values.begin(), at, values.end(), [](T a, T b) { return before(a, b); });
  auto less = std::count_if(values.begin(), at, [&](T v) { return before(v, *at); });
  return {*at, kth - less};
}

// Calls put(place, i) for each value i of a line: what belongs before the kth in front of it, and
// the others behind it, in the order in which they came.
template <class T, class Put>
void partition_line(const std::vector<T>& line, int64_t kth, Put put) {
  auto [pivot, equal_first] = kth_of(line, kth);
  int64_t front = 0, back = kth + 1;
  for (size_t i = 0; i < line.size(); ++i) {
    bool less = before(line[i], pivot), more = before(pivot, line[i]);
    if (!less && !more) {
      less = equal_first > 0;
      more = equal_first < 0;
      --equal_first;
    }
    put(less ? front++ : more ? back++ : kth, i);
  }
}

template <class T>
using Sortable = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

template <class T>
void gather_line(const T* x, int64_t step, std::vector<T>& line) {
  for (size_t i = 0; i < line.size(); ++i) line[i] = x[static_cast<int64_t>(i) * step];
}

void run_argsort(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::SortParams>();
  auto axis = static_cast<size_t>(p.axis);
  int64_t step = s.in[0].strides[axis], to_step = s.out.strides[axis];
  auto n = static_cast<size_t>(s.out.shape[axis]);
  visit_dtype(s.in[0].dtype, [&](auto t) {
    using T = Sortable<decltype(t)>;
    std::vector<std::pair<T, uint32_t>> order(p.kth < 0 ? n : 0);
    std::vector<T> line(p.kth < 0 ? 0 : n);
    each_line(s, axis, worker, workers, [&](int64_t from, int64_t to) {
      const T* x = s.in[0].as<const T>() + from;
      uint32_t* y = s.out.as<uint32_t>() + to;
      auto put = [&](int64_t place, size_t i) { y[place * to_step] = static_cast<uint32_t>(i); };
      if (p.kth >= 0) {
        gather_line(x, step, line);
        return partition_line(line, p.kth, put);
      }
      for (size_t i = 0; i < n; ++i)
        order[i] = {x[static_cast<int64_t>(i) * step], static_cast<uint32_t>(i)};
      std::stable_sort(order.begin(), order.end(),
                       [](const auto& a, const auto& b) { return before(a.first, b.first); });
      for (size_t i = 0; i < n; ++i) put(static_cast<int64_t>(i), order[i].second);
    });
  });
}
void run_sort(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::SortParams>();
  auto axis = static_cast<size_t>(p.axis);
  int64_t to_step = s.out.strides[axis];
  visit_dtype(s.in[0].dtype, [&](auto t) {
    using T = Sortable<decltype(t)>;
    std::vector<T> line(static_cast<size_t>(s.out.shape[axis]));
    each_line(s, axis, worker, workers, [&](int64_t from, int64_t to) {
      gather_line(s.in[0].as<const T>() + from, s.in[0].strides[axis], line);
      T* y = s.out.as<T>() + to;
      auto put = [&](int64_t place, size_t i) { y[place * to_step] = line[i]; };
      if (p.kth >= 0) return partition_line(line, p.kth, put);
      std::stable_sort(line.begin(), line.end(), [](T a, T b) { return before(a, b); });
      for (size_t i = 0; i < line.size(); ++i) put(static_cast<int64_t>(i), i);
    });
  });
}

// The lower and upper bounds of values in sorted lines, each line with its own values.
void run_searchsorted(const Step& s, int worker, int workers) {
  bool right = s.params->as<ops::SearchSorted::P>().right;
  int64_t n = s.in[0].shape[1], m = s.out.shape[1];
  Share part = share(s.out.size(), worker, workers);
  visit_dtype(s.in[0].dtype, [&](auto t) {
    using T = decltype(t);
    const auto *lines = s.in[0].as<const T>(), *values = s.in[1].as<const T>();
    auto less = [](T a, T b) { return before(a, b); };
    for (int64_t i = part.from; i < part.to; ++i) {
      const T *from = lines + i / m * n, *to = from + n;
      const T* at = right ? std::upper_bound(from, to, values[i], less)
                          : std::lower_bound(from, to, values[i], less);
      s.out.as<uint32_t>()[i] = static_cast<uint32_t>(at - from);
    }
  });
}

void run_recurrence(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::LinearRecurrence::P>();
  auto axis = static_cast<size_t>(p.axis);
  Shape lines = s.out.shape;
  int64_t n = lines[axis], count = 1;
  lines[axis] = 1;
  for (auto d : lines) count *= d;
  Share part = share(count, worker, workers);
  if (part.from >= part.to) return;
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    Odometer a(lines, s.in[0].strides), b(lines, s.in[1].strides), out(lines, s.out.strides);
    a.seek(part.from), b.seek(part.from), out.seek(part.from);
    for (int64_t i = part.from; i < part.to; ++i, a.next(), b.next(), out.next()) {
      const T* x = s.in[0].as<const T>() + a.offset();
      const T* y = s.in[1].as<const T>() + b.offset();
      T* h = s.out.as<T>() + out.offset();
      Accumulator<T> state = 0;
      for (int64_t k = 0; k < n; ++k) {
        int64_t at = p.reverse ? n - 1 - k : k;
        state = widen(x[at * s.in[0].strides[axis]]) * state + widen(y[at * s.in[1].strides[axis]]);
        h[at * s.out.strides[axis]] = narrow<T>(state);
      }
    }
  });
}

double search_cost(const Step& s) { return 30.0 * static_cast<double>(s.out.size()); }
double sort_cost(const Step& s) {
  bool whole = s.params->as<ops::SortParams>().kth < 0;
  return (whole ? 20.0 : 5.0) * static_cast<double>(s.out.size());
}
double scan_cost(const Step& s) { return 2.0 * static_cast<double>(s.out.size()); }

}  // namespace

void add_scans_and_sorts(KernelTable& t) {
  using namespace ops;
  auto scan = [](KernelFn run) {
    return Kernel{.run = run, .accepts = Accepts::any, .cost = scan_cost, .name = "lines"};
  };
  t.add(op_of<CumSum>, scan(run_cumsum));
  t.add(op_of<CumProd>, scan(run_cumprod));
  t.add(op_of<CumMax>, scan(run_cumextreme<true>));
  t.add(op_of<CumMin>, scan(run_cumextreme<false>));
  t.add(op_of<LogCumSumExp>, scan(run_logcumsumexp));
  t.add(op_of<LinearRecurrence>, scan(run_recurrence));
  t.add(op_of<SearchSorted>, {.run = run_searchsorted, .cost = search_cost, .name = "bisection"});
  t.add(op_of<ArgSort>,
        {.run = run_argsort, .accepts = Accepts::any, .cost = sort_cost, .name = "stable lines"});
  t.add(op_of<ops::Sort>,
        {.run = run_sort, .accepts = Accepts::any, .cost = sort_cost, .name = "stable lines"});
}

}  // namespace tarn::cpu
