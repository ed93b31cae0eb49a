// Shapes that the data decides.
#include "tarn/ops/dynamic.h"

#include "ops/kinds.h"

namespace tarn {

using namespace ops;

namespace {

// The places of the true elements of a flattened array, as int64; evaluates it.
array true_places(const char* op, const array& condition, StreamOrDevice s) {
  array flat = copy(flatten(astype(condition, bool_, s), s), s);
  try {
    flat.eval();
  } catch (const ValueError&) {  // it hangs on an argument that has no value
    fail(
        "[{}] the result's size depends on values that are not known while a function is traced; "
        "call it outside vmap and compile.",
        op);
  }
  const bool* hit = flat.data<bool>();
  std::vector<int64_t> places;
  for (int64_t i = 0, n = static_cast<int64_t>(flat.size()); i < n; ++i)
    if (hit[i]) places.push_back(i);
  return array(places.begin(), Shape{static_cast<int64_t>(places.size())}, int64);
}

}  // namespace

std::vector<array> nonzero(const array& a, StreamOrDevice s) {
  array place = true_places("nonzero", not_equal(a, array(0, a.dtype()), s), s);
  if (a.ndim() == 0) return {place};
  std::vector<array> out(a.ndim(), place);
  for (size_t i = a.ndim(); i-- > 1;) {
    array size = array(a.shape()[i], int64);
    out[i] = remainder(place, size, s);
    place = floor_divide(place, size, s);
  }
  out[0] = place;
  return out;
}
array argwhere(const array& a, StreamOrDevice s) {
  auto columns = nonzero(a, s);
  if (a.ndim() == 0) return zeros(Shape{columns[0].shape(0), 0}, int64, s);
  return stack(columns, 1, s);
}
array masked_select(const array& a, const array& mask, StreamOrDevice s) {
  check_mask("masked_select", a, mask);
  Shape rows{static_cast<int64_t>(mask.size())};
  rows.insert(rows.end(), a.shape().begin() + mask.ndim(), a.shape().end());
  return take(reshape(a, rows, s), true_places("masked_select", mask, s), 0, s);
}

Unique unique(const array& a, StreamOrDevice s) {
  array flat = flatten(a, s);
  int64_t n = flat.shape(0);
  if (n == 0) {
    array none = zeros(Shape{0}, int64, s);
    return {flat, none, zeros(a.shape(), int64, s), none};
  }
  array order = argsort(flat, 0, s), sorted = take(flat, order, 0, s);
  array later = slice(sorted, Shape{1}, Shape{n}, s),
        sooner = slice(sorted, Shape{0}, Shape{n - 1}, s);
  array both_nan = logical_and(not_equal(later, later, s), not_equal(sooner, sooner, s), s);
  array differs = logical_and(not_equal(later, sooner, s), logical_not(both_nan, s), s);
  array begins = concatenate({ones(Shape{1}, bool_, s), differs}, 0, s);
  array starts = true_places("unique", begins, s);
  array nth = subtract(cumsum(astype(begins, int64, s), 0, false, true, s), array(1, int64), s);
  array inverse = put_along_axis(zeros(Shape{n}, int64, s), order, nth, 0, s);
  array ends = concatenate(
      {slice(starts, Shape{1}, starts.shape(), s), full(Shape{1}, array(n, int64), s)}, 0, s);
  return {take(sorted, starts, 0, s), astype(take(order, starts, 0, s), int64, s),
          reshape(inverse, a.shape(), s), subtract(ends, starts, s)};
}

}  // namespace tarn
