// Low-rank terms that rows choose. What they add goes into y's memory, see Kernel::updates_first.
#include <cstring>

#include "cpu/heavy.h"
#include "cpu/index.h"
#include "cpu/move.h"
#include "cpu/share.h"
#include "ops/low_rank.h"

namespace tarn::cpu {
namespace {

// With more, a product is worth a step that all workers share: the expansion.
constexpr int64_t most_rows = 64;
bool takes_few_rows(const Step& s) {
  return s.out.dtype == float32 && s.out.size() > 0 && s.in[4].shape[0] <= most_rows;
}

// x a of some rows that have the same term, to `thin`; then y += thin b.
struct Sizes {
  int64_t rows = 0, terms = 0, depth = 0, rank = 0, outputs = 0;
};
Sizes sizes_of(const Step& s) {
  return {s.in[4].shape[0], s.in[3].shape[0], s.in[2].shape[1], s.in[2].shape[2], s.in[3].shape[2]};
}
Gemm thin_product(const Sizes& z, int64_t rows) {
  Gemm g{.m = rows, .n = z.rank, .k = z.depth};
  g.a_row = z.depth, g.b_row = g.c_row = z.rank;
  return g;
}
Gemm wide_product(const Sizes& z, int64_t rows, int64_t columns) {
  Gemm g{.m = rows, .n = columns, .k = z.rank};
  g.a_row = z.rank, g.b_row = g.c_row = z.outputs, g.beta = 1;
  return g;
}

// A worker's scratch: `thin`, then what either product needs, whichever number of rows it has.
struct Scratch {
  size_t thin = 0, products = 0;
  size_t all() const { return thin + products; }
};
Scratch scratch_of(const Sizes& z) {
  Scratch bytes{static_cast<size_t>((z.rows * z.rank + 15) / 16 * 16) * sizeof(float), 0};
  for (int64_t rows = 1; rows <= z.rows; ++rows)
    for (const Gemm& g : {thin_product(z, rows), wide_product(z, rows, z.outputs)})
      bytes.products = std::max(bytes.products, heavy().gemm_scratch(g, 1));
  return bytes;
}
size_t few_rows_scratch(const Step& s, int workers) {
  return scratch_of(sizes_of(s)).all() * static_cast<size_t>(workers);
}

// Rows next to each other that have the same term.
struct Run {
  int64_t first = 0, count = 0, term = 0;
};
template <class F>
void each_run(const Step& s, const Sizes& z, F f) {
  auto term = [&](int64_t i) { return checked("low_rank_rows", index_at(s.in[4], i), z.terms, 0); };
  for (int64_t i = 0; i < z.rows;) {
    Run run{i, 1, term(i)};
    while (i + run.count < z.rows && term(i + run.count) == run.term) ++run.count;
    f(run);
    i += run.count;
  }
}

void add_term(const Step& s, const Sizes& z, const Run& run, Share columns, std::byte* scratch,
              size_t thin_bytes) {
  auto* thin = reinterpret_cast<float*>(scratch);
  Gemm g = thin_product(z, run.count);
  g.a = s.in[1].as<const float>() + run.first * z.depth;
  g.b = s.in[2].as<const float>() + run.term * z.depth * z.rank;
  g.c = thin, g.scratch = scratch + thin_bytes;
  if (z.depth == 0) std::memset(thin, 0, thin_bytes);
  if (z.depth > 0 && z.rank > 0) heavy().gemm(g, 0, 1);
  g = wide_product(z, run.count, columns.to - columns.from);
  g.a = thin, g.b = s.in[3].as<const float>() + run.term * z.rank * z.outputs + columns.from;
  g.c = s.out.as<float>() + run.first * z.outputs + columns.from, g.scratch = scratch + thin_bytes;
  if (g.n > 0 && g.k > 0) heavy().gemm(g, 0, 1);
}

// A run is one worker's. When there are fewer runs than workers some share one's columns, in parts
// that are wide enough for the sums to be those of the whole, and each has all of x a.
void run_few_rows(const Step& s, int worker, int workers) {
  constexpr int64_t part_columns = 64;
  const Sizes z = sizes_of(s);
  int64_t runs = 0, turn = 0;
  each_run(s, z, [&](const Run&) { ++runs; });
  const int parts = static_cast<int>(
      std::clamp<int64_t>(workers / runs, 1, std::max<int64_t>(1, z.outputs / part_columns)));
  const int takers = workers / parts;
  const Share columns = share(z.outputs, worker % parts, parts, part_columns);
  const Scratch bytes = scratch_of(z);
  auto* mine = static_cast<std::byte*>(s.scratch) + static_cast<size_t>(worker) * bytes.all();
  each_run(s, z, [&](const Run& run) {
    if (turn++ % takers == worker / parts) add_term(s, z, run, columns, mine, bytes.thin);
  });
}

double few_rows_cost(const Step& s) {
  const Sizes z = sizes_of(s);
  return 0.05 * static_cast<double>(z.rows * z.rank) * static_cast<double>(z.depth + z.outputs) +
         100;
}

}  // namespace

void add_low_rank_rows(KernelTable& t) {
  Kernel k{.run = run_few_rows, .fits = takes_few_rows, .scratch = few_rows_scratch};
  k.updates_first = true, k.cost = few_rows_cost, k.name = "few rows";
  t.add(ops::op_of<ops::LowRankRows>, k);
}

}  // namespace tarn::cpu
