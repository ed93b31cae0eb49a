// Shapes that the data decides.
#include "tarn/ops/dynamic.h"

#include "ops/kinds.h"

namespace tarn {

using namespace ops;

namespace {

// Evaluates what decides a shape.
void eval_known(const char* op, const std::vector<array>& arrays) {
  try {
    eval(arrays);
  } catch (const ValueError&) {  // it hangs on an argument that has no value
    fail(
        "[{}] the result's size depends on values that are not known while a function is traced; "
        "call it outside vmap and compile.",
        op);
  }
}

// The places of the true elements of a flattened array, as int64; evaluates it.
array true_places(const char* op, const array& condition, StreamOrDevice s) {
  array flat = copy(flatten(astype(condition, bool_, s), s), s);
  eval_known(op, {flat});
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
  require<ShapeError>(a.size() <= INT32_MAX, "[unique] a has {} elements; it may have 2147483647.",
                      a.size());
  auto all = unique(a, static_cast<int>(a.size()), true, true, true, std::nullopt, s);
  eval_known("unique", all);
  int64_t count = sum(greater(all[3], array(0), s), s).item<int32_t>();
  auto first = [&](const array& x) { return copy(slice(x, Shape{0}, Shape{count}, s), s); };
  return {first(all[0]), astype(first(all[1]), int64, s), astype(all[2], int64, s),
          astype(first(all[3]), int64, s)};
}

}  // namespace tarn
