// Sorting and searching: the rules and the public functions.
#include <algorithm>
#include <climits>

#include "ops/compound.h"
#include "ops/movement.h"

namespace tarn {

using namespace ops;

namespace ops {

namespace {
SortParams shifted(const SortParams& p) { return {p.axis + 1, p.kth}; }
}  // namespace

ArraySpec ArgSort::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), uint32};
}
Arrays ArgSort::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {record(op_of<ArgSort>, shifted(p.as<P>()), {in[0]}, {})};
}

ArraySpec Sort::infer(const Params&, std::span<const array> in) {
  return {in[0].shape(), in[0].dtype()};
}
Arrays Sort::expand(const Params& p, std::span<const array> in) {
  return {take_along_axis(in[0], record(op_of<ArgSort>, p, {in[0]}, {}), p.as<P>().axis)};
}
Arrays Sort::vmap(const Params& p, std::span<const array> in, const Batch&) {
  return {record(op_of<Sort>, shifted(p.as<P>()), {in[0]}, {})};
}

ArraySpec SearchSorted::infer(const Params&, std::span<const array> in) {
  return {in[1].shape(), uint32};
}
// Both inputs have a batch as axis 0: the new one joins it.
Arrays SearchSorted::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  Arrays folded;
  for (size_t i = 0; i < 2; ++i) {
    folded.push_back(flatten(batched(in[i], batch.mapped[i], batch.size), 0, 1));
  }
  array found = record(op_of<SearchSorted>, p, std::move(folded), {});
  return {
      unflatten(found, 0, Shape{batch.size, found.shape(0) / std::max<int64_t>(batch.size, 1)})};
}

}  // namespace ops

array argsort(const array& a, int axis, StreamOrDevice s) {
  return record(op_of<ArgSort>, SortParams{normalize_axis("argsort", axis, a.ndim())}, {a}, s);
}
array argsort(const array& a, StreamOrDevice s) { return argsort(flatten(a, s), 0, s); }
array sort(const array& a, int axis, StreamOrDevice s) {
  return record(op_of<Sort>, SortParams{normalize_axis("sort", axis, a.ndim())}, {a}, s);
}
array sort(const array& a, StreamOrDevice s) { return sort(flatten(a, s), 0, s); }

namespace {
SortParams partition_params(const char* op, const array& a, int kth, int axis) {
  int at = normalize_axis(op, axis, a.ndim());
  int64_t n = a.shape(at), k = kth < 0 ? kth + n : kth;
  require(k >= 0 && k < n, "[{}] kth is {} on an axis of size {}.", op, kth, n);
  return {at, static_cast<int>(k)};
}
}  // namespace
array partition(const array& a, int kth, int axis, StreamOrDevice s) {
  return record(op_of<Sort>, partition_params("partition", a, kth, axis), {a}, s);
}
array partition(const array& a, int kth, StreamOrDevice s) {
  return partition(flatten(a, s), kth, 0, s);
}
array argpartition(const array& a, int kth, int axis, StreamOrDevice s) {
  return record(op_of<ArgSort>, partition_params("argpartition", a, kth, axis), {a}, s);
}
array argpartition(const array& a, int kth, StreamOrDevice s) {
  return argpartition(flatten(a, s), kth, 0, s);
}
array topk(const array& a, int k, int axis, StreamOrDevice s) {
  int at = normalize_axis("topk", axis, a.ndim());
  int64_t n = a.shape(at);
  require(k >= 0 && k <= n, "[topk] k is {} on an axis of size {}.", k, n);
  Shape start(a.ndim(), 0), stop = a.shape();
  start[static_cast<size_t>(at)] = n - k;
  // To sort what a partition leaves is cheaper than to sort all, unless that is most of it.
  if (k == 0 || 2 * int64_t{k} > n || n > INT_MAX) return slice(sort(a, at, s), start, stop, s);
  array parts = record(op_of<Sort>, SortParams{at, static_cast<int>(n - k)}, {a}, s);
  return sort(slice(parts, start, stop, s), at, s);
}
array topk(const array& a, int k, StreamOrDevice s) { return topk(flatten(a, s), k, 0, s); }

array searchsorted(const array& sorted_sequence, const array& values, const std::string& side,
                   StreamOrDevice s) {
  require<ShapeError>(sorted_sequence.ndim() == 1,
                      "[searchsorted] the sequence has shape {}; it must have one axis.",
                      text_of(sorted_sequence.shape()));
  require(side == "left" || side == "right",
          "[searchsorted] side is \"{}\"; it must be \"left\" or \"right\".", side);
  Dtype t = result_type(sorted_sequence, values);
  array line = reshape(astype(sorted_sequence, t, s), {1, sorted_sequence.shape(0)}, s);
  array wanted = reshape(astype(values, t, s), {1, static_cast<int64_t>(values.size())}, s);
  array found = record(op_of<SearchSorted>, SearchSorted::P{side == "right"}, {line, wanted}, s);
  return reshape(found, values.shape(), s);
}

}  // namespace tarn
