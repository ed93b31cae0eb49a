// Products of many rows with weights of 4 bits, in balanced precision and without a matrix of
// weights: x in tiles of bfloat16, codes that become bfloat16 in registers.
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/quantized_steps.h"
#include "ops/compound.h"

namespace tarn::cuda {
namespace {

bool takes_packed_rows(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  return p.coding == ops::Coding::affine && p.transpose && p.precision == Precision::balanced &&
         affine_floats(s, 2) && s.in[1].shape.size() == 2 && s.out.dtype == float32 &&
         s.out.size() > 0 && s.out.size() / size_at(s.out, 1) > most_quantized_rows &&
         many_rows_fit(quantized_call(s), card()->major);
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
}

}  // namespace tarn::cuda
