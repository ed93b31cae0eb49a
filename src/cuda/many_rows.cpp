// Products of many rows with quantised weights, in balanced precision: x and weights in bfloat16.
// In exact precision float32 weights are made, by the op's expansion.
#include "cuda/blas.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/quantized_steps.h"
#include "ops/compound.h"

namespace tarn::cuda {
namespace {

bool has_many_rows(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  return p.coding == ops::Coding::affine && p.transpose && p.precision == Precision::balanced &&
         affine_floats(s, 2) && s.in[1].shape.size() == 2 && s.out.dtype == float32 &&
         s.out.size() > 0 && s.out.size() / size_at(s.out, 1) > most_quantized_rows;
}
bool takes_packed_rows(const Step& s) {
  return has_many_rows(s) && many_rows_fit(quantized_call(s), card()->major);
}
void run_pack_rows(const Step& s, int, int) {
  const int64_t k = size_at(s.in[0], 1);
  launch_pack_rows(s.in[0].as<const float>(), s.out.data, s.in[0].size() / k, k, queue());
  check(cudaGetLastError(), "a launch");
}
size_t packed_bytes(const Step& s) {
  const int64_t k = size_at(s.in[0], 1);
  return packed_rows_bytes(s.in[0].size() / k, k);
}
const Packing packed_rows{.kernel = {.run = run_pack_rows, .name = "rows in tiles of bfloat16"},
                          .bytes = packed_bytes,
                          .key = [](const Step&) { return uint64_t{1}; }};
void run_packed_together(std::span<const Step> steps) {
  FewRowsCalls calls;
  calls.count = static_cast<int>(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    calls.of[i] = quantized_call(steps[i]);
    calls.of[i].x = steps[i].in.back().data;
  }
  launch_many_rows(calls, card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
void run_packed(const Step& s, int, int) { run_packed_together({&s, 1}); }

// On other cards, or with other codes: dense weights in the step's memory, and the library.
bool takes_many_rows(const Step& s) {
  return has_many_rows(s) && size_at(s.out, 1) % 8 == 0 && has_blas();
}
// x in bfloat16, which products of the same x share.
void run_narrow(const Step& s, int, int) {
  launch_narrow(s.in[0].as<const float>(), s.out.data, s.in[0].size(), queue());
  check(cudaGetLastError(), "a launch");
}
const Packing narrow_rows{
    .kernel = {.run = run_narrow, .name = "rows in bfloat16"},
    .bytes = [](const Step& s) { return static_cast<size_t>(s.in[0].size()) * sizeof(uint16_t); },
    .key = [](const Step&) { return uint64_t{0}; }};
size_t many_rows_scratch(const Step& s, int) {
  QuantizedCall c = quantized_call(s);
  return static_cast<size_t>(c.n * c.k) * sizeof(uint16_t);
}
void run_many_rows(const Step& s, int, int) {
  QuantizedCall c = quantized_call(s);
  c.y = s.scratch, c.type = column(bfloat16);
  launch_dequantize(c, queue());
  check(cudaGetLastError(), "a launch");
  MatmulCall product;
  product.a = s.in.back().data, product.b = s.scratch, product.c = s.out.data;
  product.m = c.m, product.n = c.n, product.k = c.k;
  product.type = column(bfloat16), product.c_in_float = true;
  BlasShape shape{.a_lead = c.k, .b_lead = c.k, .b_turned = true};
  require<DeviceError>(multiply_by_blas(product, shape),
                       "[quantized_matmul] cuBLASLt does not take {} rows of {} by {}.", c.m, c.k,
                       c.n);
}

}  // namespace

void add_many_rows(KernelTable& t) {
  using namespace ops;
  t.add(op_of<QuantizedMatmul>, {.run = run_packed,
                                 .fits = takes_packed_rows,
                                 .packing = &packed_rows,
                                 .joins = joins_rows,
                                 .run_joined = run_packed_together,
                                 .shares = 0b10001,
                                 .name = "128 rows a block, on tensor cores"});
  t.add(op_of<QuantizedMatmul>, {.run = run_many_rows,
                                 .fits = takes_many_rows,
                                 .scratch = many_rows_scratch,
                                 .packing = &narrow_rows,
                                 .name = "bfloat16 weights, and cuBLASLt"});
}

}  // namespace tarn::cuda
