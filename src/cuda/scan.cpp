// Scans: steps turned into calls of scan.cu.
#include "cuda/scan.h"

#include <limits>

#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/reductions.h"

namespace tarn::cuda {
namespace {

constexpr int64_t lowest = std::numeric_limits<int64_t>::min();

// The least of the dtype's numbers, and the largest, as int64 once uint64 is turned.
int64_t extreme(Dtype t, bool largest) {
  if (t == bool_) return largest ? 1 : 0;
  if (t == uint64) return largest ? ~lowest : lowest;
  int bits = 8 * t.size - (issubdtype(t, unsignedinteger) ? 0 : 1);
  int64_t top = bits == 63 ? ~lowest : (int64_t{1} << bits) - 1;
  if (largest) return top;
  return issubdtype(t, unsignedinteger) ? 0 : ~top;
}

template <Scan scan, bool smallest>
ScanCall call_of(const Step& s) {
  const auto& p = s.params->as<ops::ScanParams>();
  auto axis = static_cast<size_t>(p.axis);
  const Operand& in = s.in[0];
  Dtype t = in.dtype;
  Shape lines = in.shape;
  lines[axis] = 1;
  ScanCall c;
  for (auto d : lines) c.lines *= d;
  c.from = strided(lines, in.strides), c.to = strided(lines, s.out.strides);
  c.each = in.shape[axis], c.from_step = in.strides[axis], c.to_step = s.out.strides[axis];
  c.type = column(t), c.scan = scan;
  c.in = t == complex64            ? ScanIn::complex
         : issubdtype(t, floating) ? ScanIn::real
                                   : ScanIn::integer;
  c.reverse = p.reverse, c.inclusive = p.inclusive;
  if constexpr (scan == Scan::prod) c.start = 1, c.start_integer = 1;
  if constexpr (scan == Scan::log_sum_exp || scan == Scan::max)
    c.start = -std::numeric_limits<double>::infinity();
  if constexpr (scan == Scan::max) {
    c.negated = smallest;
    c.turned = (smallest ? ~int64_t{0} : 0) ^ (t == uint64 ? lowest : 0);
    c.start_integer = extreme(t, smallest) ^ (smallest ? ~int64_t{0} : 0);
  }
  c.pieces = scan_pieces(c);
  return c;
}
bool takes_scan(const Step& s) { return s.in[0].shape.size() <= most_axes; }
template <Scan scan, bool smallest>
size_t scratch_of(const Step& s, int) {
  ScanCall c = call_of<scan, smallest>(s);
  return c.pieces > 1 ? static_cast<size_t>(c.lines * c.pieces) * scan_accumulator : 0;
}
template <Scan scan, bool smallest>
void run_scan(const Step& s, int, int) {
  if (s.out.size() == 0) return;
  ScanCall c = call_of<scan, smallest>(s);
  c.x = s.in[0].data, c.y = s.out.data, c.partial = s.scratch;
  launch_scan(c, queue());
  check(cudaGetLastError(), "a launch");
}
template <Scan scan, bool smallest = false>
Kernel kernel() {
  return {.run = run_scan<scan, smallest>,
          .fits = takes_scan,
          .accepts = Accepts::any,
          .scratch = scratch_of<scan, smallest>,
          .name = "lines"};
}

}  // namespace

void add_scans(KernelTable& t) {
  using namespace ops;
  t.add(op_of<CumSum>, kernel<Scan::sum>());
  t.add(op_of<CumProd>, kernel<Scan::prod>());
  t.add(op_of<CumMax>, kernel<Scan::max>());
  t.add(op_of<CumMin>, kernel<Scan::max, true>());
  t.add(op_of<LogCumSumExp>, kernel<Scan::log_sum_exp>());
}

}  // namespace tarn::cuda
