// Products of pairs of matrices that indices choose: how the pairs are walked and shared.
#pragma once

#include "cpu/index.h"

namespace tarn::cpu {

// `count` neighbouring pairs from `first` on that share b[right] and take a[left], a[left + 1], ...
struct PairRun {
  int64_t first = 0, count = 0, left = 0, right = 0;
};

// Multiplications from which on a product is shared by all workers.
constexpr double shared_from = 1 << 18;

// Calls f(run, worker, workers) with what of each run this worker does: a part of a large run, or
// all of every so many small ones. `join` says whether following matrices of a are one matrix, and
// `work` is the number of multiplications in one pair.
template <class F>
void each_run(const char* op, const Step& s, bool join, double work, int worker, int workers, F f) {
  const Operand &lhs = s.in[s.in.size() - 2], &rhs = s.in.back();
  auto left = [&](int64_t i) {
    return checked(op, index_at(lhs, i * lhs.strides[0]), s.in[0].shape[0], 0);
  };
  auto right = [&](int64_t i) {
    return checked(op, index_at(rhs, i * rhs.strides[0]), s.in[1].shape[0], 0);
  };
  int64_t pairs = lhs.shape[0], turn = 0;
  for (int64_t i = 0; i < pairs;) {
    PairRun run{i, 1, left(i), right(i)};
    while (join && i + run.count < pairs && right(i + run.count) == run.right &&
           left(i + run.count) == run.left + run.count)
      ++run.count;
    i += run.count;
    if (work * static_cast<double>(run.count) >= shared_from)
      f(run, worker, workers);
    else if (turn++ % workers == worker)
      f(run, 0, 1);
  }
}

}  // namespace tarn::cpu
