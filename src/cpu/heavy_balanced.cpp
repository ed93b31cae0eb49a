// y = x · Wᵀ on activations of two int8 digits.
//
// For few rows of x, W is used as it lies in the file and read in the order in which it lies, which
// is what the processor fetches ahead by itself; kCodesAhead reaches further. There are four forms,
// by the level's vectors and products: heavy_lanes.h, heavy_fours.h, heavy_units.h and
// heavy_groups.h. In each a token's result does not depend on the others. Many tokens have their
// own form: heavy_panel.h.

#include "cpu/heavy_levels.h"
#include "cpu/heavy_panel.h"
#include "cpu/heavy_term.h"
#if defined(__AVX512F__)
#include "cpu/heavy_units.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "cpu/heavy_groups.h"
#elif defined(__AVX2__)
#include "cpu/heavy_fours.h"
#else
#include "cpu/heavy_lanes.h"
#endif

namespace tarn::cpu::TARN_LEVEL {
namespace {

constexpr int64_t kTokenBlock = 64;  // packed activations that stay in L2 while W streams past

template <int Bits>
void multiply_groups(const Qmm& q, const PackedRows& x, Range rows, Range tokens,
                     uint8_t* unpacked) {
  with_store(q.w.scale_type, [&]<Store S>() {
    switch (q.w.group) {
      case 32:
        return multiply_few<Bits, 32, S>(q, x, rows, tokens, unpacked);
      case 64:
        return multiply_few<Bits, 64, S>(q, x, rows, tokens, unpacked);
      default:
        return multiply_few<Bits, 128, S>(q, x, rows, tokens, unpacked);
    }
  });
}

bool unpacks_first(const QuantMatrix& w) { return w.bits != 4 && w.bits != 8; }

}  // namespace

size_t qmm_balanced_scratch(const Qmm& q, int workers) {
  size_t each = unpacks_first(q.w) ? static_cast<size_t>(kFewRows * round_up(q.w.cols, 64)) : 0;
  if (takes_panels(q.m)) each = panel_scratch(q.w);
  return each * static_cast<size_t>(workers);
}

void qmm_balanced(const Qmm& q, int worker, int workers) {
  const PackedRows x = packed_rows(q.packed, q.w.cols, q.w.group);
  auto* mine =
      static_cast<uint8_t*>(q.scratch) + qmm_balanced_scratch(q, 1) * static_cast<size_t>(worker);
  if (takes_panels(q.m)) return multiply_panels(q, x, mine, worker, workers);
  const Range rows = share(q.w.rows, kFewRows, worker, workers);
  for (int64_t k = 0; k < q.m; k += kTokenBlock) {
    const Range tokens{k, smaller(k + kTokenBlock, q.m)};
    if (q.w.bits == 4)
      multiply_groups<4>(q, x, rows, tokens, mine);
    else
      multiply_groups<8>(q, x, rows, tokens, mine);
  }
  add_term(q, rows, {0, q.m});
}

}  // namespace tarn::cpu::TARN_LEVEL
