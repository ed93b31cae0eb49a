// Indices of whatever integer dtype, checked against the axis they count on.
#pragma once

#include "base/require.h"
#include "runtime/backend.h"

namespace tarn::cpu {

// Index `i` of an index array of any integer dtype.
inline int64_t index_at(const Operand& o, int64_t offset) {
  switch (o.dtype.val) {
    case Dtype::Val::uint8:
    case Dtype::Val::bool_:
      return o.as<uint8_t>()[offset];
    case Dtype::Val::uint16:
      return o.as<uint16_t>()[offset];
    case Dtype::Val::uint32:
      return o.as<uint32_t>()[offset];
    case Dtype::Val::int8:
      return o.as<int8_t>()[offset];
    case Dtype::Val::int16:
      return o.as<int16_t>()[offset];
    case Dtype::Val::int32:
      return o.as<int32_t>()[offset];
    default:
      return o.as<int64_t>()[offset];
  }
}
// The index in [0, n - size] that `i` means on an axis of n when `size` elements are taken from it.
inline int64_t checked(const char* op, int64_t i, int64_t n, int axis, int64_t size = 1) {
  int64_t at = i < 0 ? i + n : i;
  require<IndexError>(at >= 0 && at + size <= n,
                      "[{}] index {} is outside axis {}, which has size {}.", op, i, axis, n);
  return at;
}

}  // namespace tarn::cpu
