// The distinct elements of an array, with a size that is known beforehand.
#include <algorithm>

#include "ops/kinds.h"

namespace tarn {

using namespace ops;

namespace {

// Of a sorted line of n > 0 elements, whether each differs from the one before.
array first_of_its_kind(const array& sorted, StreamOrDevice s) {
  int64_t n = sorted.shape(0);
  array later = slice(sorted, Shape{1}, Shape{n}, s),
        sooner = slice(sorted, Shape{0}, Shape{n - 1}, s);
  array both_nan = logical_and(not_equal(later, later, s), not_equal(sooner, sooner, s), s);
  array differs = logical_and(not_equal(later, sooner, s), logical_not(both_nan, s), s);
  return concatenate({ones(Shape{1}, bool_, s), differs}, 0, s);
}

std::vector<array> asked_for(std::vector<array> all, bool index, bool inverse, bool counts) {
  std::vector<array> out{all[0]};
  if (index) out.push_back(all[1]);
  if (inverse) out.push_back(all[2]);
  if (counts) out.push_back(all[3]);
  return out;
}

}  // namespace

std::vector<array> unique(const array& a, int size, bool return_index, bool return_inverse,
                          bool return_counts, const std::optional<array>& fill_value,
                          StreamOrDevice s) {
  require(size >= 0, "[unique] size is {}; it must not be negative.", size);
  require<ShapeError>(!fill_value || fill_value->size() == 1,
                      "[unique] fill_value has shape {}; it needs one element.",
                      text_of(fill_value ? fill_value->shape() : Shape{}));
  array line = flatten(a, s);
  int64_t n = line.shape(0), most = size;
  auto finished = [&](array values, array index, array inverse, array counts) {
    return asked_for({values, index, reshape(inverse, a.shape(), s), counts}, return_index,
                     return_inverse, return_counts);
  };
  std::optional<array> fill;
  if (fill_value) fill = astype(reshape(*fill_value, Shape{1}, s), a.dtype(), s);
  Shape out{most};
  if (n == 0) {
    require(most == 0 || fill,
            "[unique] an empty array has no element to fill {} places with; "
            "give fill_value.",
            most);
    array values = fill ? broadcast_to(*fill, out, s) : zeros(out, a.dtype(), s);
    return finished(values, zeros(out, uint32, s), zeros(Shape{0}, uint32, s),
                    zeros(out, int32, s));
  }
  array order = argsort(line, 0, s), sorted = take(line, order, 0, s);
  array nth = subtract(cumsum(astype(first_of_its_kind(sorted, s), int32, s), 0, false, true, s),
                       array(1), s);
  array wanted = arange(0.0, double(most), int32, s);
  array begin = searchsorted(nth, wanted, "left", s), end = searchsorted(nth, wanted, "right", s);
  array counts = astype(subtract(end, begin, s), int32, s);
  begin = where(equal(counts, array(0), s), array(0u), begin, s);
  array values = take(sorted, begin, 0, s);
  if (fill) values = where(equal(counts, array(0), s), *fill, values, s);
  array last = array(std::max<int64_t>(most - 1, 0), uint32);
  array inverse = put_along_axis(zeros(Shape{n}, uint32, s), order,
                                 minimum(astype(nth, uint32, s), last, s), 0, s);
  return finished(values, take(order, begin, 0, s), inverse, counts);
}

}  // namespace tarn
