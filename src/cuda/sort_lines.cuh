// What sorts of short and long lines share.
#pragma once

#include "cuda/keys.cuh"
#include "cuda/numbers.cuh"

namespace tarn::cuda {

// Line `line` has its number of place `from` at place `to`.
__device__ inline void put(const SortCall& c, int64_t line, int64_t to, unsigned from) {
  int64_t at = offset_of(c.to, line) + to * c.to_step;
  if (c.places) {
    static_cast<unsigned*>(c.y)[at] = from;
    return;
  }
  int64_t of = offset_of(c.from, line) + from * c.from_step;
  switch (c.bytes) {
    case 1:
      static_cast<ops::u8*>(c.y)[at] = static_cast<const ops::u8*>(c.x)[of];
      break;
    case 2:
      static_cast<ops::u16*>(c.y)[at] = static_cast<const ops::u16*>(c.x)[of];
      break;
    case 4:
      static_cast<unsigned*>(c.y)[at] = static_cast<const unsigned*>(c.x)[of];
      break;
    default:
      static_cast<unsigned long*>(c.y)[at] = static_cast<const unsigned long*>(c.x)[of];
  }
}

}  // namespace tarn::cuda
