// Products of matrices, dense and quantised: steps turned into calls.
#include "cuda/matmul.h"

#include "cuda/blas.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/compound.h"

namespace tarn::cuda {
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
bool blas_shape(const MatmulCall& c, BlasShape& s) {
  if (c.m == 0 || c.n == 0 || c.k == 0 || c.a_batch.axes > 1 || c.b_batch.axes > 1) return false;
  s.a_step = c.a_batch.axes ? c.a_batch.stride[0] : 0;
  s.b_step = c.b_batch.axes ? c.b_batch.stride[0] : 0;
  return s.a_step >= 0 && s.b_step >= 0 &&
         lies_well(c.m, c.k, c.a_row, c.a_col, s.a_lead, s.a_turned) &&
         lies_well(c.k, c.n, c.b_row, c.b_col, s.b_lead, s.b_turned);
}

bool takes_matmul(const Step& s) { return s.out.shape.size() <= most_axes; }
void run_matmul(const Step& s, int, int) {
  if (s.out.size() == 0) return;
  MatmulCall c = call_of(s);
  BlasShape shape;
  if (blas_shape(c, shape) && multiply_by_blas(c, shape)) return;
  launch_matmul(c, queue());
  check(cudaGetLastError(), "a launch");
}

// --- quantised

bool affine_floats(const Step& s, size_t scales) {
  return is_small_float(s.in[scales].dtype) && s.in[scales].dtype == s.in[scales + 1].dtype &&
         is_small_float(s.out.dtype);
}
bool takes_quantized(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  bool in_words = p.bits == 2 || p.bits == 4 || p.bits == 8;
  return p.coding == ops::Coding::affine && p.transpose && in_words && affine_floats(s, 2) &&
         s.in[1].shape.size() == 2 && s.out.size() > 0 &&
         s.out.size() / size_at(s.out, 1) <= most_quantized_rows;
}
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
void run_quantized(const Step& s, int, int) {
  launch_quantized(quantized_call(s), queue());
  check(cudaGetLastError(), "a launch");
}
// bfloat16 terms that x is split into: three hold a float.
int terms_of(const Step& s) {
  return s.params->as<ops::QuantizedMatmul::P>().precision == Precision::balanced ? 2 : 3;
}
bool takes_few_rows(const Step& s) {
  return takes_quantized(s) && few_rows_fit(quantized_call(s), terms_of(s));
}
size_t few_rows_scratch_of(const Step& s, int) {
  return few_rows_scratch(quantized_call(s), terms_of(s));
}
void run_few_rows(const Step& s, int workers, int share) {
  QuantizedCall c = quantized_call(s);
  if (reinterpret_cast<uintptr_t>(c.codes) % 16 != 0) return run_quantized(s, workers, share);
  launch_few_rows(c, terms_of(s), card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
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

}  // namespace

void add_products(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Matmul>, {.run = run_matmul,
                        .fits = takes_matmul,
                        .accepts = Accepts::any,
                        .name = "cuBLASLt, or tiles"});
  t.add(op_of<QuantizedMatmul>, {.run = run_few_rows,
                                 .fits = takes_few_rows,
                                 .scratch = few_rows_scratch_of,
                                 .name = "16 columns a block, on tensor cores"});
  t.add(op_of<QuantizedMatmul>,
        {.run = run_quantized, .fits = takes_quantized, .name = "a warp a column"});
  t.add(op_of<Dequantize>, {.run = run_dequantize, .fits = takes_dequantize, .name = "numbers"});
}

}  // namespace tarn::cuda
