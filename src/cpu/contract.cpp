// Dense matrix products: steps turned into calls of the heavy kernels.
#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/reduce.h"
#include "cpu/share.h"
#include "ops/compound.h"

namespace tarn::cpu {
namespace {

// One of the last two strides is 1, so rows or columns are contiguous.
int64_t size_at(const Operand& o, int from_end) {
  return o.shape[o.shape.size() - static_cast<size_t>(from_end)];
}
int64_t stride_at(const Operand& o, int from_end) {
  return o.strides[o.strides.size() - static_cast<size_t>(from_end)];
}
Shape batch_shape(const Operand& o) { return Shape(o.shape.begin(), o.shape.end() - 2); }

// --- dense

// The batch axes of a and b as the kernel's single batch: how far apart they lie, when even.
struct Batches {
  int64_t count = 1;
  bool even = true;
  int64_t a = 0, b = 0;
};
Batches batches_of(const Step& s) {
  Shape shape = batch_shape(s.out);
  Strides a = batch_strides(s.in[0].shape, s.in[0].strides, shape.size()),
          b = batch_strides(s.in[1].shape, s.in[1].strides, shape.size());
  Batches r;
  for (auto d : shape) r.count *= d;
  auto even = [&](const Strides& strides, int64_t& step) {
    Collapsed c = collapse(shape, strides);
    if (c.shape.size() > 1) return false;
    step = c.shape.empty() ? 0 : c.strides[0];
    return true;
  };
  r.even = even(a, r.a) && even(b, r.b);
  return r;
}

template <class G, class T>
G gemm_of(const Step& s) {
  G g;
  g.m = size_at(s.out, 2), g.n = size_at(s.out, 1), g.k = size_at(s.in[0], 1);
  g.a = s.in[0].as<T>(), g.b = s.in[1].as<T>(), g.c = s.out.as<T>();
  g.a_row = stride_at(s.in[0], 2), g.a_col = stride_at(s.in[0], 1);
  g.b_row = stride_at(s.in[1], 2), g.b_col = stride_at(s.in[1], 1);
  g.c_row = stride_at(s.out, 2);
  g.scratch = s.scratch;
  return g;
}

template <class G, class T, class Run>
void each_batch(const Step& s, Run run) {
  G g = gemm_of<G, T>(s);
  Batches b = batches_of(s);
  g.c_batch = g.m * g.n;
  if (b.even) {
    g.batch = b.count, g.a_batch = b.a, g.b_batch = b.b;
    run(g);
    return;
  }
  Shape shape = batch_shape(s.out);
  Strides sa = batch_strides(s.in[0].shape, s.in[0].strides, shape.size()),
          sb = batch_strides(s.in[1].shape, s.in[1].strides, shape.size());
  Odometer a(shape, sa), o(shape, sb);
  a.seek(0), o.seek(0);
  size_t size = s.in[0].dtype.size;
  for (int64_t i = 0; i < b.count; ++i, a.next(), o.next()) {
    G one = g;
    one.a = reinterpret_cast<decltype(one.a)>(s.in[0].as<std::byte>() + a.offset() * int64_t(size));
    one.b = reinterpret_cast<decltype(one.b)>(s.in[1].as<std::byte>() + o.offset() * int64_t(size));
    one.c =
        reinterpret_cast<decltype(one.c)>(s.out.as<std::byte>() + i * g.c_batch * int64_t(size));
    run(one);
  }
}
void run_gemm(const Step& s, int worker, int workers) {
  each_batch<Gemm, void>(s, [&](Gemm& g) {
    g.type = store_of(s.out.dtype);
    heavy().gemm(g, worker, workers);
  });
}
void run_gemm64(const Step& s, int worker, int workers) {
  each_batch<Gemm64, double>(s, [&](Gemm64& g) { heavy().gemm64(g, worker, workers); });
}
size_t gemm_scratch(const Step& s, int workers) {
  Gemm g = gemm_of<Gemm, void>(s);
  g.type = store_of(s.out.dtype);
  Batches b = batches_of(s);
  g.batch = b.even ? b.count : 1;
  size_t most = 0;
  for (int w = 1; w <= workers; ++w) most = std::max(most, heavy().gemm_scratch(g, w));
  return most;
}
size_t gemm64_scratch(const Step& s, int workers) {
  Gemm64 g = gemm_of<Gemm64, double>(s);
  Batches b = batches_of(s);
  g.batch = b.even ? b.count : 1;
  size_t most = 0;
  for (int w = 1; w <= workers; ++w) most = std::max(most, heavy().gemm64_scratch(g, w));
  return most;
}
bool takes_store(const Step& s) { return is_store(s.out.dtype); }
bool takes_double(const Step& s) { return s.out.dtype == float64; }

// complex64: rare, so a plain loop.
void run_complex(const Step& s, int worker, int workers) {
  int64_t m = size_at(s.out, 2), n = size_at(s.out, 1), k = size_at(s.in[0], 1);
  Shape shape = batch_shape(s.out);
  Strides sa = batch_strides(s.in[0].shape, s.in[0].strides, shape.size()),
          sb = batch_strides(s.in[1].shape, s.in[1].strides, shape.size());
  Odometer a(shape, sa), b(shape, sb);
  int64_t rows = s.out.size() / std::max<int64_t>(n, 1);
  Share part = share(rows, worker, workers);
  for (int64_t r = part.from; r < part.to; ++r) {
    a.seek(r / m), b.seek(r / m);
    const auto* x = s.in[0].as<const complex64_t>() + a.offset() + r % m * stride_at(s.in[0], 2);
    const auto* y = s.in[1].as<const complex64_t>() + b.offset();
    for (int64_t j = 0; j < n; ++j) {
      std::complex<double> sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += std::complex<double>(x[i * stride_at(s.in[0], 1)]) *
               std::complex<double>(y[i * stride_at(s.in[1], 2) + j * stride_at(s.in[1], 1)]);
      s.out.as<complex64_t>()[r * n + j] = complex64_t(sum);
    }
  }
}
bool takes_complex(const Step& s) { return s.out.dtype == complex64; }

double matmul_cost(const Step& s) {
  return 0.02 * static_cast<double>(s.out.size()) * static_cast<double>(size_at(s.in[0], 1));
}

}  // namespace

void add_contractions(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Matmul>, {.run = run_gemm,
                        .fits = takes_store,
                        .accepts = Accepts::any,
                        .scratch = gemm_scratch,
                        .cost = matmul_cost,
                        .name = "gemm"});
  t.add(op_of<Matmul>, {.run = run_gemm64,
                        .fits = takes_double,
                        .accepts = Accepts::any,
                        .scratch = gemm64_scratch,
                        .cost = matmul_cost,
                        .name = "gemm float64"});
  t.add(op_of<Matmul>, {.run = run_complex,
                        .fits = takes_complex,
                        .accepts = Accepts::any,
                        .cost = matmul_cost,
                        .name = "loop"});
}

}  // namespace tarn::cpu
