// Products of many rows with quantised weights, there and back, with and without a low-rank term.
#include "cuda/bfloat_products.h"

#include "cuda/blas.h"
#include "cuda/device.h"
#include "cuda/fold.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/low_rank.h"

namespace tarn::cuda {
namespace {

using P = ops::QuantizedMatmul::P;

// x (m, depth) times weights of (n, k) codes, turned or as they are.
struct Product {
  const P* p = nullptr;
  int64_t m = 0, depth = 0, outputs = 0, n = 0, k = 0;
};
Product product_of(const Step& s) {
  Product r;
  r.p = &s.params->as<P>();
  r.depth = size_at(s.in[0], 1), r.outputs = size_at(s.out, 1);
  r.m = s.out.size() / r.outputs;
  r.n = r.p->transpose ? r.outputs : r.depth, r.k = r.p->transpose ? r.depth : r.outputs;
  return r;
}
// In exact precision float32 weights are made, by the op's expansion.
bool takes_many_rows(const Step& s) {
  if (s.out.size() == 0 || s.in[1].shape.size() != 2 || s.out.dtype != float32) return false;
  Product r = product_of(s);
  return r.p->coding == ops::Coding::affine && r.p->precision == Precision::balanced &&
         affine_floats(s, 2) && r.m > most_quantized_rows && r.n % 8 == 0 && r.k % 8 == 0 &&
         has_blas();
}

QuantizedCall weights_of(const Step& s, const Product& r) {
  QuantizedCall c;
  c.codes = s.in[1].data, c.scales = s.in[2].data, c.biases = s.in[3].data;
  c.y = s.scratch;
  c.n = r.n, c.k = r.k;
  c.bits = r.p->bits, c.group = r.p->group;
  c.type = column(bfloat16), c.scale_type = column(s.in[2].dtype);
  return c;
}
// Rows and weights have `more` columns besides the product's.
void multiply(const Step& s, const Product& r, const void* rows, int64_t rows_lead,
              int64_t weights_lead, int64_t more, const void* added = nullptr) {
  check(cudaGetLastError(), "a launch");
  MatmulCall c;
  c.added = added;
  c.a = rows, c.b = s.scratch, c.c = s.out.data;
  c.m = r.m, c.n = r.outputs, c.k = r.depth + more;
  c.type = column(bfloat16), c.c_in_float = true;
  BlasShape shape{.a_lead = rows_lead, .b_lead = weights_lead, .b_turned = r.p->transpose};
  require<DeviceError>(multiply_by_blas(c, shape),
                       "[quantized_matmul] cuBLASLt does not take {} rows of {} by {}.", c.m, c.k,
                       c.n);
}

// x in bfloat16, which products of the same x share.
void run_narrow(const Step& s, int, int) {
  int64_t cols = size_at(s.in[0], 1);
  launch_narrow(s.in[0].as<const float>(), s.out.data, s.in[0].size() / cols, cols, cols, queue());
  check(cudaGetLastError(), "a launch");
}
const Packing narrow_rows{
    .kernel = {.run = run_narrow, .name = "rows in bfloat16"},
    .bytes = [](const Step& s) { return static_cast<size_t>(s.in[0].size()) * sizeof(uint16_t); },
    .key = [](const Step&) { return uint64_t{0}; }};
size_t many_rows_scratch(const Step& s, int) {
  Product r = product_of(s);
  return static_cast<size_t>(r.n * r.k) * sizeof(uint16_t);
}
void run_many_rows(const Step& s, int, int) {
  Product r = product_of(s);
  launch_dequantize(weights_of(s, r), queue());
  multiply(s, r, s.in.back().data, r.depth, r.k, 0);
}

// --- with a low-rank term: its u and b are more columns of both

constexpr int64_t most_rank = 64;
bool takes_term(const Step& s) {
  if (!takes_many_rows(s)) return false;
  QuantizedCall c = weights_of(s, product_of(s));
  return in_words(c) && s.in[4].dtype == float32 && s.in[5].dtype == float32 &&
         size_at(s.in[4], 1) > 0 && size_at(s.in[4], 1) <= most_rank;
}
int64_t rounded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
constexpr int64_t line = 64;  // numbers: rows begin at lines of the cache
struct Widened {
  int64_t terms = 0, rows_lead = 0, weights_lead = 0, weights = 0;
};
Widened widened(const Step& s) {
  Product r = product_of(s);
  Widened w;
  w.terms = rounded(3 * size_at(s.in[4], 1), 8);
  w.rows_lead = rounded(r.depth + w.terms, line);
  w.weights_lead = r.p->transpose ? w.rows_lead : r.k;
  w.weights = r.p->transpose ? r.n * w.weights_lead : (r.n + w.terms) * r.k;
  return w;
}
size_t term_scratch(const Step& s, int) {
  return static_cast<size_t>(widened(s).weights) * sizeof(uint16_t);
}

// x in bfloat16 with room for terms, which products of the same x share: each puts its own there,
// one after the other in the queue.
void run_narrow_widened(const Step& s, int, int) {
  int64_t cols = size_at(s.in[0], 1), rows = s.in[0].size() / cols;
  launch_narrow(s.in[0].as<const float>(), s.out.data, rows, cols, s.out.size() / 2 / rows,
                queue());
  check(cudaGetLastError(), "a launch");
}
const Packing widened_rows{
    .kernel = {.run = run_narrow_widened, .name = "rows in bfloat16, with room"},
    .bytes =
        [](const Step& s) {
          int64_t rows = s.in[0].size() / size_at(s.in[0], 1);
          return static_cast<size_t>(rows * widened(s).rows_lead) * sizeof(uint16_t);
        },
    .key = [](const Step& s) { return static_cast<uint64_t>(widened(s).rows_lead); }};
constexpr size_t packed_at = 6, added_at = 7;  // of the inputs

void run_term(const Step& s, int, int) {
  Product r = product_of(s);
  Widened w = widened(s);
  auto *weights = static_cast<uint16_t*>(s.scratch), *rows = s.in[packed_at].as<uint16_t>();
  launch_dequantize_words(weights_of(s, r), w.weights_lead, queue());
  TermsCall u;
  u.from = s.in[4].as<const float>(), u.count = r.m;
  u.rank = static_cast<int>(size_at(s.in[4], 1)), u.terms = static_cast<int>(w.terms);
  u.row = u.rank, u.of_rank = 1;
  u.to = rows + r.depth, u.to_row = w.rows_lead, u.to_term = 1;
  TermsCall b = u;
  b.from = s.in[5].as<const float>(), b.count = r.outputs, b.weights = true;
  b.row = 1, b.of_rank = r.outputs;
  b.to = weights + (r.p->transpose ? r.depth : r.n * r.k);
  b.to_row = r.p->transpose ? w.weights_lead : 1, b.to_term = r.p->transpose ? 1 : r.k;
  launch_terms(u, b, queue());
  const void* added = s.in.size() > added_at ? s.in[added_at].data : nullptr;
  multiply(s, r, rows, w.rows_lead, w.weights_lead, w.terms, added);
}
const Kernel term_kernel{.run = run_term,
                         .fits = takes_term,
                         .scratch = term_scratch,
                         .packing = &widened_rows,
                         .writes = 1u << packed_at,
                         .name = "a term as more columns, and cuBLASLt"};

}  // namespace

bool is_term(const Kernel& kernel) { return kernel.run == run_term; }
const Kernel& term_and_sum_kernel() { return term_kernel; }

void add_bfloat_products(KernelTable& t) {
  t.add(ops::op_of<ops::QuantizedMatmul>, {.run = run_many_rows,
                                           .fits = takes_many_rows,
                                           .scratch = many_rows_scratch,
                                           .packing = &narrow_rows,
                                           .name = "bfloat16 weights, and cuBLASLt"});
  t.add(ops::op_of<ops::QuantizedMatmulPlus>, term_kernel);
}

}  // namespace tarn::cuda
