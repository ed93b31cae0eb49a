// Reductions, scans, sorting and searching. Without axes the whole array is reduced.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tarn/array.h"

namespace tarn {

#define TARN_REDUCTION(name)                                                      \
  array name(const array& a, bool keepdims, StreamOrDevice s = {});               \
  array name(const array& a, StreamOrDevice s = {});                              \
  array name(const array& a, const std::vector<int>& axes, bool keepdims = false, \
             StreamOrDevice s = {});                                              \
  array name(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {});
TARN_REDUCTION(all)
TARN_REDUCTION(any)
// Integers narrower than 64 bits give int32 or uint32; floats keep their dtype and are added in at
// least float32, blockwise, so that the sum of 2^25 ones is exact.
TARN_REDUCTION(sum)
TARN_REDUCTION(prod)
// NaN when any element is NaN. Throws ValueError over an empty axis.
TARN_REDUCTION(max)
TARN_REDUCTION(min)
// Integers give float32.
TARN_REDUCTION(mean)
TARN_REDUCTION(logsumexp)
TARN_REDUCTION(median)
#undef TARN_REDUCTION
// ddof is taken from the count in the denominator.
array var(const array& a, bool keepdims, int ddof = 0, StreamOrDevice s = {});
array var(const array& a, StreamOrDevice s = {});
array var(const array& a, const std::vector<int>& axes, bool keepdims = false, int ddof = 0,
          StreamOrDevice s = {});
array var(const array& a, int axis, bool keepdims = false, int ddof = 0, StreamOrDevice s = {});
array std(const array& a, bool keepdims, int ddof = 0, StreamOrDevice s = {});
array std(const array& a, StreamOrDevice s = {});
array std(const array& a, const std::vector<int>& axes, bool keepdims = false, int ddof = 0,
          StreamOrDevice s = {});
array std(const array& a, int axis, bool keepdims = false, int ddof = 0, StreamOrDevice s = {});
// uint32; the first of equals; a NaN counts as the largest (smallest).
array argmax(const array& a, bool keepdims, StreamOrDevice s = {});
array argmax(const array& a, StreamOrDevice s = {});
array argmax(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {});
array argmin(const array& a, bool keepdims, StreamOrDevice s = {});
array argmin(const array& a, StreamOrDevice s = {});
array argmin(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {});
array trace(const array& a, int offset = 0, int axis1 = 0, int axis2 = 1, StreamOrDevice s = {});

array cumsum(const array& a, int axis, bool reverse = false, bool inclusive = true,
             StreamOrDevice s = {});
array cumsum(const array& a, bool reverse = false, bool inclusive = true, StreamOrDevice s = {});
array cumprod(const array& a, int axis, bool reverse = false, bool inclusive = true,
              StreamOrDevice s = {});
array cummax(const array& a, int axis, bool reverse = false, bool inclusive = true,
             StreamOrDevice s = {});
array cummin(const array& a, int axis, bool reverse = false, bool inclusive = true,
             StreamOrDevice s = {});
array logcumsumexp(const array& a, int axis, bool reverse = false, bool inclusive = true,
                   StreamOrDevice s = {});

// Stable; NaN last.
array sort(const array& a, int axis, StreamOrDevice s = {});
array sort(const array& a, StreamOrDevice s = {});
// uint32 indices.
array argsort(const array& a, int axis, StreamOrDevice s = {});
array argsort(const array& a, StreamOrDevice s = {});
// Element kth stands where sorting would put it, the smaller ones before it.
array partition(const array& a, int kth, int axis, StreamOrDevice s = {});
array partition(const array& a, int kth, StreamOrDevice s = {});
array argpartition(const array& a, int kth, int axis, StreamOrDevice s = {});
array argpartition(const array& a, int kth, StreamOrDevice s = {});
// The k largest, in rising order.
array topk(const array& a, int k, int axis, StreamOrDevice s = {});
array topk(const array& a, int k, StreamOrDevice s = {});

// exp(a - max) / sum over the axes; integers give float32.
array softmax(const array& a, const std::vector<int>& axes, bool precise = false,
              StreamOrDevice s = {});
array softmax(const array& a, bool precise = false, StreamOrDevice s = {});
array softmax(const array& a, int axis, bool precise = false, StreamOrDevice s = {});

}  // namespace tarn
