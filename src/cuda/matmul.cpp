// Products of matrices, dense and quantised: steps turned into calls.
#include "cuda/matmul.h"

#include <algorithm>

#include "cuda/blas.h"
#include "cuda/device.h"
#include "cuda/fold.h"
#include "cuda/layout.h"
#include "cuda/quantized_steps.h"
#include "cuda/table.h"
#include "ops/compound.h"

namespace tarn::cuda {

// --- what products share

QuantizedCall quantized_call(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  QuantizedCall c;
  c.x = s.in[0].data, c.codes = s.in[1].data, c.scales = s.in[2].data, c.biases = s.in[3].data;
  c.y = s.out.data, c.scratch = s.scratch;
  c.n = size_at(s.out, 1), c.k = size_at(s.in[0], 1), c.m = s.out.size() / c.n;
  c.bits = p.bits, c.group = p.group;
  c.type = column(s.out.dtype), c.scale_type = column(s.in[2].dtype);
  return c;
}
bool joins_rows(const Step& first, const Step& other) {
  const auto &a = first.params->as<ops::QuantizedMatmul::P>(),
             &b = other.params->as<ops::QuantizedMatmul::P>();
  return a.group == b.group && a.precision == b.precision && first.in[2].dtype == other.in[2].dtype;
}

namespace {

// --- dense

MatmulCall call_of(const Step& s) {
  const Operand &a = s.in[0], &b = s.in[1];
  Shape batch(s.out.shape.begin(), s.out.shape.end() - 2);
  MatmulCall c;
  c.a = a.data, c.b = b.data, c.c = s.out.data;
  c.m = size_at(s.out, 2), c.n = size_at(s.out, 1), c.k = size_at(a, 1);
  for (auto d : batch) c.batch *= d;
  c.a_row = stride_at(a, 2), c.a_col = stride_at(a, 1);
  c.b_row = stride_at(b, 2), c.b_col = stride_at(b, 1);
  c.a_batch = strided(batch, batch_strides(a.shape, a.strides, batch.size()));
  c.b_batch = strided(batch, batch_strides(b.shape, b.strides, batch.size()));
  c.type = column(s.out.dtype);
  return c;
}

// A matrix for the library: its rows or its columns are contiguous and do not overlap.
bool lies_well(int64_t rows, int64_t cols, int64_t row, int64_t col, int64_t& lead, bool& turned) {
  turned = !(col == 1 || cols == 1) || (row == 1 && col > 1);
  int64_t inner = turned ? rows : cols, outer = turned ? cols : rows;
  int64_t unit = turned ? row : col, step = turned ? col : row;
  lead = outer == 1 ? std::max<int64_t>(inner, 1) : step;
  return (unit == 1 || inner == 1) && lead >= inner;
}
// Where matrices of b repeat for neighbours of a, the rows of those are the rows of one matrix.
void join_repeated(MatmulCall& c) {
  const Strided &a = c.a_batch, &b = c.b_batch;
  if (b.axes != 2 || b.stride[1] != 0 || a.axes < 1 || a.axes > 2) return;
  int64_t times = b.size[1], next = a.stride[a.axes - 1];
  bool same_axes = a.axes == 1 || a.size[1] == times;
  if (!same_axes || next != c.m * c.a_row) return;
  Strided rows, matrices;
  rows.axes = matrices.axes = 1;
  rows.size[0] = matrices.size[0] = b.size[0];
  rows.stride[0] = a.axes == 1 ? times * next : a.stride[0];
  matrices.stride[0] = b.stride[0];
  c.m *= times, c.batch /= times;
  c.a_batch = rows, c.b_batch = matrices;
}
bool blas_shape(const MatmulCall& c, BlasShape& s) {
  if (c.m == 0 || c.n == 0 || c.k == 0 || c.a_batch.axes > 1 || c.b_batch.axes > 1) return false;
  s.a_step = c.a_batch.axes ? c.a_batch.stride[0] : 0;
  s.b_step = c.b_batch.axes ? c.b_batch.stride[0] : 0;
  return s.a_step >= 0 && s.b_step >= 0 &&
         lies_well(c.m, c.k, c.a_row, c.a_col, s.a_lead, s.a_turned) &&
         lies_well(c.k, c.n, c.b_row, c.b_col, s.b_lead, s.b_turned);
}

bool takes_matmul(const Step& s) { return s.out.shape.size() <= most_axes; }
void run_matmul(const Step& s, int, int) { multiply_dense(s); }

// --- quantised

constexpr std::string_view few_rows_name = "16 columns a block, on tensor cores";

bool takes_quantized(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  bool in_words = p.bits == 2 || p.bits == 4 || p.bits == 8;
  return p.coding == ops::Coding::affine && p.transpose && in_words && affine_floats(s, 2) &&
         s.in[1].shape.size() == 2 && s.out.size() > 0 &&
         s.out.size() / size_at(s.out, 1) <= most_quantized_rows;
}
void run_quantized(const Step& s, int, int) {
  launch_quantized(quantized_call(s), queue());
  check(cudaGetLastError(), "a launch");
}
// bfloat16 terms that x is split into: three hold a float.
int terms_of(Precision precision) { return precision == Precision::balanced ? 2 : 3; }
int terms_of(const Step& s) { return terms_of(s.params->as<ops::QuantizedMatmul::P>().precision); }
bool takes_few_rows(const Step& s) {
  return takes_quantized(s) && few_rows_fit(quantized_call(s), terms_of(s));
}
size_t few_rows_scratch_of(const Step& s, int) {
  return few_rows_scratch(quantized_call(s), terms_of(s));
}
constexpr unsigned codes_and_factors = 0b1110;  // of a step's inputs
template <class F>
bool are_all(std::span<const Step> steps, F holds) {
  return std::all_of(steps.begin(), steps.end(), holds);
}
void run_joined_rows(std::span<const Step> steps) {
  FewRowsCalls calls;
  calls.count = static_cast<int>(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) calls.of[i] = quantized_call(steps[i]);
  calls.early = are_all(steps, [](const Step& s) { return s.are_from_outside(codes_and_factors); });
  launch_few_rows(calls, terms_of(steps[0]), card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
void run_few_rows(const Step& s, int, int) { run_joined_rows({&s, 1}); }

bool takes_dequantize(const Step& s) {
  return s.params->as<ops::Dequantize::P>().coding == ops::Coding::affine && affine_floats(s, 1) &&
         s.out.size() > 0;
}
void run_dequantize(const Step& s, int, int) {
  const auto& p = s.params->as<ops::Dequantize::P>();
  QuantizedCall c;
  c.codes = s.in[0].data, c.scales = s.in[1].data, c.biases = s.in[2].data;
  c.y = s.out.data;
  c.k = size_at(s.out, 1), c.n = s.out.size() / c.k;
  c.bits = p.bits, c.group = p.group;
  c.type = column(s.out.dtype), c.scale_type = column(s.in[1].dtype);
  launch_dequantize(c, queue());
  check(cudaGetLastError(), "a launch");
}

// --- one row of quantised weights together with its neighbours

const FoldedProduct& folded(const Step& s) { return s.params->as<FoldedProduct>(); }
QuantizedCall folded_call(const Step& s) {
  QuantizedCall c;
  c.x = s.in[0].data, c.codes = s.in[1].data, c.scales = s.in[2].data, c.biases = s.in[3].data;
  c.y = s.out.data;
  c.m = 1, c.n = size_at(s.out, 1), c.k = size_at(s.in[0], 1);
  c.group = folded(s).group;
  c.type = column(s.out.dtype), c.scale_type = column(s.in[2].dtype);
  return c;
}
Neighbours neighbours(const Step& s) {
  const FoldedProduct& p = folded(s);
  Neighbours beside;
  beside.normed = p.normed, beside.eps = p.eps;
  if (p.weighted) beside.weight = s.in[4].data, beside.weight_type = column(s.in[4].dtype);
  if (p.gated) beside.times = s.in[4].as<const float>();
  if (p.added) beside.added = s.in.back().as<const float>();
  return beside;
}
// Codes and factors, and the norm's weight.
bool are_weights_from_outside(const Step& s) {
  const auto others = static_cast<unsigned>(s.in.size()) - 3;
  unsigned weights = codes_and_factors | (folded(s).weighted ? 0b10000u : 0);
  return s.are_from_outside(folded(s).paired ? weights | 0b111u << others : weights);
}
void run_pair(const Step& s) {
  FewRowsCalls calls;
  calls.count = 2, calls.paired = true;
  for (auto& c : calls.of) c = folded_call(s);
  const Operand* other = &s.in[s.in.size() - 3];
  calls.of[1].codes = other[0].data;
  calls.of[1].scales = other[1].data, calls.of[1].biases = other[2].data;
  calls.beside[0] = neighbours(s);
  calls.early = are_weights_from_outside(s);
  launch_one_row(calls, card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
void run_folded_together(std::span<const Step> steps) {
  FewRowsCalls calls;
  calls.count = static_cast<int>(steps.size());
  for (size_t i = 0; i < steps.size(); ++i)
    calls.of[i] = folded_call(steps[i]), calls.beside[i] = neighbours(steps[i]);
  calls.early = are_all(steps, are_weights_from_outside);
  launch_few_rows(calls, terms_of(folded(steps[0]).precision), card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
void run_folded(const Step& s, int, int) {
  folded(s).paired ? run_pair(s) : run_folded_together({&s, 1});
}
bool joins_folded(const Step& first, const Step& other) {
  const FoldedProduct &a = folded(first), &b = folded(other);
  return a.group == b.group && a.precision == b.precision && a.normed == b.normed && !a.paired &&
         !b.paired && a.eps == b.eps && a.weighted == b.weighted && a.gated == b.gated &&
         a.added == b.added && first.in[2].dtype == other.in[2].dtype;
}

}  // namespace

void multiply_dense(const Step& s) {
  if (s.out.size() == 0) return;
  MatmulCall c = call_of(s);
  join_repeated(c);
  BlasShape shape;
  if (blas_shape(c, shape) && multiply_by_blas(c, shape)) return;
  launch_matmul(c, queue());
  check(cudaGetLastError(), "a launch");
}
bool is_one_row(const Kernel& kernel, const Step& s) {
  return kernel.run == run_few_rows && quantized_call(s).m == 1;
}
bool makes_pairs(const FoldedProduct& p, const Operand& x, Dtype scales) {
  QuantizedCall c;
  c.m = 1, c.k = size_at(x, 1), c.group = p.group, c.scale_type = column(scales);
  return terms_of(p.precision) == 2 && one_row_fits(c);
}
const Kernel& folded_kernel() {
  static const Kernel kernel{.run = run_folded,
                             .joins = joins_folded,
                             .run_joined = run_folded_together,
                             .shares = 0b1,
                             .name = few_rows_name};
  return kernel;
}

void add_products(KernelTable& t) {
  using namespace ops;
  add_thin(t);
  t.add(op_of<Matmul>, {.run = run_matmul,
                        .fits = takes_matmul,
                        .accepts = Accepts::any,
                        .name = "cuBLASLt, or tiles"});
  t.add(op_of<QuantizedMatmul>, {.run = run_few_rows,
                                 .fits = takes_few_rows,
                                 .scratch = few_rows_scratch_of,
                                 .joins = joins_rows,
                                 .run_joined = run_joined_rows,
                                 .shares = 0b10001,
                                 .name = few_rows_name});
  add_many_rows(t);
  add_bfloat_products(t);
  t.add(op_of<QuantizedMatmul>,
        {.run = run_quantized, .fits = takes_quantized, .name = "a warp a column"});
  t.add(op_of<Dequantize>, {.run = run_dequantize, .fits = takes_dequantize, .name = "numbers"});
}

}  // namespace tarn::cuda
