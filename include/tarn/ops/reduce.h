// Reductions, scans, sorting and searching. Without axes the whole array is reduced.
#pragma once

#include <optional>
#include <string>
#include <tuple>
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
// Both, the minimum first.
std::tuple<array, array> minmax(const array& a, bool keepdims, StreamOrDevice s = {});
std::tuple<array, array> minmax(const array& a, StreamOrDevice s = {});
std::tuple<array, array> minmax(const array& a, const std::vector<int>& axes, bool keepdims = false,
                                StreamOrDevice s = {});
std::tuple<array, array> minmax(const array& a, int axis, bool keepdims = false,
                                StreamOrDevice s = {});
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
// int32: how many elements are not zero.
array count_nonzero(const array& a, bool keepdims = false, StreamOrDevice s = {});
array count_nonzero(const array& a, int axis, bool keepdims = false, StreamOrDevice s = {});
array count_nonzero(const array& a, const std::vector<int>& axes, bool keepdims = false,
                    StreamOrDevice s = {});
// The sum of a diagonal.
array trace(const array& a, int offset, int axis1, int axis2, Dtype dtype, StreamOrDevice s = {});
array trace(const array& a, int offset, int axis1, int axis2, StreamOrDevice s = {});
array trace(const array& a, StreamOrDevice s = {});

// Scans. `reverse` begins at the end; without `inclusive` an element does not count for itself.
// Without an axis the array is flattened first. Sums and products of bools are int32, others keep
// their dtype unless `dtype` names one.
#define TARN_TYPED_SCAN(name)                                                       \
  array name(const array& a, bool reverse = false, bool inclusive = true,           \
             std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});     \
  array name(const array& a, bool reverse, bool inclusive, StreamOrDevice s);       \
  array name(const array& a, int axis, bool reverse = false, bool inclusive = true, \
             std::optional<Dtype> dtype = std::nullopt, StreamOrDevice s = {});     \
  array name(const array& a, int axis, bool reverse, bool inclusive, StreamOrDevice s);
TARN_TYPED_SCAN(cumsum)
TARN_TYPED_SCAN(cumprod)
#undef TARN_TYPED_SCAN
#define TARN_SCAN(name)                                                                           \
  array name(const array& a, bool reverse = false, bool inclusive = true, StreamOrDevice s = {}); \
  array name(const array& a, int axis, bool reverse = false, bool inclusive = true,               \
             StreamOrDevice s = {});
TARN_SCAN(cummax)
TARN_SCAN(cummin)
TARN_SCAN(logcumsumexp)
#undef TARN_SCAN
// h[i] = a[i] h[i - 1] + b[i] along the axis, h[-1] = 0; in reverse h[i] = a[i] h[i + 1] + b[i].
// Integers give float32. (Not in MLX: state-space models are made of it.)
array linear_recurrence(const array& a, const array& b, int axis = -1, bool reverse = false,
                        StreamOrDevice s = {});
// Differences of neighbours, n times; the axis gets shorter by n. Bools give whether they differ.
array diff(const array& a, int n = 1, int axis = -1, StreamOrDevice s = {});

// Stable; NaN last.
array sort(const array& a, int axis, StreamOrDevice s = {});
array sort(const array& a, StreamOrDevice s = {});
// uint32 indices.
array argsort(const array& a, int axis, StreamOrDevice s = {});
array argsort(const array& a, StreamOrDevice s = {});
// Element kth stands where sorting would put it, the smaller ones before it; on either side the
// others stay in the order in which they came. Takes a few passes over the axis, not log n.
array partition(const array& a, int kth, int axis, StreamOrDevice s = {});
array partition(const array& a, int kth, StreamOrDevice s = {});
array argpartition(const array& a, int kth, int axis, StreamOrDevice s = {});
array argpartition(const array& a, int kth, StreamOrDevice s = {});
// The k largest, in rising order.
array topk(const array& a, int k, int axis, StreamOrDevice s = {});
array topk(const array& a, int k, StreamOrDevice s = {});
// uint32: the first place at which each value can be put into the sorted sequence, which has one
// axis; side "right": the place behind the last.
array searchsorted(const array& sorted_sequence, const array& values,
                   const std::string& side = "left", StreamOrDevice s = {});
// The distinct elements of an array, in rising order, as `size` of them: the smallest ones, or all
// and then fill_value, which is the smallest one when absent. NaNs count as equal. Then come, as
// asked for: uint32, where each stands first in a, flattened; uint32 of a's shape, which one each
// element is; int32, how often each occurs, 0 for the fill. Unlike unique of dynamic.h it can be
// called inside vmap and compile. Throws ValueError without fill_value for an empty a.
std::vector<array> unique(const array& a, int size, bool return_index = false,
                          bool return_inverse = false, bool return_counts = false,
                          const std::optional<array>& fill_value = std::nullopt,
                          StreamOrDevice s = {});

// exp(a - max) / sum over the axes; integers give float32.
array softmax(const array& a, const std::vector<int>& axes, bool precise = false,
              StreamOrDevice s = {});
array softmax(const array& a, bool precise = false, StreamOrDevice s = {});
array softmax(const array& a, int axis, bool precise = false, StreamOrDevice s = {});

}  // namespace tarn
