// Products of chosen pairs and of segments: calls of the heavy GEMM, one region of scratch a
// worker.
#include <cstring>

#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/pairs.h"
#include "cpu/reduce.h"
#include "cpu/share.h"
#include "ops/products.h"

namespace tarn::cpu {
namespace {

// The GEMM of float32 and halves, and that of float64, under one name.
struct Narrow {
  using Args = Gemm;
  using Element = void;
  static Args args(Dtype t) {
    Args g;
    g.type = store_of(t);
    return g;
  }
  static void run(const Args& g, int worker, int workers) { heavy().gemm(g, worker, workers); }
  static size_t scratch(const Args& g) { return heavy().gemm_scratch(g, 1); }
  static bool takes(const Step& s) {
    return s.out.dtype == float32 || s.out.dtype == float16 || s.out.dtype == bfloat16;
  }
};
struct Wide {
  using Args = Gemm64;
  using Element = double;
  static Args args(Dtype) { return {}; }
  static void run(const Args& g, int worker, int workers) { heavy().gemm64(g, worker, workers); }
  static size_t scratch(const Args& g) { return heavy().gemm64_scratch(g, 1); }
  static bool takes(const Step& s) { return s.out.dtype == float64; }
};

template <class G>
auto* element(const Operand& o, int64_t offset) {
  return static_cast<typename G::Element*>(
      static_cast<void*>(o.as<std::byte>() + offset * int64_t{o.dtype.size}));
}

// Bytes that one worker needs for products of up to m by n by k: a thin product needs others than a
// thick one, so each thickness is asked.
template <class G>
size_t region(Dtype t, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t thick = 64;
  size_t most = 0;
  auto args = G::args(t);
  args.n = n, args.k = k;
  auto ask = [&](int64_t rows) {
    args.m = rows;
    for (int64_t step : {int64_t{1}, k + n + 2}) {  // a unit stride or none
      args.a_col = args.b_col = args.a_row = args.b_row = step;
      most = std::max(most, G::scratch(args));
    }
  };
  for (int64_t rows = 1; rows <= std::min(m, thick); ++rows) ask(rows);
  ask(m);
  return most;
}
// What is computed as worker 0 of 1, or by all, lies in the worker's own region all the same.
template <class G>
void run_in(typename G::Args& g, const Step& s, size_t bytes, int me, int worker, int workers) {
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {  // c's rows are contiguous
    if (worker == 0 && g.beta == 0)
      std::memset(static_cast<void*>(g.c), 0, static_cast<size_t>(g.m * g.n) * s.out.dtype.size);
    return;
  }
  auto* mine = static_cast<std::byte*>(s.scratch) + static_cast<size_t>(me) * bytes;
  g.scratch = mine - static_cast<size_t>(worker) * G::scratch(g);
  G::run(g, worker, workers);
}

int64_t stride(const Operand& o, size_t axis) { return o.strides[axis]; }
// The rows and columns of o's last two axes, as operand a or b.
template <class Args>
void set_a(Args& g, const Operand& o) {
  g.a_row = stride(o, o.shape.size() - 2), g.a_col = stride(o, o.shape.size() - 1);
}
template <class Args>
void set_b(Args& g, const Operand& o) {
  g.b_row = stride(o, o.shape.size() - 2), g.b_col = stride(o, o.shape.size() - 1);
}

// --- gather_mm

// Whether a's matrices, one behind the other, are one matrix.
bool joins(const Operand& a) {
  return a.shape[1] == 1 || stride(a, 0) == a.shape[1] * stride(a, 1);
}

template <class G>
size_t gather_region(const Step& s) {
  int64_t rows = s.out.shape[0] * s.out.shape[1];
  return region<G>(s.out.dtype, joins(s.in[0]) ? rows : s.out.shape[1], s.out.shape[2],
                   s.in[0].shape[2]);
}
template <class G>
void run_gather(const Step& s, int worker, int workers) {
  const Operand &a = s.in[0], &b = s.in[1];
  int64_t m = s.out.shape[1], n = s.out.shape[2], k = a.shape[2];
  size_t bytes = gather_region<G>(s);
  double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  each_run("gather_mm", s, joins(a), work, worker, workers,
           [&](const PairRun& run, int part, int parts) {
             auto g = G::args(s.out.dtype);
             g.m = m * run.count, g.n = n, g.k = k;
             set_a(g, a), set_b(g, b);
             if (m == 1) g.a_row = stride(a, 0);
             g.a = element<G>(a, run.left * stride(a, 0));
             g.b = element<G>(b, run.right * stride(b, 0));
             g.c = element<G>(s.out, run.first * m * n);
             g.c_row = n;
             run_in<G>(g, s, bytes, worker, part, parts);
           });
}
template <class G>
size_t gather_scratch(const Step& s, int workers) {
  return gather_region<G>(s) * static_cast<size_t>(workers);
}
double gather_cost(const Step& s) {
  return 0.05 * static_cast<double>(s.out.size()) * static_cast<double>(s.in[0].shape[2]) + 100;
}

// --- segments

struct Segment {
  int64_t from = 0, to = 0;
};
Segment segment_at(const Operand& o, int64_t batch, int64_t i, int64_t size) {
  auto bound = [&](int64_t which) {
    int64_t at = index_at(o, batch * o.strides[0] + i * o.strides[1] + which * o.strides[2]);
    require<IndexError>(at >= 0 && at <= size,
                        "[segmented_mm] a segment's bound {} is outside [0, {}].", at, size);
    return at;
  };
  Segment r{bound(0), bound(1)};
  r.to = std::max(r.from, r.to);
  return r;
}

template <class G>
size_t segments_region(const Step& s) {
  return region<G>(s.out.dtype, s.out.shape[2], s.out.shape[3], s.in[0].shape[2]);
}
template <class G>
void run_segments(const Step& s, int worker, int workers) {
  const Operand &a = s.in[0], &b = s.in[1];
  int64_t count = s.out.shape[1], m = s.out.shape[2], n = s.out.shape[3], k = a.shape[2];
  size_t bytes = segments_region<G>(s);
  for (int64_t i = 0; i < s.out.shape[0] * count; ++i) {
    Segment segment = segment_at(s.in[2], i / count, i % count, k);
    auto g = G::args(s.out.dtype);
    g.m = m, g.n = n, g.k = segment.to - segment.from;
    set_a(g, a), set_b(g, b);
    g.a = element<G>(a, i / count * stride(a, 0) + segment.from * g.a_col);
    g.b = element<G>(b, i / count * stride(b, 0) + segment.from * g.b_row);
    g.c = element<G>(s.out, i * m * n);
    g.c_row = n;
    if (static_cast<double>(m * n) * static_cast<double>(g.k) >= shared_from)
      run_in<G>(g, s, bytes, worker, worker, workers);
    else if (i % workers == worker)
      run_in<G>(g, s, bytes, worker, 0, 1);
  }
}
template <class G>
size_t segments_scratch(const Step& s, int workers) {
  return segments_region<G>(s) * static_cast<size_t>(workers);
}
double segments_cost(const Step& s) {
  double rows = static_cast<double>(s.out.shape[2]) * static_cast<double>(s.out.shape[3]);
  return 0.05 * rows * static_cast<double>(s.in[0].size()) + 100;
}

// Rows are done in blocks that do not depend on the number of workers, each by one of them: two
// segments may share rows.
constexpr int64_t row_block = 64;

template <class G>
size_t rows_region(const Step& s) {
  return region<G>(s.out.dtype, row_block, s.out.shape[2], s.in[0].shape[2]);
}
template <class G>
void fill_rows(const Step& s, int64_t batch, Segment rows, size_t bytes, int worker) {
  const Operand &x = s.in[0], &y = s.in[1], &segments = s.in[2];
  int64_t m = s.out.shape[2], at = batch * s.out.shape[1] + rows.from;
  std::memset(s.out.as<std::byte>() + at * m * s.out.dtype.size, 0,
              static_cast<size_t>((rows.to - rows.from) * m * s.out.dtype.size));
  for (int64_t i = 0; i < y.shape[1]; ++i) {
    Segment segment = segment_at(segments, batch, i, s.out.shape[1]);
    int64_t from = std::max(segment.from, rows.from), to = std::min(segment.to, rows.to);
    if (from >= to) continue;
    auto g = G::args(s.out.dtype);
    g.m = to - from, g.n = m, g.k = x.shape[2];
    set_a(g, x), set_b(g, y);
    g.a = element<G>(x, batch * stride(x, 0) + from * g.a_row);
    g.b = element<G>(y, batch * stride(y, 0) + i * stride(y, 1));
    g.c = element<G>(s.out, (batch * s.out.shape[1] + from) * m);
    g.c_row = m;
    g.beta = 1;
    run_in<G>(g, s, bytes, worker, 0, 1);
  }
}
template <class G>
void run_rows(const Step& s, int worker, int workers) {
  size_t bytes = rows_region<G>(s);
  int64_t rows = s.out.shape[1], blocks = (rows + row_block - 1) / row_block;
  Share part = share(s.out.shape[0] * blocks, worker, workers);
  for (int64_t i = part.from; i < part.to; ++i) {
    int64_t from = i % blocks * row_block;
    fill_rows<G>(s, i / blocks, {from, std::min(rows, from + row_block)}, bytes, worker);
  }
}
template <class G>
size_t rows_scratch(const Step& s, int workers) {
  return rows_region<G>(s) * static_cast<size_t>(workers);
}
double rows_cost(const Step& s) {
  return 0.05 * static_cast<double>(s.out.size()) * static_cast<double>(s.in[0].shape[2]) + 100;
}

template <class G>
void add_with(KernelTable& t, const char* name) {
  using namespace ops;
  Kernel k{.fits = G::takes, .accepts = Accepts::any, .name = name};
  k.run = run_gather<G>, k.scratch = gather_scratch<G>, k.cost = gather_cost;
  t.add(op_of<GatherMatmul>, k);
  k.run = run_segments<G>, k.scratch = segments_scratch<G>, k.cost = segments_cost;
  t.add(op_of<SegmentedMatmul>, k);
  k.run = run_rows<G>, k.scratch = rows_scratch<G>, k.cost = rows_cost;
  t.add(op_of<SegmentedRows>, k);
}

}  // namespace

void add_products(KernelTable& t) {
  add_with<Narrow>(t, "gemm");
  add_with<Wide>(t, "gemm float64");
}

}  // namespace tarn::cpu
