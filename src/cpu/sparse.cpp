// The product of compressed sparse rows and a dense matrix.
#include "ops/sparse.h"

#include <vector>

#include "base/require.h"
#include "cpu/move.h"
#include "cpu/number.h"
#include "cpu/share.h"

namespace tarn::cpu {
namespace {

int64_t checked(const char* what, int64_t i, int64_t n) {
  require<IndexError>(i >= 0 && i <= n, "[sparse_matmul] {} {} is outside 0 to {}.", what, i, n);
  return i;
}

// Rows are shared; a row's sums run in double, one a column of x.
template <class T>
void multiply_rows(const Step& s, int worker, int workers) {
  const auto *starts = s.in[0].as<const int64_t>(), *columns = s.in[1].as<const int64_t>();
  const T *values = s.in[2].as<const T>(), *x = s.in[3].as<const T>();
  int64_t count = s.in[1].shape[0], k = s.in[3].shape[0], n = s.out.shape[1];
  std::vector<Accumulator<T>> sums(static_cast<size_t>(n));
  Share part = share(s.out.shape[0], worker, workers);
  for (int64_t row = part.from; row < part.to; ++row) {
    std::fill(sums.begin(), sums.end(), Accumulator<T>(0));
    int64_t from = checked("row start", starts[row], count);
    int64_t to = checked("row start", starts[row + 1], count);
    for (int64_t i = from; i < to; ++i) {
      const T* line = x + checked("column", columns[i], k - 1) * n;
      auto value = widen(values[i]);
      for (int64_t j = 0; j < n; ++j) sums[static_cast<size_t>(j)] += value * widen(line[j]);
    }
    T* out = s.out.as<T>() + row * n;
    for (int64_t j = 0; j < n; ++j) out[j] = narrow<T>(sums[static_cast<size_t>(j)]);
  }
}
void run_sparse(const Step& s, int worker, int workers) {
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (!std::is_integral_v<T>) multiply_rows<T>(s, worker, workers);
  });
}
double sparse_cost(const Step& s) {
  return 0.5 * static_cast<double>(s.in[1].size()) * static_cast<double>(s.out.shape[1]);
}

}  // namespace

void add_sparse(KernelTable& t) {
  t.add(ops::op_of<ops::SparseMatmul>, {.run = run_sparse, .cost = sparse_cost, .name = "rows"});
}

}  // namespace tarn::cpu
