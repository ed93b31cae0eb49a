// Positions turned by what rope.cpp read.
#include "lm/models/rope.h"
#include "tarn/fast.h"
#include "tarn/ops.h"

namespace tarn::lm {

template <class Offset>
array Rope::turned(const array& x, const Offset& offset,
                   const std::optional<array>& periods) const {
  if (basis_.dims == 0) return x;
  std::optional<float> base;
  if (!periods) base = static_cast<float>(basis_.theta);
  array y = fast::rope(x, static_cast<int>(basis_.dims), basis_.traditional, base, scale_, offset,
                       periods);
  return gain_ ? y * *gain_ : y;
}

array Rope::operator()(const array& x, int64_t offset) const {
  return turned(x, static_cast<int>(offset), periods_for(offset + x.shape(2)));
}

Pass::TurnRows Rope::by_row() const {
  if (stretch_ > 0 || far_periods_) return nullptr;
  return [this](const array& x, const array& offsets) { return turned(x, offsets, periods_); };
}

}  // namespace tarn::lm
